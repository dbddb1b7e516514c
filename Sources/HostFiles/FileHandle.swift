package import BackupFormat
internal import CLinux

/// A regular file that is open for reading.
package final class FileHandle: Sendable {
    let fd: Int32
    /// As it was when it was opened.
    package let status: FileStatus
    package let mountGuard: SyscallGuard?

    /// Takes over `fd`.
    init(fd: Int32, status: FileStatus, mountGuard: SyscallGuard?) {
        self.fd = fd
        self.status = status
        self.mountGuard = mountGuard
    }

    deinit {
        if let mountGuard { mountGuard.close(fd) } else { _ = linux_close(fd) }
    }

    /// As it is now: compare with `status` to see whether it changed while it was read.
    package func currentStatus() throws(HostFilesError) -> FileStatus {
        let (result, raw) = try perform("look at") { fd in
            var raw = linux_status()
            let result = linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw)
            return (result, raw)
        }
        guard result == 0 else { throw HostFilesError(errno: -result, "look at") }
        return FileStatus(raw)
    }

    /// Reads from `offset` until `buffer` is full or the file ends; how many bytes that were.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(HostFilesError) -> Int {
        guard let start = buffer.baseAddress, let position = Int64(exactly: offset) else { return 0 }
        let count: Int64
        if mountGuard == nil {
            count = linux_pread_full(fd, start, buffer.count, position)
        } else {
            let length = buffer.count
            let (result, bytes) = try perform("read") { fd in
                var result: Int64 = 0
                let bytes = [UInt8](unsafeUninitializedCapacity: length) { space, used in
                    result = linux_pread_full(fd, space.baseAddress, space.count, position)
                    used = Int(max(0, result))
                }
                return (result, bytes)
            }
            bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
            count = result
        }
        guard count >= 0 else { throw HostFilesError(errno: Int32(-count), "read") }
        return Int(count)
    }

    /// Asks the kernel to have these bytes ready soon. Only a hint: failure means nothing.
    package func willNeed(offset: UInt64, length: Int) { advise(offset, length, linux_FADV_WILLNEED) }

    /// Tells the kernel that the file will be read from start to end, so that it reads further ahead.
    package func willReadSequentially() { advise(0, 0, linux_FADV_SEQUENTIAL) }

    /// Lets the kernel forget these bytes. Only for files that were not cached before.
    package func willNotNeed(offset: UInt64, length: Int) { advise(offset, length, linux_FADV_DONTNEED) }

    private func advise(_ offset: UInt64, _ length: Int, _ advice: Int32) {
        guard mountGuard == nil, let position = Int64(exactly: offset) else { return }
        _ = linux_fadvise(fd, position, Int64(length), advice)
    }

    /// Where the data of a sparse file of that status is, in order, within its size. Nil for a file without holes.
    ///
    /// Of one in more than ``Limits/extentsMax`` parts the smallest holes are given as data.
    package func dataExtents(of status: FileStatus) throws(HostFilesError) -> [Extent]? {
        guard let size = Int64(exactly: status.size), size > 0, status.mayBeSparse else { return nil }
        let (result, extents) = try perform("find the holes of") { fd in findExtents(fd, size) }
        // EINVAL: a file system that has no SEEK_DATA.
        if result == linux_invalid || HostFilesError.code(of: -result) == .unsupported { return nil }
        guard result == 0 else { throw HostFilesError(errno: -result, "find the holes of") }
        return extents
    }

    /// Makes `body`, given the descriptor, here or on the guard's thread.
    @inline(__always)
    func perform<T: Sendable>(_ operation: String, _ body: @escaping @Sendable (Int32) -> T) throws(HostFilesError) -> T {
        guard let mountGuard else { return body(fd) }
        return try mountGuard.run(operation) { [self] in body(self.fd) }
    }
}

/// A negated errno or 0, and the extents; nil where they cover the whole file.
private func findExtents(_ fd: Int32, _ size: Int64) -> (Int32, [Extent]?) {
    var extents: [Extent] = []
    var smallestHole: UInt64 = 1
    var position: Int64 = 0
    while position < size {
        let start = linux_seek(fd, position, linux_SEEK_DATA)
        // ENXIO: nothing but a hole until the end.
        if start == Int64(linux_no_such_address) || start >= size { break }
        if start < 0 { return (Int32(start), nil) }
        let end = linux_seek(fd, start, linux_SEEK_HOLE)
        if end == Int64(linux_no_such_address) { break }  // the file became shorter
        if end < 0 { return (Int32(end), nil) }
        // A file system that gives no progress is not to be trusted with its holes.
        if end <= start { return (0, nil) }
        let stop = min(end, size)
        if extents.count >= Limits.extentsMax { smallestHole = fillHoles(of: &extents, largerThan: smallestHole) }
        extents.append(Extent(offset: UInt64(start), length: UInt64(stop - start)))
        position = stop
    }
    if extents.count == 1, extents[0].offset == 0, extents[0].length == UInt64(size) { return (0, nil) }
    return (0, extents)
}

/// Joins extents across the smallest holes, until at most half as many are left; gives the size that holes now have at least.
package func fillHoles(of extents: inout [Extent], largerThan smallest: UInt64) -> UInt64 {
    let wanted = extents.count / 2
    var smallest = smallest
    while extents.count > max(wanted, 1) {
        smallest = smallest &* 4
        var joined: [Extent] = []
        for extent in extents {
            if let last = joined.last, extent.offset - (last.offset + last.length) < smallest {
                joined[joined.count - 1].length = extent.offset + extent.length - last.offset
            } else {
                joined.append(extent)
            }
        }
        extents = joined
    }
    return smallest
}
