internal import CLinux
internal import Glibc

typealias Bytes = [UInt8]

/// An open directory; all is done relative to it, so that no path is ever too long. Names are raw bytes.
final class Folder {
    let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    init(_ path: String) throws {
        let bytes = Bytes(path.utf8)
        let flags = linux_O_RDONLY | linux_O_DIRECTORY | linux_O_CLOEXEC
        descriptor = try checked(linux_openat(linux_AT_FDCWD, bytes, bytes.count, flags, 0), "open \(path)")
    }

    deinit { if descriptor >= 0 { _ = linux_close(descriptor) } }

    func folder(_ name: Bytes) throws -> Folder {
        let flags = linux_O_RDONLY | linux_O_DIRECTORY | linux_O_NOFOLLOW | linux_O_CLOEXEC
        return Folder(descriptor: try checked(linux_openat(descriptor, name, name.count, flags, 0), "open \(shown(name))"))
    }

    @discardableResult
    func makeFolder(_ name: Bytes) throws -> Folder {
        try checked(linux_mkdirat(descriptor, name, name.count, 0o755), "mkdir \(shown(name))")
        return try folder(name)
    }

    func open(_ name: Bytes, _ flags: Int32) throws -> Int32 {
        try checked(
            linux_openat(descriptor, name, name.count, flags | linux_O_CLOEXEC | linux_O_NOFOLLOW, 0o644), "open \(shown(name))")
    }

    /// Makes or replaces the content of a file.
    func write(_ name: Bytes, _ content: Bytes) throws {
        let file = try open(name, linux_O_WRONLY | linux_O_CREAT | linux_O_TRUNC)
        defer { _ = linux_close(file) }
        try checked(linux_pwrite_full(file, content, content.count, 0), "write \(shown(name))")
    }

    /// Writes into a file, which is made if it is missing, and leaves the rest as it is.
    func write(_ name: Bytes, _ content: Bytes, at offset: Int) throws {
        let file = try open(name, linux_O_WRONLY | linux_O_CREAT)
        defer { _ = linux_close(file) }
        try checked(linux_pwrite_full(file, content, content.count, Int64(offset)), "write \(shown(name))")
    }

    func truncate(_ name: Bytes, to size: Int) throws {
        let file = try open(name, linux_O_WRONLY | linux_O_CREAT)
        defer { _ = linux_close(file) }
        try checked(linux_ftruncate(file, Int64(size)), "truncate \(shown(name))")
    }

    func read(_ name: Bytes) throws -> Bytes {
        let file = try open(name, linux_O_RDONLY)
        defer { _ = linux_close(file) }
        let size = Int(try status(name).size)
        var content = Bytes(repeating: 0, count: size)
        let count = try checked(linux_pread_full(file, &content, size, 0), "read \(shown(name))")
        return Array(content.prefix(Int(count)))
    }

    func status(_ name: Bytes) throws -> linux_status {
        var found = linux_status()
        try checked(
            linux_statx(descriptor, name, name.count, linux_AT_SYMLINK_NOFOLLOW, &found), "stat \(shown(name))")
        return found
    }

    func has(_ name: Bytes) -> Bool { (try? status(name)) != nil }

    func names() throws -> [Bytes] {
        try checked(linux_seek(descriptor, 0, SEEK_SET), "rewind")
        var buffer = Bytes(repeating: 0, count: 1 << 16)
        var names: [Bytes] = []
        while true {
            let count = Int(try checked(linux_getdents64(descriptor, &buffer, buffer.count), "list"))
            if count == 0 { return names.sorted { $0.lexicographicallyPrecedes($1) } }
            var at = 0
            while at + 19 < count {
                let length = Int(buffer[at + 16]) | Int(buffer[at + 17]) << 8
                let name = Bytes(buffer[(at + 19)..<(at + length)].prefix { $0 != 0 })
                if name != [0x2e] && name != [0x2e, 0x2e] { names.append(name) }
                at += length
            }
        }
    }

    func makeLink(_ name: Bytes, to target: Bytes) throws {
        try checked(linux_symlinkat(target, target.count, descriptor, name, name.count), "symlink \(shown(name))")
    }

    /// Another name, in `folder`, for what `name` is here; links themselves are not followed.
    func hardLink(_ name: Bytes, as other: Bytes, in folder: Folder) throws {
        try checked(
            linux_linkat(descriptor, name, name.count, folder.descriptor, other, other.count, 0), "link \(shown(other))")
    }

    /// `device` as `makedev` packs it.
    func makeNode(_ name: Bytes, mode: UInt32, device: UInt64 = 0) throws {
        try checked(linux_mknodat(descriptor, name, name.count, mode, device), "mknod \(shown(name))")
    }

    func rename(_ name: Bytes, to other: Bytes, in folder: Folder) throws {
        try checked(
            linux_renameat2(descriptor, name, name.count, folder.descriptor, other, other.count, 0), "rename \(shown(name))")
    }

    func setMode(_ name: Bytes, _ mode: UInt32) throws {
        try checked(linux_chmod(descriptor, name, name.count, mode), "chmod \(shown(name))")
    }

    func setOwner(_ name: Bytes, _ uid: UInt32, _ gid: UInt32) throws {
        try checked(linux_chown(descriptor, name, name.count, uid, gid), "chown \(shown(name))")
    }

    func setTime(_ name: Bytes, _ seconds: Int64, _ nanoseconds: UInt32) throws {
        try checked(linux_set_mtime(descriptor, name, name.count, seconds, nanoseconds), "utimes \(shown(name))")
    }

    func setAttribute(_ name: Bytes, _ attribute: String, _ value: Bytes) throws {
        let key = Bytes(attribute.utf8)
        try checked(
            linux_setxattrat(descriptor, name, name.count, key, key.count, value, value.count),
            "setxattr \(attribute) \(shown(name))")
    }

    func removeAttribute(_ name: Bytes, _ attribute: String) throws {
        let key = Bytes(attribute.utf8)
        try checked(
            linux_removexattrat(descriptor, name, name.count, key, key.count), "removexattr \(attribute) \(shown(name))")
    }

    /// Removes a file, or a folder with all that it holds.
    func remove(_ name: Bytes) throws {
        if try status(name).mode & linux_S_IFMT == linux_S_IFDIR {
            do {
                let inner = try folder(name)
                for entry in try inner.names() { try inner.remove(entry) }
            }
            try checked(linux_unlinkat(descriptor, name, name.count, linux_AT_REMOVEDIR), "rmdir \(shown(name))")
        } else {
            try checked(linux_unlinkat(descriptor, name, name.count, 0), "unlink \(shown(name))")
        }
    }
}

extension Folder {
    @discardableResult
    func makeFolder(_ name: String) throws -> Folder { try makeFolder(Bytes(name.utf8)) }
    func write(_ name: String, _ content: Bytes) throws { try write(Bytes(name.utf8), content) }
    func write(_ name: String, _ content: String) throws { try write(Bytes(name.utf8), Bytes(content.utf8)) }
    func read(_ name: String) throws -> Bytes { try read(Bytes(name.utf8)) }
    func remove(_ name: String) throws { try remove(Bytes(name.utf8)) }
    func folder(_ name: String) throws -> Folder { try folder(Bytes(name.utf8)) }
    func status(_ name: String) throws -> linux_status { try status(Bytes(name.utf8)) }
    func has(_ name: String) -> Bool { has(Bytes(name.utf8)) }
}

/// A name or path for messages: what is not printable ASCII as `\xNN`, and no more than its end.
func shown(_ name: Bytes) -> String {
    var text = name.count > 120 ? "…" : ""
    for byte in name.suffix(120) {
        if byte > 0x20 && byte < 0x7f {
            text.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            let digits = String(byte, radix: 16)
            text += "\\x" + (digits.count < 2 ? "0" : "") + digits
        }
    }
    return text
}
