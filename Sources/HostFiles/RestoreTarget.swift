package import BackupFormat
internal import CLinux
internal import Synchronization

/// A directory into which files are brought back, with a place inside it where they are made ready.
///
/// Everything is reached by descriptors that were opened without following symlinks, so that none planted meanwhile leads
/// outside. New files appear under their names by one rename each, complete.
package final class RestoreTarget: Sendable {
    /// The name of the folder in the target in which files are made ready; removed at the end.
    package static let stagingName = RawPath(".bakare-restore")

    package let root: TargetDirectory
    private let staging: StagingArea

    /// Opens the directory `path`, following the symlinks in it, and making what is not there of it.
    ///
    /// What an interrupted restore left in the staging folder is removed, unless another restore is at work there.
    package init(opening path: RawPath, mounts: MountTable? = nil) throws(HostFilesError) {
        let handle = try RestoreTarget.makePath(path, mounts)
        staging = try StagingArea(in: handle)
        root = try TargetDirectory(handle: handle, staging: staging)
    }

    private static func makePath(_ path: RawPath, _ mounts: MountTable?) throws(HostFilesError) -> DirectoryHandle {
        do throws(HostFilesError) {
            return try DirectoryHandle.open(path, mounts: mounts)
        } catch  where error.code == .notFound {
            // Not there yet: the part above first.
        }
        let components = path.components
        guard let last = components.last else { throw HostFilesError(.notFound, "make the folder", path: path) }
        var above = RawPath(bytes: path.bytes.first == 0x2f ? [0x2f] : [0x2e])
        for component in components.dropLast() { above = above.appending(component) }
        let parent = try makePath(above, mounts)
        return try last.withBytes { name throws(HostFilesError) in
            let result = linux_mkdirat(parent.fd, name.baseAddress, name.count, 0o755)
            guard result == 0 || result == linux_exists else {
                throw HostFilesError(errno: -result, "make the folder", path: path)
            }
            return try parent.openDirectory(name)
        }
    }

    /// Has everything that was restored on disk before it returns.
    package func sync() throws(HostFilesError) {
        let result = linux_syncfs(root.handle.fd)
        guard result == 0 else { throw HostFilesError(errno: -result, "write to the disk") }
    }

    /// Removes the staging folder, unless another restore still uses it. To be called when all files are finished.
    package func removeStaging() throws(HostFilesError) {
        guard staging.claim() else { return }
        try RestoreTarget.stagingName.withBytes { name throws(HostFilesError) in try removeTree(root.handle, name) }
    }
}

/// Where files are made ready, and the names they have there.
final class StagingArea: Sendable {
    let handle: DirectoryHandle
    let status: FileStatus
    /// Owner that new files get here, and group if `givesOwnGroup`.
    let uid: UInt32
    let gid = linux_effective_gid()
    /// New files get this process's group, and not that of the folder.
    let givesOwnGroup: Bool
    private let tag: UInt64
    private let counter = Atomic<UInt64>(0)

    init(in root: DirectoryHandle) throws(HostFilesError) {
        let name = RestoreTarget.stagingName
        let user = linux_effective_uid()
        let handle = try name.withBytes { bytes throws(HostFilesError) in
            if let found = try root.statusIfPresent(of: bytes), found.type != .directory || found.uid != user {
                // Somebody else's folder would let him exchange what is made ready in it.
                try removeTree(root, bytes)
            }
            let made = linux_mkdirat(root.fd, bytes.baseAddress, bytes.count, 0o700)
            guard made == 0 || made == linux_exists else {
                throw HostFilesError(errno: -made, "make the folder", path: name)
            }
            let handle = try root.openDirectory(bytes)
            // A folder just made may show another owner: some network file systems and FAT do that to all files.
            let owner = try handle.status().uid
            guard made == 0 || owner == user else {
                throw HostFilesError(.permission, "use the folder", path: name, detail: "it has another owner")
            }
            return handle
        }
        // Also rids it of a set-group-id bit, and of ACLs, that it took from the target and would pass on.
        _ = linux_fchmod(handle.fd, 0o700)
        for attribute in ["system.posix_acl_default", "system.posix_acl_access"] {
            let bytes = Array(attribute.utf8)
            _ = bytes.withUnsafeBytes { linux_fremovexattr(handle.fd, $0.baseAddress, $0.count) }
        }
        let status = try handle.status()
        self.handle = handle
        self.status = status
        uid = status.uid
        givesOwnGroup = status.gid == linux_effective_gid()
        var tag: UInt64 = 0
        _ = linux_random(&tag, 8)
        self.tag = tag
        if claim() { try removeContents(handle) }
        // From here on others see that it is used, and leave what is in it alone.
        _ = linux_flock(handle.fd, 0)
    }

    /// Takes the folder for this process alone. False while another process uses it.
    func claim() -> Bool { linux_flock(handle.fd, 1) == 0 }

    /// A name that no other restore uses.
    func newName() -> RawPath {
        let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
        var bytes: [UInt8] = Array(".bakare-".utf8)
        appendHexadecimal(tag, to: &bytes)
        bytes.append(0x2d)
        appendHexadecimal(number, to: &bytes)
        return RawPath(bytes: bytes)
    }

    private func appendHexadecimal(_ number: UInt64, to bytes: inout [UInt8]) {
        let digits = max(1, (64 - number.leadingZeroBitCount + 3) / 4)
        for digit in stride(from: digits - 1, through: 0, by: -1) {
            let value = UInt8(truncatingIfNeeded: number >> UInt64(digit * 4)) & 0x0f
            bytes.append(value < 10 ? 0x30 + value : 0x57 + value)
        }
    }
}
