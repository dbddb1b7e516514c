package import BackupFormat
internal import CLinux
internal import Glibc
internal import Synchronization

/// The ``Disk`` of the machine: files 0600, directories 0700.
package struct RealDisk: Disk {
    package init() {}

    package func openForReading(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        try RealDiskFile(path, flags: O_RDONLY, "open")
    }

    package func openForUpdating(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        try RealDiskFile(path, flags: O_RDWR, "open for repair")
    }

    package func createExclusively(_ path: RawPath, expectedBytes: Int) throws(HostFilesError) -> any DiskFile {
        let file = try RealDiskFile(path, flags: O_RDWR | O_CREAT | O_EXCL, "create")
        if expectedBytes >= RealDiskFile.directBytesMin { file.goesRoundPageCache = true }
        return file
    }

    package func rename(_ from: RawPath, to: RawPath) throws(HostFilesError) {
        try check(
            withPath(from) { source in withPath(to) { target in Glibc.rename(source, target) } }, "rename", from)
    }

    package func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError) {
        let result = linux_renameat2(
            linux_AT_FDCWD, a.bytes, a.bytes.count, linux_AT_FDCWD, b.bytes, b.bytes.count, linux_RENAME_EXCHANGE)
        if result == 0 { return }
        guard result == -EINVAL || result == -ENOSYS else { throw HostFilesError(errno: -result, "swap the names of", path: a) }
        // Some network file systems cannot. A file that goes between the look and the rename then comes back.
        guard try status(b) != nil else { throw HostFilesError(.notFound, "swap the names of", path: b) }
        try rename(a, to: b)
    }

    package func unlink(_ path: RawPath) throws(HostFilesError) {
        try check(withPath(path) { Glibc.unlink($0) }, "remove", path)
    }

    package func makeDirectory(_ path: RawPath) throws(HostFilesError) {
        try check(withPath(path) { mkdir($0, 0o700) }, "make the folder", path)
    }

    package func removeDirectory(_ path: RawPath) throws(HostFilesError) {
        try check(withPath(path) { rmdir($0) }, "remove the folder", path)
    }

    package func list(_ path: RawPath) throws(HostFilesError) -> [RawPath] {
        let opened: OpaquePointer? = withPath(path) { opendir($0) }
        guard let directory = opened else { throw HostFilesError(errno: errno, "list", path: path) }
        defer { closedir(directory) }
        var names: [RawPath] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw HostFilesError(errno: errno, "list", path: path) }
                break
            }
            guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { break }
            let start = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
            let name = Array(
                UnsafeBufferPointer(start: start, count: strlen(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))))
            if name != [0x2e] && name != [0x2e, 0x2e] { names.append(RawPath(bytes: name)) }
        }
        return names.sorted()
    }

    package func status(_ path: RawPath) throws(HostFilesError) -> DiskStatus? {
        var found = stat()
        if withPath(path, { lstat($0, &found) }) != 0 {
            if errno == ENOENT { return nil }
            throw HostFilesError(errno: errno, "look at", path: path)
        }
        return DiskStatus(
            size: Int(found.st_size), modifiedSeconds: Int64(found.st_mtim.tv_sec),
            isDirectory: found.st_mode & S_IFMT == S_IFDIR, changeMark: changeMark(found))
    }

    /// Of the file's number and the time of its last change, to the nanosecond.
    private func changeMark(_ found: stat) -> UInt64 {
        let nanoseconds = UInt64(bitPattern: Int64(found.st_ctim.tv_sec)) &* 1_000_000_000 &+ UInt64(found.st_ctim.tv_nsec)
        return nanoseconds ^ (UInt64(found.st_ino) &* 0x9e37_79b9_7f4a_7c15)
    }

    package func syncDirectory(_ path: RawPath) throws(HostFilesError) {
        let descriptor = withPath(path) { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw HostFilesError(errno: errno, "open the folder", path: path) }
        defer { Glibc.close(descriptor) }
        while fsync(descriptor) != 0 {
            if errno == EINTR { continue }
            // Some network file systems cannot sync a folder, and say so: they make names durable by themselves.
            if errno == EINVAL { return }
            throw HostFilesError(errno: errno, "sync the folder", path: path)
        }
    }

    package func freeBytes(_ path: RawPath) throws(HostFilesError) -> Int {
        var found = statvfs()
        try check(withPath(path) { statvfs($0, &found) }, "look for free space on", path)
        let (bytes, overflow) = UInt64(found.f_bavail).multipliedReportingOverflow(by: UInt64(found.f_frsize))
        return overflow ? Int.max : Int(clamping: bytes)
    }

    package func lock(_ directory: RawPath) throws(HostFilesError) -> (any DiskLock)? {
        let folder = try DirectoryHandle.open(directory)
        return try folder.lock() ? RealDiskLock(folder) : nil
    }

    private func check(_ result: Int32, _ operation: String, _ path: RawPath) throws(HostFilesError) {
        if result != 0 { throw HostFilesError(errno: errno, operation, path: path) }
    }
}

/// An open directory under `flock`, which ends when it is closed.
private final class RealDiskLock: DiskLock {
    private let folder: Mutex<DirectoryHandle?>

    init(_ folder: DirectoryHandle) { self.folder = Mutex(folder) }

    func release() { folder.withLock { $0 = nil } }
}

/// Calls `body` with the path as a C string. A path that holds a NUL ends there, and so is not found.
private func withPath<R>(_ path: RawPath, _ body: (UnsafePointer<CChar>) -> R) -> R {
    var text: [CChar] = []
    text.reserveCapacity(path.bytes.count + 1)
    for byte in path.bytes { text.append(CChar(bitPattern: byte)) }
    text.append(0)
    return text.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress else { preconditionFailure("a C string has at least its end") }
        return body(start)
    }
}

/// A file of the ``RealDisk``.
///
/// A large new file is written with O_DIRECT where the file system and the alignment allow: gigabytes of packs then
/// neither cost a copy nor fill the page cache with dirty pages that a memory limit on the process would be charged for.
/// So are large pieces read, which are wanted once, unless somebody else's reading has brought them into it.
// SAFETY: `descriptor` changes only in `close`, which comes after every other use; the flags only in writing, which
// the protocol leaves to one thread.
package final class RealDiskFile: DiskFile, @unchecked Sendable {
    /// A smaller file is not worth going round the page cache.
    static let directBytesMin = 256 << 10
    /// A smaller read may be part of many from the same place.
    private static let uncachedReadBytesMin = 64 << 10
    /// Strictest alignment of address, offset and length that file systems ask for.
    private static let directAlignment = 4096

    private let path: RawPath
    private var descriptor: Int32
    /// Whether large aligned writes should go straight to the device.
    fileprivate var goesRoundPageCache = false
    private var isDirect = false
    /// Opened when it is first needed.
    private let direct = Mutex(DirectReading.untried)

    /// A second descriptor, for what is read round the page cache.
    private enum DirectReading {
        case untried
        case open(Int32)
        /// The file system cannot do it.
        case impossible
    }

    fileprivate init(_ path: RawPath, flags: Int32, _ operation: String) throws(HostFilesError) {
        self.path = path
        repeat {
            descriptor = withPath(path) { open($0, flags | O_CLOEXEC, 0o600) }
        } while descriptor < 0 && errno == EINTR
        if descriptor < 0 { throw HostFilesError(errno: errno, operation, path: path) }
    }

    deinit { close() }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        direct.withLock { direct in
            if case .open(let second) = direct { Glibc.close(second) }
            direct = .impossible
        }
    }

    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int {
        // A large piece is read once and not wanted again soon: the page cache is better kept for other things.
        if let count = readDirectly(at: offset, into: buffer) { return count }
        let isLarge = buffer.count >= RealDiskFile.uncachedReadBytesMin
        let count =
            isLarge
            ? linux_pread_full_uncached(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
            : linux_pread_full(descriptor, buffer.baseAddress, buffer.count, Int64(offset))
        guard count >= 0 else { throw HostFilesError(errno: Int32(-count), "read", path: path) }
        return Int(count)
    }

    /// Reads a large aligned piece straight from the device; nil where that does not go, for whatever reason.
    private func readDirectly(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        guard buffer.count >= RealDiskFile.directBytesMin, let start = buffer.baseAddress,
            isAligned(start, offset, buffer.count), linux_is_uncached(descriptor, Int64(offset), buffer.count) == 1
        else { return nil }
        let second = direct.withLock { direct -> Int32? in
            if case .untried = direct {
                let opened = linux_reopen_direct(descriptor)
                direct = opened >= 0 ? .open(opened) : .impossible
            }
            if case .open(let second) = direct { return second }
            return nil
        }
        guard let second else { return nil }
        var done = 0
        while done < buffer.count {
            let count = linux_pread(second, start + done, buffer.count - done, Int64(offset + done))
            guard count >= 0 else { return nil }
            done += Int(count)
            // The end of the file, or of what some file systems give at once: what is left is read by way of the page cache.
            if count == 0 || !isAligned(start, offset, done) { break }
        }
        guard done < buffer.count else { return done }
        let rest = linux_pread_full(descriptor, start + done, buffer.count - done, Int64(offset + done))
        return rest < 0 ? nil : done + Int(rest)
    }

    package func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        var done = 0
        while done < bytes.count, let start = bytes.baseAddress {
            setDirect(goesRoundPageCache && isAligned(start + done, offset + done, bytes.count - done))
            let count = pwrite(descriptor, start + done, bytes.count - done, off_t(offset + done))
            if count <= 0 {
                if count < 0 && errno == EINTR { continue }
                if count < 0 && errno == EINVAL && isDirect && goesRoundPageCache {
                    goesRoundPageCache = false
                    continue
                }
                throw HostFilesError(errno: count == 0 ? ENOSPC : errno, "write", path: path)
            }
            done += count
        }
    }

    private func isAligned(_ address: UnsafeRawPointer, _ offset: Int, _ count: Int) -> Bool {
        (Int(bitPattern: address) | offset | count) % RealDiskFile.directAlignment == 0
    }

    private func setDirect(_ wanted: Bool) {
        guard wanted != isDirect else { return }
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 && fcntl(descriptor, F_SETFL, wanted ? flags | __O_DIRECT : flags & ~__O_DIRECT) == 0 {
            isDirect = wanted
        } else if wanted {
            goesRoundPageCache = false
        }
    }

    package func truncate(to size: Int) throws(HostFilesError) {
        while ftruncate(descriptor, off_t(size)) != 0 {
            if errno != EINTR { throw HostFilesError(errno: errno, "set the size of", path: path) }
        }
    }

    package func sync() throws(HostFilesError) {
        while fsync(descriptor) != 0 {
            if errno != EINTR { throw HostFilesError(errno: errno, "sync", path: path) }
        }
    }

    package func size() throws(HostFilesError) -> Int {
        var found = stat()
        if fstat(descriptor, &found) != 0 { throw HostFilesError(errno: errno, "look at", path: path) }
        return Int(found.st_size)
    }
}
