package import BackupFormat
internal import CLinux

extension EntryType {
    /// From a `mode` of stat. Linux knows no other types than these; one that appears later is nothing that can be read.
    package init(mode: UInt32) {
        self =
            switch mode & 0o170000 {
            case 0o100000: .file
            case 0o040000: .directory
            case 0o120000: .symlink
            case 0o010000: .fifo
            case 0o020000: .characterDevice
            case 0o060000: .blockDevice
            default: .socket
            }
    }

    /// From a `d_type` of getdents64: nil where the file system does not tell.
    package init?(entryType: UInt8) {
        switch entryType {
        case 8: self = .file
        case 4: self = .directory
        case 10: self = .symlink
        case 1: self = .fifo
        case 12: self = .socket
        case 2: self = .characterDevice
        case 6: self = .blockDevice
        default: return nil
        }
    }

    /// The type bits of a `mode`.
    package var modeBits: UInt32 {
        switch self {
        case .file: 0o100000
        case .directory: 0o040000
        case .symlink: 0o120000
        case .fifo: 0o010000
        case .socket: 0o140000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        }
    }
}

/// What `statx` tells of a file; symlinks are never followed.
package struct FileStatus: Sendable, Equatable {
    /// In bytes.
    package var size: UInt64
    /// Blocks of 512 bytes that it really takes.
    package var blocks: UInt64
    package var inode: UInt64
    package var modified: Timestamp
    package var changed: Timestamp
    /// Type and permission bits, as `st_mode`.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var linkCount: UInt32
    /// The device that it lies on, as `makedev` packs it.
    package var device: UInt64
    /// What a device node stands for, as `makedev` packs it.
    package var deviceNumber: UInt64
    /// Which mount it was found in; 0 where the kernel (before 5.8) does not tell.
    package var mountID: UInt64
    /// It is the top of a mount.
    package var isMountRoot: Bool

    package var type: EntryType { EntryType(mode: mode) }
    /// Permission, set-id and sticky bits.
    package var permissions: UInt16 { UInt16(mode & 0o7777) }
    /// Whether it is the top of another mount than its parent lies in.
    package func isMountPoint(in parent: FileStatus) -> Bool {
        mountID != 0 && parent.mountID != 0 ? mountID != parent.mountID : device != parent.device
    }
    /// It takes fewer blocks than its size needs, so it may have holes.
    package var mayBeSparse: Bool { blocks < size / 512 }

    /// Two runs of one seed see the same of files that were made alike.
    private mutating func makeRepeatable(_ turns: any ThreadTurns) {
        inode = turns.fileNumber(inode)
        // Of folders that the run itself was given.
        if type == .directory { modified = Timestamp(seconds: 0, nanoseconds: 0) }
        changed = modified
        device = 1
        mountID = 1
    }

    @inline(__always)
    init(_ s: linux_status) {
        size = s.size
        blocks = s.blocks
        inode = s.inode
        modified = Timestamp(seconds: s.mtime_seconds, nanoseconds: s.mtime_nanoseconds)
        changed = Timestamp(seconds: s.ctime_seconds, nanoseconds: s.ctime_nanoseconds)
        mode = s.mode
        uid = s.uid
        gid = s.gid
        linkCount = s.links
        device = s.device
        deviceNumber = s.device_number
        mountID = s.has_mount_id != 0 ? s.mount_id : 0
        isMountRoot = s.is_mount_root != 0
        if let installedTurns { makeRepeatable(installedTurns) }
    }
}
