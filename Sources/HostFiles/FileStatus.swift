internal import CLinux

/// What kind of thing a directory entry is. The raw values are this program's own.
package enum FileType: UInt8, Sendable {
    case unknown = 0
    case regular = 1
    case directory = 2
    case symlink = 3
    case fifo = 4
    case socket = 5
    case characterDevice = 6
    case blockDevice = 7

    /// From a `mode` of stat.
    package init(mode: UInt32) {
        self =
            switch mode & 0o170000 {
            case 0o100000: .regular
            case 0o040000: .directory
            case 0o120000: .symlink
            case 0o010000: .fifo
            case 0o140000: .socket
            case 0o020000: .characterDevice
            case 0o060000: .blockDevice
            default: .unknown
            }
    }

    /// From a `d_type` of getdents64; some file systems give `unknown` always.
    package init(entryType: UInt8) {
        self =
            switch entryType {
            case 8: .regular
            case 4: .directory
            case 10: .symlink
            case 1: .fifo
            case 12: .socket
            case 2: .characterDevice
            case 6: .blockDevice
            default: .unknown
            }
    }

    /// The type bits of a `mode`; 0 for `unknown`.
    package var modeBits: UInt32 {
        switch self {
        case .unknown: 0
        case .regular: 0o100000
        case .directory: 0o040000
        case .symlink: 0o120000
        case .fifo: 0o010000
        case .socket: 0o140000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        }
    }
}

/// A device number in its two parts, which the kernel's packed form can't hold in a portable way.
package struct DeviceNumber: Hashable, Sendable {
    package var major: UInt32
    package var minor: UInt32

    package init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }
}

/// A moment as file systems keep it: seconds since 1970, negative before, and the nanoseconds after that second.
package struct FileTime: Hashable, Sendable, Comparable {
    package var seconds: Int64
    /// 0 to 999,999,999.
    package var nanoseconds: UInt32

    package init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package static func < (a: FileTime, b: FileTime) -> Bool {
        a.seconds == b.seconds ? a.nanoseconds < b.nanoseconds : a.seconds < b.seconds
    }
}

/// What `statx` tells of a file; symlinks are never followed.
package struct FileStatus: Sendable, Equatable {
    package var size: UInt64
    /// Blocks of 512 bytes that it really takes.
    package var blocks: UInt64
    package var inode: UInt64
    package var mtime: FileTime
    package var ctime: FileTime
    /// Type and permission bits, as `st_mode`.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var links: UInt32
    package var device: DeviceNumber
    /// What a device node stands for.
    package var rdev: DeviceNumber
    /// Which mount it was found in; nil where the kernel (before 5.8) does not tell.
    package var mountID: UInt64?
    /// It is the top of a mount.
    package var isMountRoot: Bool

    package var type: FileType { FileType(mode: mode) }
    /// Permission, set-id and sticky bits.
    package var permissions: UInt32 { mode & 0o7777 }
    /// It takes fewer blocks than its size needs, so it may have holes.
    package var mayBeSparse: Bool { blocks < size / 512 }

    @inline(__always)
    init(_ s: linux_status) {
        size = s.size
        blocks = s.blocks
        inode = s.inode
        mtime = FileTime(seconds: s.mtime_seconds, nanoseconds: s.mtime_nanoseconds)
        ctime = FileTime(seconds: s.ctime_seconds, nanoseconds: s.ctime_nanoseconds)
        mode = s.mode
        uid = s.uid
        gid = s.gid
        links = s.links
        device = DeviceNumber(major: s.device_major, minor: s.device_minor)
        rdev = DeviceNumber(major: s.rdev_major, minor: s.rdev_minor)
        mountID = s.has_mount_id != 0 ? s.mount_id : nil
        isMountRoot = s.is_mount_root != 0
    }
}
