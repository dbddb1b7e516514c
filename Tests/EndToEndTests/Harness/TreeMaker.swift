internal import CLinux
internal import Glibc

/// Makes folders that hold everything that a Linux file system can, from a seed.
struct TreeMaker {
    struct Shape {
        var entriesPerFolder = 14
        var depthMax = 3
        /// Also files of tens of MiB.
        var withLargeFiles = false
        /// Device nodes, other owners, capabilities: all that only root may make.
        var asRoot = geteuid() == 0
        /// Times that the file system of the tree can keep.
        var times: [Int64] = TreeMaker.timesAnywhere
    }

    /// Before 1970 (1653, 1901, 1969) and long after (2038, 2106, 2300).
    static let timesAnywhere: [Int64] = [
        -10_000_000_000, -2_147_483_649, -2_147_483_648, -1, 0, 1, 1_000_000_000, 2_147_483_647, 2_147_483_648, 4_294_967_296,
        9_223_372_036, 9_223_372_037, 10_413_792_000, 14_000_000_000,
    ]
    static let sizes = [
        0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 65536, 262_143, 262_144, 262_145, 1 << 20, (1 << 20) + 1, (4 << 20) - 1,
        4 << 20, (4 << 20) + 1,
    ]

    var random: Randomness
    var shape: Shape
    private var contents: [Bytes] = []
    private var linkable: [(Folder, Bytes)] = []
    private var largeLeft = 2

    init(_ random: Randomness, _ shape: Shape = Shape()) {
        self.random = random
        self.shape = shape
    }

    /// Fills a folder, and sets what is to be set on it.
    mutating func fill(_ folder: Folder) throws {
        try fill(folder, depth: 0)
        try makeDeepPath(in: folder)
        try makeNarrowDepth(in: folder)
        try makeSizes(in: folder)
        try makeSparseFiles(in: folder)
        try decorate(Bytes(".".utf8), in: folder, type: linux_S_IFDIR)
    }

    private mutating func fill(_ folder: Folder, depth: Int) throws {
        for _ in 0..<random.below(shape.entriesPerFolder + 1) {
            let name = newName(in: folder)
            try makeEntry(name, in: folder, depth: depth)
        }
    }

    /// Any byte but NUL and slash, often in the shapes that programs get wrong.
    mutating func newName(in folder: Folder) -> Bytes {
        while true {
            var name: Bytes
            switch random.below(9) {
            case 0: name = random.bytes(1 + random.below(40))
            case 1: name = random.bytes(255)
            case 2: name = Bytes("new\nline \t tab\u{1b}[31m".utf8) + random.bytes(2)
            case 3: name = [0x66, 0xe9, 0xff] + Bytes("\(random.below(100))".utf8)
            case 4: name = Bytes("-rf \\ '\" $(x) *?[a] #! \(random.below(100))".utf8)
            case 5: name = Bytes("...".utf8) + Bytes("\(random.below(10))".utf8)
            case 6: name = Bytes("Käse 日本 e\u{301} 🦊\(random.below(100))".utf8)
            default: name = Bytes("file-\(random.below(10_000)).txt".utf8)
            }
            name = name.map { $0 == 0 || $0 == 0x2f ? 0x80 : $0 }
            if name != [0x2e] && name != [0x2e, 0x2e] && !folder.has(name) { return name }
        }
    }

    private mutating func makeEntry(_ name: Bytes, in folder: Folder, depth: Int) throws {
        var type = linux_S_IFREG
        switch random.below(20) {
        case 0...3 where depth < shape.depthMax:
            type = linux_S_IFDIR
            try fill(try folder.makeFolder(name), depth: depth + 1)
        case 4, 5:
            type = linux_S_IFLNK
            try folder.makeLink(name, to: linkTarget())
        case 6:
            type = linux_S_IFIFO
            try folder.makeNode(name, mode: type | 0o600)
        case 7:
            type = linux_S_IFSOCK
            try folder.makeNode(name, mode: type | 0o600)
        case 8 where shape.asRoot:
            type = random.chance(1, in: 2) ? linux_S_IFCHR : linux_S_IFBLK
            let (major, minor) = (UInt64(random.below(4000)), UInt64(random.below(1 << 20)))
            let device = minor & 0xff | major << 8 | (minor & ~0xff) << 12
            try folder.makeNode(name, mode: type | 0o600, device: device)
        case 9 where !linkable.isEmpty:
            let (from, old) = random.pick(linkable)
            return try from.hardLink(old, as: name, in: folder)
        default:
            try folder.write(name, newContent())
        }
        try decorate(name, in: folder, type: type)
        if type != linux_S_IFDIR { linkable.append((folder, name)) }
    }

    private mutating func linkTarget() -> Bytes {
        switch random.below(5) {
        case 0: Bytes("/etc/passwd".utf8)
        case 1: Bytes("../../missing".utf8)
        case 2: Bytes(".".utf8)
        case 3: random.bytes(1 + random.below(3000)).map { $0 == 0 ? 0x2f : $0 }
        default: Bytes("file-\(random.below(10_000)).txt".utf8)
        }
    }

    /// New, the same as an earlier one, or one with a small change.
    mutating func newContent() -> Bytes {
        if !contents.isEmpty && random.chance(1, in: 5) { return random.pick(contents) }
        var size = random.chance(1, in: 3) ? random.pick(TreeMaker.sizes) : random.below(random.pick([40, 600, 5000, 90_000]))
        if shape.withLargeFiles && largeLeft > 0 && random.chance(1, in: 10) {
            size = (20 << 20) + random.below(20 << 20)
            largeLeft -= 1
        }
        let content: Bytes
        switch random.below(4) {
        case 0: content = random.text(size)
        case 1: content = Bytes(repeating: UInt8(random.below(256)), count: size)
        default: content = random.bytes(size)
        }
        contents.append(content)
        return content
    }

    /// A file of every size at which something changes in the format.
    private mutating func makeSizes(in folder: Folder) throws {
        let inner = try folder.makeFolder(Bytes("sizes".utf8))
        for size in TreeMaker.sizes {
            try inner.write("\(size)", random.chance(1, in: 2) ? random.bytes(size) : random.text(size))
        }
        try inner.makeFolder("empty folder")
    }

    /// Deeper than PATH_MAX in bytes.
    private mutating func makeDeepPath(in folder: Folder) throws {
        var inner = try folder.makeFolder(Bytes("deep".utf8))
        for level in 0..<20 { inner = try inner.makeFolder(Bytes("\(level)-".utf8) + Bytes(repeating: 0x61, count: 240)) }
        try inner.write("at the bottom", random.bytes(3000))
        try inner.setAttribute(Bytes("at the bottom".utf8), "user.depth", Bytes("far".utf8))
        try inner.makeLink(Bytes("link".utf8), to: Bytes("at the bottom".utf8))
        try decorate(Bytes("at the bottom".utf8), in: inner, type: linux_S_IFREG)
    }

    /// Hundreds of folders, one in the other.
    private mutating func makeNarrowDepth(in folder: Folder) throws {
        var inner = try folder.makeFolder(Bytes("narrow".utf8))
        for _ in 0..<400 { inner = try inner.makeFolder(Bytes("d".utf8)) }
        try inner.write("leaf", "leaf")
    }

    /// Holes at the start, in the middle, at the end, everywhere, and many of them.
    private mutating func makeSparseFiles(in folder: Folder) throws {
        let inner = try folder.makeFolder(Bytes("sparse".utf8))
        func name(_ text: String) -> Bytes { Bytes(text.utf8) }
        try inner.write(name("start"), random.bytes(10_000), at: 3 << 20)
        try inner.write(name("middle"), random.bytes(10_000))
        try inner.write(name("middle"), random.bytes(10_000), at: 5 << 20)
        try inner.write(name("end"), random.bytes(10_000))
        try inner.truncate(name("end"), to: 7 << 20)
        try inner.truncate(name("all"), to: 9 << 20)
        try inner.truncate(name("small all"), to: 100)
        try inner.truncate(name("odd all"), to: (1 << 20) + 77)
        for index in 0..<150 { try inner.write(name("many"), random.bytes(4096), at: index * 16_384 + 4096) }
        try inner.truncate(name("huge"), to: 100 << 30)
        for index in 0..<5 { try inner.write(name("huge"), random.bytes(5000), at: index * (20 << 30) + random.below(1 << 30)) }
        for entry in try inner.names() where random.chance(1, in: 2) { try decorate(entry, in: inner, type: linux_S_IFREG) }
    }

    /// Owner, mode, attributes, time: in the order in which one does not undo the other.
    mutating func decorate(_ name: Bytes, in folder: Folder, type: UInt32) throws {
        if shape.asRoot && random.chance(1, in: 3) {
            try folder.setOwner(name, random.pick([0, 1, 1000, 54_321, 4_000_000_000]), random.pick([0, 4, 1000, 65_533]))
        }
        if type != linux_S_IFLNK && random.chance(1, in: 2) {
            try folder.setMode(name, random.pick([0o644, 0o755, 0o400, 0, 0o4755, 0o2755, 0o6711, 0o1777, 0o7777, 0o2070]))
        }
        if type == linux_S_IFREG || type == linux_S_IFDIR {
            try addAttributes(name, in: folder, type: type)
        } else if shape.asRoot && random.chance(1, in: 3) {
            try folder.setAttribute(name, "trusted.on-a-special-file", random.bytes(random.below(20)))
        }
        if random.chance(3, in: 4) {
            try folder.setTime(name, random.pick(shape.times), random.pick([0, 1, 999_999_999, 123_456_789]))
        }
    }

    private mutating func addAttributes(_ name: Bytes, in folder: Folder, type: UInt32) throws {
        if random.chance(1, in: 3) {
            try folder.setAttribute(name, "user.empty", [])
            try folder.setAttribute(name, "user.bytes", random.bytes(random.pick([1, 30, 300, 1500])))
        }
        if random.chance(1, in: 5) {
            try folder.setAttribute(name, "system.posix_acl_access", TreeMaker.accessList(for: UInt32(random.below(5000))))
        }
        if type == linux_S_IFDIR && random.chance(1, in: 4) {
            try folder.setAttribute(name, "system.posix_acl_default", TreeMaker.accessList(for: 77))
        }
        if type == linux_S_IFREG && shape.asRoot && random.chance(1, in: 5) {
            // vfs_cap_data, revision 2, effective: CAP_NET_BIND_SERVICE and CAP_NET_RAW.
            try folder.setAttribute(name, "security.capability", [1, 0, 0, 2, 0, 0x24, 0, 0] + Bytes(repeating: 0, count: 12))
        }
        if shape.asRoot && random.chance(1, in: 6) {
            try folder.setAttribute(name, "trusted.secret", random.bytes(random.below(40)))
        }
    }

    /// A POSIX access list with a named user: version 2, then (tag, permissions, number) each.
    static func accessList(for user: UInt32) -> Bytes {
        var bytes: Bytes = [2, 0, 0, 0]
        func add(_ tag: UInt8, _ permissions: UInt8, _ number: UInt32) {
            bytes += [tag, 0, permissions, 0] + (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        }
        add(1, 6, .max)
        add(2, 4, user)
        add(4, 5, .max)
        add(0x10, 7, .max)
        add(0x20, 4, .max)
        return bytes
    }
}
