internal import CLinux
internal import Glibc

/// All that a backup promises to bring back of one file.
struct FileState: Equatable {
    var mode: UInt32
    var uid: UInt32
    var gid: UInt32
    var seconds: Int64
    var nanoseconds: UInt32
    /// 0 for a folder, whose size is the file system's own business.
    var size: UInt64
    /// What a device node stands for.
    var device: UInt64
    /// Of a symbolic link.
    var target: Bytes
    var attributes: [Bytes: Bytes]
    /// Same for the same content, wherever its holes are.
    var contentHash: UInt64
    /// The first path, in byte order, of the hard-link group; empty for a file with one name.
    var group: Bytes

    /// What differs, for messages.
    func difference(from other: FileState) -> String {
        var parts: [String] = []
        func compare<Value: Equatable>(_ name: String, _ path: KeyPath<FileState, Value>) {
            if self[keyPath: path] != other[keyPath: path] {
                parts.append("\(name) \(self[keyPath: path]) → \(other[keyPath: path])")
            }
        }
        if mode != other.mode { parts.append("mode \(String(mode, radix: 8)) → \(String(other.mode, radix: 8))") }
        compare("uid", \.uid)
        compare("gid", \.gid)
        compare("mtime", \.seconds)
        compare("mtime ns", \.nanoseconds)
        compare("size", \.size)
        compare("device", \.device)
        compare("target", \.target)
        compare("xattrs", \.attributes)
        compare("content", \.contentHash)
        if group != other.group { parts.append("hard-link group \(shown(group)) → \(shown(other.group))") }
        return parts.joined(separator: ", ")
    }
}

/// A folder with all that is below it at one moment, by path relative to it; the folder itself is the empty path.
struct TreeState {
    var files: [Bytes: FileState] = [:]
    /// Blocks of 512 bytes that each regular file takes.
    var blocks: [Bytes: UInt64] = [:]

    init(of path: String) throws { try self.init(of: Folder(path)) }

    init(of folder: Folder) throws {
        var groups: [UInt64: Bytes] = [:]
        files[[]] = try TreeState.look(at: Bytes(".".utf8), in: folder, path: [], &groups).0
        try add(folder, path: [], &groups)
    }

    private mutating func add(_ folder: Folder, path: Bytes, _ groups: inout [UInt64: Bytes]) throws {
        for name in try folder.names() {
            let inner = path.isEmpty ? name : path + [0x2f] + name
            let (state, taken) = try TreeState.look(at: name, in: folder, path: inner, &groups)
            files[inner] = state
            if state.mode & linux_S_IFMT == linux_S_IFREG { blocks[inner] = taken }
            if state.mode & linux_S_IFMT == linux_S_IFDIR { try add(try folder.folder(name), path: inner, &groups) }
        }
    }

    private static func look(
        at name: Bytes, in folder: Folder, path: Bytes, _ groups: inout [UInt64: Bytes]
    ) throws -> (FileState, UInt64) {
        let status = try folder.status(name)
        let type = status.mode & linux_S_IFMT
        let isFolder = type == linux_S_IFDIR
        var state = FileState(
            mode: status.mode, uid: status.uid, gid: status.gid, seconds: status.mtime_seconds,
            nanoseconds: status.mtime_nanoseconds, size: isFolder ? 0 : status.size,
            device: status.device_number,
            target: [], attributes: try attributes(of: name, in: folder), contentHash: 0, group: [])
        if type == linux_S_IFLNK {
            var target = Bytes(repeating: 0, count: 4096)
            let count = try checked(
                linux_readlinkat(folder.descriptor, name, name.count, &target, target.count), "readlink \(shown(name))")
            state.target = Array(target.prefix(Int(count)))
        }
        if !isFolder && status.links > 1 {
            let first = groups[status.inode] ?? path
            groups[status.inode] = first
            state.group = first
        }
        if type == linux_S_IFREG { state.contentHash = try hash(name, in: folder, size: Int64(status.size)) }
        return (state, status.blocks)
    }

    private static func attributes(of name: Bytes, in folder: Folder) throws -> [Bytes: Bytes] {
        var buffer = Bytes(repeating: 0, count: 1 << 16)
        let length = linux_listxattrat(folder.descriptor, name, name.count, &buffer, buffer.count)
        if length == Int64(-EOPNOTSUPP) { return [:] }
        try checked(length, "listxattr \(shown(name))")
        var found: [Bytes: Bytes] = [:]
        for key in buffer.prefix(Int(length)).split(separator: 0).map(Array.init) {
            var value = Bytes(repeating: 0, count: 1 << 16)
            let count = try checked(
                linux_getxattrat(folder.descriptor, name, name.count, key, key.count, &value, value.count), "getxattr")
            found[key] = Array(value.prefix(Int(count)))
        }
        return found
    }

    /// Mixes every 4 KiB block that is not all zeros with its place; holes are skipped unread.
    private static func hash(_ name: Bytes, in folder: Folder, size: Int64) throws -> UInt64 {
        let file = try folder.open(name, linux_O_RDONLY | linux_O_NONBLOCK)
        defer { _ = linux_close(file) }
        var sum: UInt64 = 0
        var offset: Int64 = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
        defer { buffer.deallocate() }
        while offset < size {
            let data = linux_seek(file, offset, linux_SEEK_DATA)
            if data == Int64(-ENXIO) { break }
            let start = data < 0 ? offset : data / 4096 * 4096
            let found = data < 0 ? size : linux_seek(file, max(offset, data), linux_SEEK_HOLE)
            let end = found < 0 ? size : found
            var at = start
            while at < end {
                let count = Int(try checked(linux_pread_full(file, buffer.baseAddress, buffer.count, at), "read \(shown(name))"))
                if count == 0 { break }
                for index in count..<min(buffer.count, (count + 4095) / 4096 * 4096) { buffer[index] = 0 }
                for block in stride(from: 0, to: count, by: 4096) {
                    sum &+= blockHash(
                        UnsafeRawBufferPointer(rebasing: buffer[block..<(block + 4096)]), UInt64(at) + UInt64(block))
                }
                at += Int64(count)
            }
            offset = (max(at, end) + 4095) / 4096 * 4096
        }
        return sum
    }

    private static func blockHash(_ block: UnsafeRawBufferPointer, _ offset: UInt64) -> UInt64 {
        var hash: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ (offset &* 0xff51_afd7_ed55_8ccd)
        var any: UInt64 = 0
        for word in block.assumingMemoryBound(to: UInt64.self) {
            any |= word
            hash = (hash ^ word) &* 0xc4ce_b9fe_1a85_ec53
            hash ^= hash >> 29
        }
        return any == 0 ? 0 : hash
    }

    /// What differs between this state (as it was) and another (as it is), a line each, 12 at most.
    /// Paths below one of `ignoring` are passed over.
    func differences(from other: TreeState, comparingBlocks: Bool = false, ignoring: Set<Bytes> = []) -> [String] {
        var lines: [String] = []
        for (path, state) in files where !ignoring.contains(path) {
            guard let found = other.files[path] else {
                lines.append("missing: \(shown(path))")
                continue
            }
            if found != state { lines.append("differs: \(shown(path)): \(state.difference(from: found))") }
            if comparingBlocks, let before = blocks[path], let after = other.blocks[path], after > before + 64 {
                lines.append("holes lost: \(shown(path)): \(before) → \(after) blocks")
            }
        }
        for path in other.files.keys where files[path] == nil && !ignoring.contains(path) {
            lines.append("extra: \(shown(path))")
        }
        lines.sort()
        if lines.count > 12 { lines = lines.prefix(12) + ["… and \(lines.count - 12) more"] }
        return lines
    }
}
