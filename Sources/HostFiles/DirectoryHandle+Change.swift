package import BackupFormat
internal import CLinux

/// Changes to what is in a directory, by single names that are never followed. For targets of a restore: these calls are
/// not guarded against mounts that hang.
extension DirectoryHandle {
    package func makeDirectory(_ name: RawPath) throws(HostFilesError) {
        try check(linux_mkdirat(fd, name.bytes, name.bytes.count, 0o700), "make the folder", name)
    }

    /// A new file that only its owner may use, for writing and reading.
    package func createFile(_ name: RawPath) throws(HostFilesError) -> TargetFile {
        let flags = linux_O_RDWR | linux_O_CREAT | linux_O_EXCL | linux_O_NOFOLLOW
        let opened = linux_openat(fd, name.bytes, name.bytes.count, flags, 0o600)
        try check(min(opened, 0), "create", name)
        return TargetFile(fd: opened)
    }

    package func makeSymlink(_ name: RawPath, to target: [UInt8]) throws(HostFilesError) {
        try check(linux_symlinkat(target, target.count, fd, name.bytes, name.bytes.count), "make the link", name)
    }

    /// A FIFO, socket or device node. `deviceNumber` as `makedev` packs it.
    package func makeNode(_ name: RawPath, _ type: EntryType, deviceNumber: UInt64) throws(HostFilesError) {
        let result = linux_mknodat(fd, name.bytes, name.bytes.count, type.modeBits | 0o600, deviceNumber)
        try check(result, "make the special file", name)
    }

    /// Gives an entry another name in `directory`. `exists` if that is taken.
    package func link(_ name: RawPath, to newName: RawPath, in directory: DirectoryHandle) throws(HostFilesError) {
        let result = linux_linkat(fd, name.bytes, name.bytes.count, directory.fd, newName.bytes, newName.bytes.count, 0)
        try check(result, "link", newName)
    }

    /// Moves an entry, in place of what has that name there.
    package func rename(_ name: RawPath, to newName: RawPath, in directory: DirectoryHandle) throws(HostFilesError) {
        let result = linux_renameat2(fd, name.bytes, name.bytes.count, directory.fd, newName.bytes, newName.bytes.count, 0)
        try check(result, "write", newName)
    }

    /// Removes anything but a directory.
    package func remove(_ name: RawPath) throws(HostFilesError) {
        try check(linux_unlinkat(fd, name.bytes, name.bytes.count, 0), "remove", name)
    }

    package func removeDirectory(_ name: RawPath) throws(HostFilesError) {
        try check(linux_unlinkat(fd, name.bytes, name.bytes.count, linux_AT_REMOVEDIR), "remove the folder", name)
    }

    /// Makes durable all that was changed in the directory's file system. Throws too if data written since the directory was
    /// opened has been lost on its way to the disk.
    package func syncFileSystem() throws(HostFilesError) { try check(linux_syncfs(fd), "write to the disk", nil) }

    // MARK: Metadata; nil is the directory itself

    package func setOwner(_ name: RawPath?, user: UInt32, group: UInt32) throws(HostFilesError) {
        let bytes = name?.bytes ?? []
        try check(linux_chown(fd, bytes, bytes.count, user, group), "set the owner", name)
    }

    package func setMode(_ name: RawPath?, _ mode: UInt16) throws(HostFilesError) {
        guard let name else { return try check(linux_fchmod(fd, UInt32(mode)), "set the mode", nil) }
        try check(linux_chmod(fd, name.bytes, name.bytes.count, UInt32(mode)), "set the mode", name)
    }

    package func setModified(_ name: RawPath?, _ time: Timestamp) throws(HostFilesError) {
        let bytes = name?.bytes ?? []
        try check(linux_set_mtime(fd, bytes, bytes.count, time.seconds, time.nanoseconds), "set the time", name)
    }

    package func setAttribute(_ name: RawPath?, _ attribute: ExtendedAttribute) throws(HostFilesError) {
        let result =
            if let name {
                linux_setxattrat(
                    fd, name.bytes, name.bytes.count, attribute.name, attribute.name.count, attribute.value, attribute.value.count
                )
            } else {
                setExtendedAttribute(fd, attribute)
            }
        try check(result, "set an extended attribute", name)
    }

    package func removeAttribute(_ name: RawPath?, _ attribute: [UInt8]) throws(HostFilesError) {
        let result =
            if let name {
                linux_removexattrat(fd, name.bytes, name.bytes.count, attribute, attribute.count)
            } else {
                linux_fremovexattr(fd, attribute, attribute.count)
            }
        try check(result, "remove an extended attribute", name)
    }

    /// Takes the directory for this process alone, as long as it is open; false if another has it.
    package func lock() throws(HostFilesError) -> Bool {
        let result = linux_flock(fd, 1)
        if result == linux_would_block { return false }
        try check(result, "lock the folder", nil)
        return true
    }

    private func check(_ result: Int32, _ operation: String, _ name: RawPath?) throws(HostFilesError) {
        if result < 0 { throw HostFilesError(errno: -result, operation, path: name) }
    }
}

/// Users and groups of this machine.
package enum Accounts {
    package static var effectiveUser: UInt32 { linux_effective_uid() }

    /// The number of the user of that name, if there is one.
    package static func user(named name: [UInt8]) -> UInt32? { number(linux_user_id(name, name.count)) }

    /// The number of the group of that name, if there is one.
    package static func group(named name: [UInt8]) -> UInt32? { number(linux_group_id(name, name.count)) }

    private static func number(_ result: Int64) -> UInt32? { UInt32(exactly: result) }
}
