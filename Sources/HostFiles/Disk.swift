package import BackupFormat
internal import CLinux

/// What a directory entry is, without following links.
package struct DiskStatus: Sendable, Equatable {
    /// Bytes, for a file.
    package let size: Int
    /// Seconds since 1970.
    package let modifiedSeconds: Int64
    package let isDirectory: Bool
    /// Another one where the name has another file, or the file was written to. A file system may give one mark to changes within a few
    /// milliseconds; decay changes none.
    package let changeMark: UInt64

    package init(size: Int, modifiedSeconds: Int64, isDirectory: Bool, changeMark: UInt64) {
        self.size = size
        self.modifiedSeconds = modifiedSeconds
        self.isDirectory = isDirectory
        self.changeMark = changeMark
    }
}

/// The file system as the vault, the ledger and the key files use it: the real one, or a simulated one that fails on purpose.
///
/// Nothing is durable until it is synced: a file's bytes by ``DiskFile/sync()``, a name by ``syncDirectory(_:)`` on the
/// directory that holds it. A rename is atomic: after a crash the file has its old name or its new one. Every call may
/// come from any thread.
package protocol Disk: Sendable {
    /// An existing file, to read.
    func openForReading(_ path: RawPath) throws(HostFilesError) -> any DiskFile
    /// An existing file, to read and to overwrite in place.
    func openForUpdating(_ path: RawPath) throws(HostFilesError) -> any DiskFile
    /// A new file that only its owner may read, to write. Throws `exists` if the name is taken.
    ///
    /// `expectedBytes` is a hint: a large file goes round the page cache.
    func createExclusively(_ path: RawPath, expectedBytes: Int) throws(HostFilesError) -> any DiskFile
    /// Gives a file another name, on the same file system; a file that has that name already is replaced.
    func rename(_ from: RawPath, to: RawPath) throws(HostFilesError)
    /// Lets two files swap their names, on the same file system. Throws `notFound`, and changes nothing, if either is missing.
    func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError)
    /// Removes a file's name.
    func unlink(_ path: RawPath) throws(HostFilesError)
    /// A new directory that only its owner may enter. Throws `exists` if the name is taken.
    func makeDirectory(_ path: RawPath) throws(HostFilesError)
    /// Removes an empty directory. Throws `notEmpty` if it is not.
    func removeDirectory(_ path: RawPath) throws(HostFilesError)
    /// The names in a directory, in byte order, without `.` and `..`.
    func list(_ path: RawPath) throws(HostFilesError) -> [RawPath]
    /// What is there, or nil if nothing is.
    func status(_ path: RawPath) throws(HostFilesError) -> DiskStatus?
    /// Makes the names in a directory durable: those added, removed and renamed.
    func syncDirectory(_ path: RawPath) throws(HostFilesError)
    /// Bytes that this user may still write on the file system of `path`.
    func freeBytes(_ path: RawPath) throws(HostFilesError) -> Int
    /// Takes a directory for the caller alone, among threads and processes, until the lock is released or the process ends. Nil if
    /// somebody has it.
    ///
    /// It keeps away nobody but those who ask for it, and changes nothing on the disk.
    func lock(_ directory: RawPath) throws(HostFilesError) -> (any DiskLock)?
}

/// A directory that was taken by ``Disk/lock(_:)``; given back when the last reference goes, at the latest.
package protocol DiskLock: AnyObject, Sendable {
    /// Gives it back now. A second call does nothing.
    func release()
}

/// An open file. Closes when the last reference goes; reading may come from several threads at once, writing from one.
package protocol DiskFile: AnyObject, Sendable {
    /// Fills `buffer` from `offset` on. Returns the bytes read: fewer than asked only at the end of the file.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int
    /// Writes all of `bytes` at `offset`, beyond the end too (what lies between reads as zeros).
    func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError)
    /// Cuts the file, or extends it with zeros, to `size` bytes.
    func truncate(to size: Int) throws(HostFilesError)
    /// Makes the bytes and the size durable.
    func sync() throws(HostFilesError)
    /// Bytes in the file.
    func size() throws(HostFilesError) -> Int
    /// Closes it now. Must come after every other use; a second call does nothing.
    func close()
}

extension Disk {
    /// For disks that one process alone knows.
    package func lock(_ directory: RawPath) throws(HostFilesError) -> (any DiskLock)? {
        throw HostFilesError(.unsupported, "lock", path: directory)
    }

    /// Waits until it can take the directory; nil when `milliseconds` have passed before.
    package func lock(_ directory: RawPath, waitingMilliseconds: Int) throws(HostFilesError) -> (any DiskLock)? {
        let deadline = monotonicNanoseconds() &+ UInt64(max(0, waitingMilliseconds)) &* 1_000_000
        while true {
            if let lock = try lock(directory) { return lock }
            guard monotonicNanoseconds() < deadline else { return nil }
            sleep(milliseconds: 5)
        }
    }

    /// Makes the directory and those above it that are missing, each durable in its parent.
    package func makeDirectories(_ path: RawPath) throws(HostFilesError) {
        if let status = try status(path) {
            guard status.isDirectory else { throw HostFilesError(.notADirectory, "make the folder", path: path) }
            return
        }
        let parent = path.parent
        if parent != path { try makeDirectories(parent) }
        // Whoever else made it may not have synced its name.
        do { try makeDirectory(path) } catch  where error.code == .exists {}
        try syncDirectory(parent)
    }
}

extension RawPath {
    /// The path without its last component: `.` for a bare name, `/` for the root.
    package var parent: RawPath {
        var rest = bytes[...]
        while rest.count > 1, rest.last == 0x2f { rest = rest.dropLast() }
        guard let slash = rest.lastIndex(of: 0x2f) else { return "." }
        return slash == 0 ? "/" : RawPath(bytes: Array(rest[..<slash]))
    }
}

extension DiskFile {
    /// Writes all of `bytes` at `offset`.
    package func write(at offset: Int, _ bytes: [UInt8]) throws(HostFilesError) {
        try bytes.withBytes { bytes throws(HostFilesError) in try write(at: offset, bytes) }
    }
}

extension Array<UInt8> {
    /// Calls `body` with the bytes; unlike `withUnsafeBytes`, keeps the type of its error.
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(HostFilesError) -> R) throws(HostFilesError) -> R {
        try withUnsafeBufferPointer { buffer throws(HostFilesError) in try body(UnsafeRawBufferPointer(buffer)) }
    }

    /// Calls `body` with the bytes, to be changed; unlike `withUnsafeMutableBytes`, keeps the type of its error.
    package mutating func withMutableBytes<R>(
        _ body: (UnsafeMutableRawBufferPointer) throws(HostFilesError) -> R
    ) throws(HostFilesError) -> R {
        try withUnsafeMutableBufferPointer { buffer throws(HostFilesError) in try body(UnsafeMutableRawBufferPointer(buffer)) }
    }
}
