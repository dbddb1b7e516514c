package import BackupFormat
internal import CLinux

/// One line of `/proc/self/mountinfo`.
package struct Mount: Sendable, Equatable {
    package let id: UInt64
    /// The device, as `makedev` packs it.
    package let device: UInt64
    /// Where it is mounted, as raw bytes.
    package let point: RawPath
    /// The type of the file system: "ext4", "fuse.sshfs".
    package let type: RawPath

    /// Its calls depend on a program or machine that may be gone, so they may never return.
    package var mayHang: Bool {
        let families = ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "gluster", "lustre", "ocfs2", "gfs2", "autofs"]
        let local = ["fuseblk", "fusectl", "nfsd"]
        if local.contains(where: { type.bytes.elementsEqual($0.utf8) }) { return type == "fuseblk" }
        if type == "coda" || type == "orangefs" || type == "vboxsf" || type == "prl_fs" || type == "virtiofs" || type == "beegfs"
        {
            return true
        }
        return families.contains { type.bytes.starts(with: $0.utf8) } || type == "sshfs" || type == "ncpfs"
    }
}

/// What is mounted where, as this process sees it, and which of it may hang.
package struct MountTable: Sendable {
    package let mounts: [Mount]
    /// Mounts that may hang, by path; nil when there is none.
    let branches: MountBranch?

    /// The mounts of this moment.
    package static func current(timeoutMilliseconds: Int = 30_000) throws(HostFilesError) -> MountTable {
        let path = RawPath("/proc/self/mountinfo")
        let fd = path.bytes.withUnsafeBytes { linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY, 0) }
        guard fd >= 0 else { throw HostFilesError(errno: -fd, "read the mounts from", path: path) }
        defer { _ = linux_close(fd) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { linux_read(fd, $0.baseAddress, $0.count) }
            guard count >= 0 else { throw HostFilesError(errno: Int32(-count), "read the mounts from", path: path) }
            if count == 0 { break }
            content.append(contentsOf: chunk[..<Int(count)])
        }
        return MountTable(parsing: content, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// From the text of a `mountinfo` (proc(5)); lines that make no sense are left out.
    package init(parsing content: [UInt8], timeoutMilliseconds: Int = 30_000) {
        mounts = content.split(separator: 0x0a).compactMap { MountTable.mount(line: $0) }
        // What is mounted last on a point hides what was there.
        var top: [RawPath: Mount] = [:]
        for mount in mounts { top[mount.point] = mount }
        let risky = mounts.filter { $0.mayHang && top[$0.point] == $0 }
        if risky.isEmpty {
            branches = nil
            return
        }
        var root = MountBranch.Builder()
        for mount in risky {
            let mountGuard = SyscallGuard(mountPoint: mount.point, timeoutMilliseconds: timeoutMilliseconds)
            root.insert(mount.point.components[...], mountGuard)
        }
        branches = root.build()
    }

    /// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw`
    private static func mount(line: ArraySlice<UInt8>) -> Mount? {
        let fields = line.split(separator: 0x20)
        guard fields.count >= 8, let dash = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual([0x2d]) }),
            dash + 1 < fields.count, let id = number(fields[0])
        else { return nil }
        let numbers = fields[2].split(separator: 0x3a)
        guard numbers.count == 2, let major = number(numbers[0]), let minor = number(numbers[1]) else { return nil }
        let device = linux_makedev(UInt32(truncatingIfNeeded: major), UInt32(truncatingIfNeeded: minor))
        return Mount(id: id, device: device, point: unescaped(fields[4]), type: unescaped(fields[dash + 1]))
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? { UInt64(String(decoding: digits, as: UTF8.self)) }

    /// Space, tab, newline and backslash stand as `\` and three octal digits.
    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> RawPath {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
                result.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return RawPath(bytes: result)
    }
}

/// A directory that is, or lies above, a mount that may hang.
final class MountBranch: Sendable {
    /// The guard of the mount that is exactly here.
    let mountGuard: SyscallGuard?
    private let children: [RawPath: MountBranch]

    private init(_ mountGuard: SyscallGuard?, _ children: [RawPath: MountBranch]) {
        self.mountGuard = mountGuard
        self.children = children
    }

    func child(_ name: UnsafeRawBufferPointer) -> MountBranch? {
        children.isEmpty ? nil : children[RawPath(bytes: Array(name))]
    }

    struct Builder {
        private var mountGuard: SyscallGuard?
        private var children: [RawPath: Builder] = [:]

        mutating func insert(_ path: ArraySlice<RawPath>, _ newGuard: SyscallGuard) {
            guard let first = path.first else {
                mountGuard = newGuard
                return
            }
            children[first, default: Builder()].insert(path.dropFirst(), newGuard)
        }

        func build() -> MountBranch { MountBranch(mountGuard, children.mapValues { $0.build() }) }
    }
}
