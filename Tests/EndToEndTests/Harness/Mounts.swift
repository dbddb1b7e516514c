internal import CLinux
internal import Glibc
import Testing

/// A mount that goes with its owner. Only root can make one.
final class Mount {
    let path: String

    static var isPossible: Bool { geteuid() == 0 }

    /// A file system in memory, of a size such as `16m`.
    init(memoryAt path: String, size: String) throws {
        self.path = path
        try checked(linux_mount("bakare-test", path, "tmpfs", 0, "size=\(size),mode=0755"), "mount \(path)")
    }

    /// A folder once more, as a mount of its own of the same file system.
    init(bindAt path: String, to folder: String) throws {
        self.path = path
        let bind: UInt64 = 4096
        try checked(linux_mount(folder, path, "none", bind, ""), "mount \(path)")
    }

    /// A FUSE file system; `descriptor` is an open /dev/fuse whose other end the caller serves.
    init(fuseAt path: String, descriptor: Int32) throws {
        self.path = path
        try checked(
            linux_mount(
                "bakare-test", path, "fuse", 0, "fd=\(descriptor),rootmode=40000,user_id=0,group_id=0,allow_other"),
            "mount \(path)")
    }

    /// Another size, for a file system in memory.
    func resize(_ size: String) throws {
        let remount: UInt64 = 32
        try checked(linux_mount("bakare-test", path, "tmpfs", remount, "size=\(size)"), "remount \(path)")
    }

    /// As the system does with a disk that fails.
    func makeReadOnly() throws {
        let flags: UInt64 = 32 | 1
        try checked(linux_mount("bakare-test", path, "tmpfs", flags, ""), "remount \(path)")
    }

    func unmount() { _ = linux_unmount(path) }

    deinit { unmount() }
}

/// Disks that are files, for tests of what only a real file system does.
enum LoopDisk {
    /// What keeps them from being mounted here, if anything.
    static let obstacle: String? = {
        guard geteuid() == 0 else { return "needs root, to mount" }
        return access("/dev/loop-control", R_OK | W_OK) == 0 ? nil : "needs loop devices: modprobe loop"
    }()
    static var skipped: Comment { "a disk of its own \(obstacle ?? "can be made")" }

    /// Throws where the program is missing that makes file systems, which `make deps` installs.
    static func requireTools() throws {
        guard ["/sbin", "/usr/sbin"].contains(where: { access("\($0)/mkfs.ext4", X_OK) == 0 }) else {
            throw TestFailure("mkfs.ext4 is missing: make deps")
        }
    }
}
