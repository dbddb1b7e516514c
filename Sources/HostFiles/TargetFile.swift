package import BackupFormat
internal import CLinux

/// A file that is being written. Closes when the last reference goes; several threads may write different parts.
package final class TargetFile: Sendable {
    private let fd: Int32
    /// `EXT4_SUPER_MAGIC` of `<linux/magic.h>`.
    private static let ext4Magic: Int64 = 0xef53

    /// Takes over `fd`.
    init(fd: Int32) { self.fd = fd }

    deinit { _ = linux_close(fd) }

    package func status() throws(HostFilesError) -> FileStatus {
        var raw = linux_status()
        try check(linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw), "look at")
        return FileStatus(raw)
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HostFilesError) {
        guard let position = Int64(exactly: offset) else {
            throw HostFilesError(.unsupported, "write", detail: "offset too large")
        }
        try check(linux_pwrite_full(fd, bytes.baseAddress, bytes.count, position), "write")
    }

    /// Writes all of `bytes` at `offset`, leaving whole pages of them out of the page cache where the system can: it then
    /// takes as long as the disk does, but no memory and little processor time.
    package func writeUncached(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HostFilesError) {
        // A page that is written in part stays cached, for the part that comes next.
        let page: UInt64 = 4096
        let (end, overflow) = offset.addingReportingOverflow(UInt64(bytes.count) + page)
        guard !overflow else { throw HostFilesError(.unsupported, "write", detail: "offset too large") }
        let first = (offset + page - 1) / page * page
        let last = (end - page) / page * page
        guard first < last, let position = Int64(exactly: first) else { return try write(bytes, at: offset) }
        let head = Int(first - offset)
        let tail = Int(last - offset)
        try write(UnsafeRawBufferPointer(rebasing: bytes[..<head]), at: offset)
        let whole = UnsafeRawBufferPointer(rebasing: bytes[head..<tail])
        try check(linux_pwrite_full_uncached(fd, whole.baseAddress, whole.count, position), "write")
        try write(UnsafeRawBufferPointer(rebasing: bytes[tail...]), at: last)
    }

    /// Has the disk's place for these first bytes chosen at once, in one piece, where that is known to spare work: ext4 otherwise counts
    /// each block that is written and chooses when it goes to the disk. Only a wish, and not where they are more than half of what
    /// is free: others, other files of the same restore too, may need that first.
    package func reserve(_ bytes: UInt64) {
        var space = linux_space()
        guard let length = Int64(exactly: bytes), linux_fstatfs(fd, &space) == 0, space.type == TargetFile.ext4Magic,
            bytes <= space.available_bytes / 2
        else { return }
        _ = linux_allocate(fd, 0, length, 1)
    }

    /// Has what is not on the disk yet go there from now on, without waiting for it.
    package func beginWriteback() { _ = linux_sync_file_range(fd, 0, 0, linux_SYNC_FILE_RANGE_WRITE) }

    /// Cuts or extends the file; what is added is a hole.
    package func setSize(_ bytes: UInt64) throws(HostFilesError) {
        guard let size = Int64(exactly: bytes) else { throw HostFilesError(.unsupported, "set the size", detail: "too large") }
        try check(linux_ftruncate(fd, size), "set the size")
    }

    /// Reads from `offset` until `buffer` is full or the file ends; how many bytes that were.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(HostFilesError) -> Int {
        guard let position = Int64(exactly: offset) else { return 0 }
        let count = linux_pread_full(fd, buffer.baseAddress, buffer.count, position)
        try check(Int32(min(count, 0)), "read back")
        return Int(count)
    }

    /// Writes these bytes to the disk and drops them from memory, so that reading asks the disk.
    package func forgetCached(offset: UInt64, length: Int) throws(HostFilesError) {
        guard let position = Int64(exactly: offset) else { return }
        try check(linux_fdatasync(fd), "write to the disk")
        _ = linux_fadvise(fd, position, Int64(length), linux_FADV_DONTNEED)
    }

    package func setOwner(user: UInt32, group: UInt32) throws(HostFilesError) {
        try check(linux_chown(fd, nil, 0, user, group), "set the owner")
    }

    package func setMode(_ mode: UInt16) throws(HostFilesError) { try check(linux_fchmod(fd, UInt32(mode)), "set the mode") }

    package func setModified(_ time: Timestamp) throws(HostFilesError) {
        try check(linux_set_mtime(fd, nil, 0, time.seconds, time.nanoseconds), "set the time")
    }

    package func extendedAttributes() throws(HostFilesError) -> [ExtendedAttribute] {
        let (result, attributes) = readAttributes(descriptor: fd)
        try check(result, "read the extended attributes")
        return attributes
    }

    package func setAttribute(_ attribute: ExtendedAttribute) throws(HostFilesError) {
        try check(setExtendedAttribute(fd, attribute), "set an extended attribute")
    }

    package func removeAttribute(_ name: [UInt8]) throws(HostFilesError) {
        try check(linux_fremovexattr(fd, name, name.count), "remove an extended attribute")
    }

    private func check(_ result: Int32, _ operation: String) throws(HostFilesError) {
        if result < 0 { throw HostFilesError(errno: -result, operation) }
    }
}

func setExtendedAttribute(_ fd: Int32, _ attribute: ExtendedAttribute) -> Int32 {
    linux_fsetxattr(fd, attribute.name, attribute.name.count, attribute.value, attribute.value.count)
}

extension FileHandle {
    /// The same open file, to set its metadata: whatever bears its name by now is left alone.
    package func asTarget() throws(HostFilesError) -> TargetFile {
        let copy = linux_dup(fd)
        guard copy >= 0 else { throw HostFilesError(errno: -copy, "open once more") }
        return TargetFile(fd: copy)
    }

    /// Where the next data is from `offset` on, holes skipped; nil when there is nothing but a hole until the end.
    package func nextData(from offset: UInt64) throws(HostFilesError) -> UInt64? {
        guard let position = Int64(exactly: offset) else { return nil }
        let found = linux_seek(fd, position, linux_SEEK_DATA)
        if found == Int64(linux_no_such_address) { return nil }
        // A file system that has no SEEK_DATA: all of it may be data.
        if found == Int64(linux_invalid) { return offset }
        guard found >= 0 else { throw HostFilesError(errno: Int32(-found), "find the holes of") }
        return UInt64(found)
    }
}
