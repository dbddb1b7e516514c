package import BackupFormat
internal import CLinux
internal import Synchronization

/// A file on its way back: written under a temporary name, then given its metadata and put in place at once.
///
/// Several threads may write parts of it. Unless it was finished, it vanishes with the last reference.
package final class StagedFile: Sendable {
    private let fd: Int32
    private let place: DirectoryHandle
    private let name: RawPath
    private let isClean: Bool
    private let staging: StagingArea
    private let isInPlace = Atomic<Bool>(false)

    /// `isClean`: a new file here has no extended attributes.
    init(place: DirectoryHandle, name: RawPath, isClean: Bool, staging: StagingArea) throws(HostFilesError) {
        let flags = linux_O_RDWR | linux_O_CREAT | linux_O_EXCL | linux_O_NOFOLLOW
        let result = name.bytes.withUnsafeBytes { linux_openat(place.fd, $0.baseAddress, $0.count, flags, 0o600) }
        guard result >= 0 else { throw HostFilesError(errno: -result, "make a file") }
        fd = result
        self.place = place
        self.name = name
        self.isClean = isClean
        self.staging = staging
    }

    deinit {
        if !isInPlace.load(ordering: .acquiring) {
            _ = name.bytes.withUnsafeBytes { linux_unlinkat(place.fd, $0.baseAddress, $0.count, 0) }
        }
        _ = linux_close(fd)
    }

    /// Writes all bytes at `offset`. What is never written and lies below the size is a hole.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HostFilesError) {
        try check(linux_pwrite_full(fd, bytes.baseAddress, bytes.count, try position(offset)), "write")
    }

    /// Sets the size, with a hole behind what is written.
    package func setSize(_ size: UInt64) throws(HostFilesError) {
        try check(linux_ftruncate(fd, try position(size)), "set the size of")
    }

    /// Makes a hole. Where the file system can't, zeros are written.
    package func punchHole(at offset: UInt64, length: UInt64) throws(HostFilesError) {
        if length == 0 { return }
        let result = linux_punch_hole(fd, try position(offset), try position(length))
        if HostFilesError.code(of: -result) != .unsupported { return try check(result, "make a hole in") }
        let zeros = [UInt8](repeating: 0, count: 64 << 10)
        var done: UInt64 = 0
        while done < length {
            let count = Int(min(UInt64(zeros.count), length - done))
            let written = zeros.withUnsafeBytes { linux_pwrite_full(fd, $0.baseAddress, count, Int64(offset + done)) }
            try check(written, "write")
            done += UInt64(count)
        }
    }

    /// Copies bytes of another file, sharing them where the file system can. Fewer if that file ends before; how many.
    package func copy(
        from file: FileHandle, at source: UInt64, to offset: UInt64, length: UInt64
    ) throws(HostFilesError) -> UInt64 {
        var done: UInt64 = 0
        var buffer: [UInt8] = []
        while done < length {
            let (from, to) = (try position(source + done), try position(offset + done))
            if buffer.isEmpty && file.mountGuard == nil {
                let count = linux_copy_file_range(file.fd, from, fd, to, Int(min(length - done, 1 << 30)))
                if count == 0 { break }
                if count > 0 {
                    done += UInt64(count)
                    continue
                }
            }
            // Between file systems, and on some alone, it must go through our memory.
            if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: 256 << 10) }
            let wanted = Int(min(UInt64(buffer.count), length - done))
            var count = 0
            let result: Result<Int, HostFilesError> = buffer.withUnsafeMutableBytes { space in
                do throws(HostFilesError) {
                    let part = UnsafeMutableRawBufferPointer(rebasing: space[..<wanted])
                    return .success(try file.read(into: part, at: source + done))
                } catch { return .failure(error) }
            }
            count = try result.get()
            if count == 0 { break }
            try check(buffer.withUnsafeBytes { linux_pwrite_full(fd, $0.baseAddress, count, to) }, "write")
            done += UInt64(count)
        }
        return done
    }

    /// Reads back what was written, so that it can be verified before it is put in place.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(HostFilesError) -> Int {
        let count = linux_pread_full(fd, buffer.baseAddress, buffer.count, try position(offset))
        guard count >= 0 else { throw HostFilesError(errno: Int32(-count), "read") }
        return Int(count)
    }

    /// Has the content on disk before it returns.
    package func sync() throws(HostFilesError) { try check(linux_fdatasync(fd), "write to the disk") }

    /// Sets the metadata and gives the file its name, in place of what has that name. Nothing may be written after.
    /// What could not be set.
    package func finish(
        _ metadata: FileMetadata, as final: RawPath, in directory: TargetDirectory
    ) throws(HostFilesError) -> [HostFilesError] {
        guard final.bytes.withUnsafeBytes({ isValidName($0) }) else {
            throw HostFilesError(.unsupported, "restore", path: final, detail: "it is not a file's name")
        }
        var (uid, gid) = (staging.uid, staging.gid)
        if !isClean || !staging.givesOwnGroup {
            var raw = linux_status()
            try check(linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw), "look at")
            (uid, gid) = (raw.uid, raw.gid)
        }
        let problems = apply(
            metadata, to: MetadataPlace(fd: fd, name: emptyName), type: .file, uid: uid, gid: gid, hasAttributes: !isClean,
            path: final)
        try name.withBytes { bytes throws(HostFilesError) in try directory.publish(place, bytes, as: final) }
        isInPlace.store(true, ordering: .releasing)
        return problems
    }

    /// The inode, by which later hard links recognise the file.
    package func inode() throws(HostFilesError) -> UInt64 {
        var raw = linux_status()
        try check(linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw), "look at")
        return raw.inode
    }

    private func position(_ offset: UInt64) throws(HostFilesError) -> Int64 {
        guard let position = Int64(exactly: offset) else {
            throw HostFilesError(.unsupported, "write", detail: "beyond 2^63 bytes")
        }
        return position
    }

    private func check(_ result: Int32, _ operation: String) throws(HostFilesError) {
        guard result == 0 else { throw HostFilesError(errno: -result, operation) }
    }
}
