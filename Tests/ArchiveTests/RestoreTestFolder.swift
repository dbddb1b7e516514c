import BackupFormat
import Glibc
import HostFiles

/// A temporary folder, removed in the end, and a look at it that shares no code with the restore.
final class TestFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/bakare-restore-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/tmp/bakare-none"
        }
    }

    deinit { removeTree(path) }

    var target: RawPath { RawPath(path + "/t") }

    func write(_ name: String, _ bytes: [UInt8]) {
        let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        _ = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    }

    func read(_ name: String) -> [UInt8]? { contentOf(path + "/" + name) }
    func exists(_ name: String) -> Bool { statusOf(path + "/" + name) != nil }
    func makeFolder(_ name: String) { mkdir(path + "/" + name, 0o755) }

    /// Everything below `t`, by path.
    func look() -> [String: Seen] {
        var seen: [String: Seen] = [:]
        func visit(_ folder: String, _ prefix: String) {
            for name in names(folder) {
                guard let status = statusOf(folder + "/" + name) else { continue }
                let one = Seen(folder + "/" + name, status)
                seen[prefix + name] = one
                if one.type == S_IFDIR { visit(folder + "/" + name, prefix + name + "/") }
            }
        }
        visit(path + "/t", "")
        return seen
    }
}

/// What a file system holds under one name.
struct Seen: Equatable, CustomStringConvertible {
    var type: UInt32
    var mode: UInt32
    var uid: UInt32
    var gid: UInt32
    var seconds: Int
    var nanoseconds: Int
    var content: [UInt8] = []
    var attributes: [String: [UInt8]] = [:]
    var device: UInt64 = 0
    var description: String {
        "type \(String(type, radix: 8)) mode \(String(mode, radix: 8)) \(uid):\(gid) \(seconds).\(nanoseconds) "
            + "content \(content.count):\(content.prefix(8)) \(attributes) \(device)"
    }

    init(_ path: String, _ status: stat) {
        type = status.st_mode & S_IFMT
        mode = status.st_mode & 0o7777
        uid = status.st_uid
        gid = status.st_gid
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
        if type == S_IFREG { content = contentOf(path) ?? [] }
        if type == S_IFLNK { content = linkOf(path) }
        if type == S_IFCHR || type == S_IFBLK { device = UInt64(status.st_rdev) }
        attributes = attributesOf(path)
    }

    /// What an entry should look like.
    init(_ node: TestNode) {
        let types: [EntryType: UInt32] = [
            .file: S_IFREG, .directory: S_IFDIR, .symlink: S_IFLNK, .fifo: S_IFIFO, .socket: S_IFSOCK, .characterDevice: S_IFCHR,
            .blockDevice: S_IFBLK,
        ]
        type = types[node.entry.type] ?? 0
        mode = UInt32(node.entry.mode)
        uid = node.entry.uid
        gid = node.entry.gid
        seconds = Int(node.entry.modified.seconds)
        nanoseconds = Int(node.entry.modified.nanoseconds)
        content = node.content
        if case .inline(let target) = node.entry.content { content = target }
        device = node.entry.deviceNumber
        for attribute in node.entry.attributes { attributes[String(decoding: attribute.name, as: UTF8.self)] = attribute.value }
    }
}

/// What a tree should look like once restored, by path.
func expected(_ children: [TestNode]) -> [String: Seen] {
    var seen: [String: Seen] = [:]
    func visit(_ nodes: [TestNode], _ prefix: String) {
        for node in nodes {
            let path = prefix + node.entry.name.bytes.map { String(Unicode.Scalar($0)) }.joined()
            seen[path] = Seen(node)
            visit(node.children, path + "/")
        }
    }
    visit(children, "")
    return seen
}

func statusOf(_ path: String) -> stat? {
    var status = stat()
    return withBytes(path) { lstat($0, &status) } == 0 ? status : nil
}

/// Paths hold one character a byte, so that any bytes can stand in them.
func withBytes<R>(_ path: String, _ body: (UnsafeMutablePointer<CChar>) -> R) -> R {
    var bytes = path.unicodeScalars.map { CChar(bitPattern: UInt8(truncatingIfNeeded: $0.value)) } + [0]
    return bytes.withUnsafeMutableBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
}

private func names(_ folder: String) -> [String] {
    guard let stream = withBytes(folder, { opendir($0) }) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        let name = bytes.map { String(Unicode.Scalar($0)) }.joined()
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

private func contentOf(_ path: String) -> [UInt8]? {
    let file = withBytes(path) { open($0, O_RDONLY | O_NOFOLLOW) }
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(file, &buffer, buffer.count)
        if count <= 0 { return bytes }
        bytes += buffer[..<count]
    }
}

private func linkOf(_ path: String) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { buffer in
        buffer.withMemoryRebound(to: CChar.self) { target in
            target.baseAddress.map { target in withBytes(path) { readlink($0, target, 4096) } } ?? 0
        }
    }
    return Array(buffer[..<max(0, count)])
}

private func attributesOf(_ path: String) -> [String: [UInt8]] {
    let bytes = path.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
    guard let slash = bytes.lastIndex(of: 0x2f), let folder = try? DirectoryHandle.open(RawPath(bytes: Array(bytes[..<slash])))
    else {
        return ["unreadable": []]
    }
    let found = try? RawPath(bytes: Array(bytes[(slash + 1)...])).withBytes { name throws(HostFilesError) in
        try folder.extendedAttributes(of: name)
    }
    return Dictionary((found ?? []).map { (String(decoding: $0.name, as: UTF8.self), $0.value) }) { first, _ in first }
}

/// Removes a folder with all it holds.
func removeTree(_ path: String) {
    for name in names(path) {
        let child = path + "/" + name
        if let status = statusOf(child), status.st_mode & S_IFMT == S_IFDIR {
            removeTree(child)
        } else {
            _ = withBytes(child) { unlink($0) }
        }
    }
    _ = withBytes(path) { rmdir($0) }
}
