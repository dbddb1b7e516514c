package import BackupFormat
internal import CLinux

/// How much room a file system has, in bytes.
package struct FreeSpace: Sendable, Equatable {
    package let totalBytes: UInt64
    package let freeBytes: UInt64
    /// What this user may still use of it: a part is often kept for root.
    package let availableBytes: UInt64
    package let freeInodes: UInt64

    /// Of the file system that `path` is in.
    package init(at path: RawPath) throws(HostFilesError) {
        let directory = try DirectoryHandle.open(path)
        try self.init(of: directory)
    }

    /// Of the file system that a directory is in.
    package init(of directory: DirectoryHandle) throws(HostFilesError) {
        let (result, space) = try directory.perform("find the free space of", emptyName) { fd, _ in
            var space = linux_space()
            let result = linux_fstatfs(fd, &space)
            return (result, space)
        }
        guard result == 0 else { throw HostFilesError(errno: -result, "find the free space of the folder") }
        totalBytes = space.total_bytes
        freeBytes = space.free_bytes
        availableBytes = space.available_bytes
        freeInodes = space.free_inodes
    }
}

/// What this process takes of the machine.
package enum ProcessFigures {
    /// The most memory it ever held at once, in bytes (`VmHWM`); 0 where `/proc` is not mounted.
    package static func memoryBytesPeak() -> Int { statusLine("VmHWM:") }

    /// The memory that it holds now, in bytes (`VmRSS`).
    package static func memoryBytes() -> Int { statusLine("VmRSS:") }

    /// Lets it open as many files as the system permits it; how many these are.
    @discardableResult
    package static func raiseOpenFiles() -> Int { Int(max(0, linux_raise_open_files())) }

    /// `VmHWM:     1234 kB`
    private static func statusLine(_ label: String) -> Int {
        let path = RawPath("/proc/self/status")
        let fd = path.bytes.withUnsafeBytes { linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY, 0) }
        guard fd >= 0 else { return 0 }
        defer { _ = linux_close(fd) }
        var text = [UInt8](repeating: 0, count: 8192)
        let count = text.withUnsafeMutableBytes { linux_read(fd, $0.baseAddress, $0.count) }
        for line in text[..<Int(max(0, count))].split(separator: 0x0a) where line.starts(with: label.utf8) {
            var number = 0
            for digit in line where (0x30...0x39).contains(digit) { number = number &* 10 &+ Int(digit - 0x30) }
            return number &* 1024
        }
        return 0
    }
}
