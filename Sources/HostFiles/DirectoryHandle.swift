internal import BackupFormat
internal import CLinux

/// An open directory, through which all that is in it is reached: by one name at a time, and never through a symlink.
///
/// Names are single components, as raw bytes. Errors carry the name as their path. Beneath a mount that may hang, every
/// call goes through that mount's `SyscallGuard`; the caller sees the difference only as an error `hung`.
package final class DirectoryHandle: Sendable {
    let fd: Int32
    /// The guard of the mount that this directory lies in, if that may hang.
    package let mountGuard: SyscallGuard?
    /// Mounts that may hang, below this directory.
    let branch: MountBranch?

    /// Takes over `fd`.
    init(fd: Int32, mountGuard: SyscallGuard?, branch: MountBranch?) {
        self.fd = fd
        self.mountGuard = mountGuard
        self.branch = branch
    }

    deinit {
        if let mountGuard { mountGuard.close(fd) } else { _ = linux_close(fd) }
    }

    /// The status of an entry itself, symlink or not. Triggers no automount.
    @inline(__always)
    package func status(of name: UnsafeRawBufferPointer) throws(HostFilesError) -> FileStatus {
        if branch == nil && mountGuard == nil {
            var raw = linux_status()
            let result = linux_statx(fd, name.baseAddress, name.count, linux_AT_SYMLINK_NOFOLLOW, &raw)
            if result == 0 { return FileStatus(raw) }
            throw failure(result, "look at", name)
        }
        return try guardedStatus(of: name)
    }

    @inline(never)
    private func guardedStatus(of name: UnsafeRawBufferPointer) throws(HostFilesError) -> FileStatus {
        let (result, raw) = try perform("look at", name) { fd, name in
            var raw = linux_status()
            let result = linux_statx(fd, name.baseAddress, name.count, linux_AT_SYMLINK_NOFOLLOW, &raw)
            return (result, raw)
        }
        guard result == 0 else { throw failure(result, "look at", name) }
        return FileStatus(raw)
    }

    /// As `status(of:)`; nil where there is no such entry.
    package func statusIfPresent(of name: UnsafeRawBufferPointer) throws(HostFilesError) -> FileStatus? {
        let (result, raw) = try perform("look at", name) { fd, name in
            var raw = linux_status()
            let result = linux_statx(fd, name.baseAddress, name.count, linux_AT_SYMLINK_NOFOLLOW, &raw)
            return (result, raw)
        }
        if result == 0 { return FileStatus(raw) }
        if HostFilesError.code(of: -result) == .notFound { return nil }
        throw failure(result, "look at", name)
    }

    /// The status of the directory itself.
    package func status() throws(HostFilesError) -> FileStatus {
        let (result, raw) = try perform("look at", emptyName) { fd, _ in
            var raw = linux_status()
            let result = linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw)
            return (result, raw)
        }
        guard result == 0 else { throw HostFilesError(errno: -result, "look at the folder") }
        return FileStatus(raw)
    }

    /// Where a symlink points, at most ``Limits/linkTargetBytesMax`` bytes.
    package func readLink(_ name: UnsafeRawBufferPointer) throws(HostFilesError) -> [UInt8] {
        let (result, target) = try perform("read the link", name) { fd, name in
            var count: Int64 = 0
            let target = [UInt8](unsafeUninitializedCapacity: Limits.linkTargetBytesMax) { buffer, used in
                count = linux_readlinkat(fd, name.baseAddress, name.count, buffer.baseAddress, buffer.count)
                used = Int(max(0, count))
            }
            return (count, target)
        }
        guard result >= 0 else { throw failure(Int32(result), "read the link", name) }
        // The buffer is far larger than most targets, and the caller may keep this.
        return Array(target[...])
    }

    /// Opens a directory in this one; `notADirectory` if it is a symlink or anything else.
    package func openDirectory(_ name: UnsafeRawBufferPointer) throws(HostFilesError) -> DirectoryHandle {
        let childBranch = branch?.child(name)
        let childGuard = mountGuard ?? childBranch?.mountGuard
        let opened = try perform("open the folder", name) { fd, name in
            let flags = linux_O_RDONLY | linux_O_DIRECTORY | linux_O_NOFOLLOW | linux_O_NONBLOCK
            let result = openWithoutAccessTime(fd, name, flags)
            return Opened(result, result < 0 ? nil : DirectoryHandle(fd: result, mountGuard: childGuard, branch: childBranch))
        }
        guard let handle = opened.handle else { throw failure(opened.result, "open the folder", name) }
        return handle
    }

    /// Opens a regular file for reading, leaving its access time alone where that is permitted.
    /// `changed` if it is no regular file (any more).
    package func openFile(_ name: UnsafeRawBufferPointer) throws(HostFilesError) -> FileHandle {
        let mountGuard = mountGuard(for: name)
        let opened = try perform("open", name) { fd, name in
            // Without O_NONBLOCK, a FIFO that took the file's place would hold us until someone writes to it.
            let flags = linux_O_RDONLY | linux_O_NOFOLLOW | linux_O_NONBLOCK | linux_O_NOCTTY
            let result = openWithoutAccessTime(fd, name, flags)
            if result < 0 { return Opened<FileHandle>(result, nil) }
            var raw = linux_status()
            let looked = linux_statx(result, nil, 0, linux_AT_EMPTY_PATH, &raw)
            return Opened(looked, FileHandle(fd: result, status: FileStatus(raw), mountGuard: mountGuard))
        }
        // A symlink or a socket took its place.
        let replaced = opened.result == linux_too_many_links || opened.result == linux_no_such_address
        guard replaced || opened.result >= 0 else { throw failure(opened.result, "open", name) }
        guard let handle = opened.handle, handle.status.type == .file else {
            throw HostFilesError(
                .changed, "open", path: RawPath(bytes: Array(name)), detail: "another type of file took its place")
        }
        return handle
    }

    /// Makes `body`, given this directory's descriptor and the name, here or on a guard's thread.
    @inline(__always)
    func perform<T: Sendable>(
        _ operation: String, _ name: UnsafeRawBufferPointer,
        _ body: @escaping @Sendable (Int32, UnsafeRawBufferPointer) -> T
    ) throws(HostFilesError) -> T {
        guard let mountGuard = mountGuard(for: name) else { return body(fd, name) }
        let copy = Array(name)
        // The call keeps this handle alive: its descriptor is not closed, nor its number used anew, while the call lasts.
        return try mountGuard.run(operation, path: name) { [self] in copy.withUnsafeBytes { body(self.fd, $0) } }
    }

    /// The guard that calls on an entry must go through: this directory's, or that of a mount on the entry.
    @inline(__always)
    func mountGuard(for name: UnsafeRawBufferPointer) -> SyscallGuard? {
        if let mountGuard { return mountGuard }
        guard let branch else { return nil }
        return branch.child(name)?.mountGuard
    }

    func failure(_ result: Int32, _ operation: String, _ name: UnsafeRawBufferPointer) -> HostFilesError {
        HostFilesError(errno: -result, operation, path: name.isEmpty ? nil : RawPath(bytes: Array(name)))
    }
}

/// What opening gave: a negated errno, or a handle. Dropped on a guard's thread, the handle closes itself.
struct Opened<Handle: Sendable>: Sendable {
    let result: Int32
    let handle: Handle?
    init(_ result: Int32, _ handle: Handle?) {
        self.result = result
        self.handle = handle
    }
}

var emptyName: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

/// O_NOATIME is for the owner and root alone: others open without it. A lease (as Samba holds) on the file is broken by
/// the attempt, and gone some moments later.
private func openWithoutAccessTime(_ directory: Int32, _ name: UnsafeRawBufferPointer, _ flags: Int32) -> Int32 {
    var wanted = flags | linux_O_NOATIME
    var attempts = 0
    while true {
        let result = linux_openat(directory, name.baseAddress, name.count, wanted, 0)
        if result == linux_not_permitted && wanted != flags {
            wanted = flags
        } else if result == linux_would_block && attempts < 100 {
            attempts += 1
            sleep(milliseconds: 50)
        } else {
            return result
        }
    }
}
