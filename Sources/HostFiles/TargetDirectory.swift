package import BackupFormat
internal import CLinux

/// A directory of a restore target. Names are single components; whatever tries to be more is refused.
///
/// What is made replaces what has its name, a directory with all that is in it; mounts are never removed.
package final class TargetDirectory: Sendable {
    /// For looking at and reading what is there.
    package let handle: DirectoryHandle
    let staging: StagingArea
    /// Files can be moved from the staging folder to here.
    private let isOnStagingMount: Bool

    init(handle: DirectoryHandle, staging: StagingArea) throws(HostFilesError) {
        self.handle = handle
        self.staging = staging
        let status = try handle.status()
        isOnStagingMount = status.device == staging.status.device && status.mountID == staging.status.mountID
    }

    /// Opens a directory in this one; `notADirectory` if it is anything else, `notFound` if it is not there.
    package func openDirectory(_ name: RawPath) throws(HostFilesError) -> TargetDirectory {
        try checkName(name)
        let child = try name.withBytes { bytes throws(HostFilesError) in try handle.openDirectory(bytes) }
        return try TargetDirectory(handle: child, staging: staging)
    }

    /// Makes a directory, or opens the one there. It can be written into at once; its metadata is set when it is full.
    package func makeDirectory(_ name: RawPath) throws(HostFilesError) -> TargetDirectory {
        try checkName(name)
        return try name.withBytes { bytes throws(HostFilesError) in
            var result = linux_mkdirat(handle.fd, bytes.baseAddress, bytes.count, 0o700)
            if result == linux_exists {
                let found = try handle.status(of: bytes)
                if found.type != .directory {
                    try removeTree(handle, bytes)
                    result = linux_mkdirat(handle.fd, bytes.baseAddress, bytes.count, 0o700)
                } else {
                    // Our own folder that we had closed to ourselves.
                    if found.permissions & 0o700 != 0o700, found.uid == staging.uid, staging.uid != 0 {
                        _ = linux_chmod(handle.fd, bytes.baseAddress, bytes.count, UInt32(found.permissions) | 0o700)
                    }
                    result = 0
                }
            }
            guard result == 0 else { throw HostFilesError(errno: -result, "make the folder", path: name) }
            return try TargetDirectory(handle: try handle.openDirectory(bytes), staging: staging)
        }
    }

    /// Gives this directory its metadata. Last of all: later changes in it would set its time anew.
    /// What could not be set, as the owner for one who is not root.
    package func finish(_ metadata: FileMetadata, path: RawPath) throws(HostFilesError) -> [HostFilesError] {
        let status = try handle.status()
        return apply(
            metadata, to: MetadataPlace(fd: handle.fd, name: emptyName), type: .directory, uid: status.uid, gid: status.gid,
            hasAttributes: true, path: path)
    }

    /// Gives an entry that is not a directory new metadata, in place. The status is what it has now.
    package func setMetadata(_ name: RawPath, _ metadata: FileMetadata, status: FileStatus) throws(HostFilesError)
        -> [HostFilesError]
    {
        try checkName(name)
        return try name.withBytes { bytes throws(HostFilesError) in
            apply(
                metadata, to: MetadataPlace(fd: handle.fd, name: bytes), type: status.type, uid: status.uid, gid: status.gid,
                hasAttributes: true, path: name)
        }
    }

    /// An empty file without its final name yet.
    package func stageFile() throws(HostFilesError) -> StagedFile {
        let place = isOnStagingMount ? staging.handle : handle
        return try StagedFile(place: place, name: staging.newName(), isClean: isOnStagingMount, staging: staging)
    }

    /// Makes a symlink; what of its metadata could not be set.
    package func makeSymlink(
        _ name: RawPath, to target: [UInt8], _ metadata: FileMetadata
    ) throws(HostFilesError) -> [HostFilesError] {
        try make(name, .symlink, metadata, "make the symlink") { fd, temporary in
            target.withUnsafeBytes {
                linux_symlinkat($0.baseAddress, $0.count, fd, temporary.baseAddress, temporary.count)
            }
        }
    }

    /// Makes a FIFO, a socket or a device node; what of its metadata could not be set.
    package func makeNode(
        _ name: RawPath, _ type: EntryType, deviceNumber: UInt64 = 0, _ metadata: FileMetadata
    ) throws(HostFilesError) -> [HostFilesError] {
        guard type != .file, type != .directory, type != .symlink else {
            throw HostFilesError(.unsupported, "make the node", path: name)
        }
        return try make(name, type, metadata, "make the node") { fd, temporary in
            linux_mknodat(fd, temporary.baseAddress, temporary.count, type.modeBits | 0o600, deviceNumber)
        }
    }

    private func make(
        _ name: RawPath, _ type: EntryType, _ metadata: FileMetadata, _ operation: String,
        _ create: (Int32, UnsafeRawBufferPointer) -> Int32
    ) throws(HostFilesError) -> [HostFilesError] {
        try checkName(name)
        let place = isOnStagingMount ? staging.handle : handle
        return try staging.newName().withBytes { temporary throws(HostFilesError) in
            let result = create(place.fd, temporary)
            guard result == 0 else { throw HostFilesError(errno: -result, operation, path: name) }
            do throws(HostFilesError) {
                let made = try place.status(of: temporary)
                let problems = apply(
                    metadata, to: MetadataPlace(fd: place.fd, name: temporary), type: type, uid: made.uid, gid: made.gid,
                    hasAttributes: !isOnStagingMount, path: name)
                try publish(place, temporary, as: name)
                return problems
            } catch {
                _ = linux_unlinkat(place.fd, temporary.baseAddress, temporary.count, 0)
                throw error
            }
        }
    }

    /// Makes another name of a file (or symlink) that was restored before.
    ///
    /// `changed` if that is not the file with `inode` any more.
    package func makeHardLink(
        _ name: RawPath, to other: RawPath, in directory: TargetDirectory, inode: UInt64
    ) throws(HostFilesError) {
        try checkName(name)
        try checkName(other)
        try name.withBytes { bytes throws(HostFilesError) in
            if let found = try handle.statusIfPresent(of: bytes), found.inode == inode,
                try other.withBytes({ bytes throws(HostFilesError) in try directory.handle.status(of: bytes) }).device
                    == found.device
            {
                return
            }
            let place = isOnStagingMount ? staging.handle : handle
            try staging.newName().withBytes { temporary throws(HostFilesError) in
                let result = other.bytes.withUnsafeBytes {
                    linux_linkat(
                        directory.handle.fd, $0.baseAddress, $0.count, place.fd, temporary.baseAddress, temporary.count, 0)
                }
                guard result == 0 else { throw HostFilesError(errno: -result, "make the hard link", path: name) }
                do throws(HostFilesError) {
                    guard try place.status(of: temporary).inode == inode else {
                        throw HostFilesError(.changed, "make the hard link", path: name, detail: "another file took its place")
                    }
                    try publish(place, temporary, as: name)
                    // A rename between two names of one file does nothing: if someone else was first, ours is left.
                    _ = linux_unlinkat(place.fd, temporary.baseAddress, temporary.count, 0)
                } catch {
                    _ = linux_unlinkat(place.fd, temporary.baseAddress, temporary.count, 0)
                    throw error
                }
            }
        }
    }

    /// Moves what is ready to its final name, in place of what has that name.
    func publish(_ place: DirectoryHandle, _ temporary: UnsafeRawBufferPointer, as name: RawPath) throws(HostFilesError) {
        try name.withBytes { bytes throws(HostFilesError) in
            func rename() -> Int32 {
                linux_renameat2(
                    place.fd, temporary.baseAddress, temporary.count, handle.fd, bytes.baseAddress, bytes.count, 0)
            }
            var result = rename()
            if HostFilesError.code(of: -result) == .isADirectory {
                try removeTree(handle, bytes)
                result = rename()
            }
            guard result == 0 else { throw HostFilesError(errno: -result, "put in place", path: name) }
        }
    }

    /// Removes an entry, a directory with all that is in it. Nothing happens if it is not there.
    package func remove(_ name: RawPath) throws(HostFilesError) {
        try checkName(name)
        try name.withBytes { bytes throws(HostFilesError) in try removeTree(handle, bytes) }
    }

    /// Removes all entries that are not wanted. `isWanted` is asked for each, in byte order; `removed` hears of each that
    /// went (or, with `dryRun`, would go), and of why one could not.
    package func removeExtraneous(
        _ listing: SortedListing, dryRun: Bool = false, isWanted: (UnsafeRawBufferPointer) throws(HostFilesError) -> Bool,
        removed: (UnsafeRawBufferPointer, HostFilesError?) -> Void
    ) throws(HostFilesError) {
        try listing.read(handle)
        while let entry = try listing.next() {
            if try isWanted(entry.name) { continue }
            if entry.name.elementsEqual(RestoreTarget.stagingName.bytes), entry.inodeHint == staging.status.inode { continue }
            do throws(HostFilesError) {
                if !dryRun { try removeTree(handle, entry.name) }
                removed(entry.name, nil)
            } catch {
                removed(entry.name, error)
            }
        }
    }

    private func checkName(_ name: RawPath) throws(HostFilesError) {
        if !name.bytes.withUnsafeBytes({ isValidName($0) }) {
            throw HostFilesError(.unsupported, "restore", path: name, detail: "it is not a file's name")
        }
    }
}
