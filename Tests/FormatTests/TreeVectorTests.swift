import BackupFormat
import FuzzTargets
import Testing

private typealias Change = (inout TreeEntry) -> Void

/// An entry as most vectors have it, and what this one has otherwise.
private func entry(_ name: RawPath, _ type: EntryType = .file, _ content: TreeEntry.Content = .none, _ change: Change = { _ in })
    -> TreeEntry
{
    var entry = TreeEntry(
        name: name, type: type, mode: 0o644, uid: 1000, gid: 1000,
        modified: Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789),
        changed: Timestamp(seconds: 1_700_000_001, nanoseconds: 1), inode: 77, device: 2049, linkCount: 1, size: 0,
        content: content)
    if case .inline(let bytes) = content { entry.size = UInt64(bytes.count) }
    change(&entry)
    return entry
}

private let expected: [(name: String, entry: TreeEntry)] = [
    ("empty-file", entry("empty")),
    ("inline-file", entry("inline", .file, .inline(Array("hello".utf8)))),
    ("inline-file-of-512", entry("inline-512", .file, .inline(pattern(512, 1)))),
    ("stored-file", entry("stored", .file, .stored(keys(0, 1, 2))) { $0.size = 1_000_000 }),
    (
        "nested-file",
        entry("nested", .file, .stored(keys(2, 3))) {
            $0.mode = 0o4755
            $0.size = 1_000_000_000_000_000
        }
    ),
    (
        "sparse-file",
        entry("sparse", .file, .stored(keys(0, 4))) {
            $0.size = 1 << 40
            $0.extents = [
                Extent(offset: 4096, length: 8192), Extent(offset: 1 << 39, length: 4096),
                Extent(offset: (1 << 40) - 1, length: 1),
            ]
        }
    ),
    (
        "hole",
        entry("hole") {
            $0.size = 1 << 20
            $0.extents = []
        }
    ),
    (
        "attributes",
        entry("attributes", .file, .inline([0x78])) {
            $0.attributes = [
                ExtendedAttribute(name: Array("system.posix_acl_access".utf8), value: pattern(44, 2)),
                ExtendedAttribute(name: Array("user.empty".utf8), value: []),
                ExtendedAttribute(name: Array("user.".utf8) + [0xff], value: [0, 1]),
            ]
        }
    ),
    (
        "linked-file",
        entry("linked", .file, .inline(Array("link".utf8))) {
            $0.linkCount = 3
            $0.inode = .max
            $0.device = .max
        }
    ),
    ("changed-while-read", entry("torn", .file, .inline([0x61, 0x62])) { $0.marks = .changedWhileRead }),
    ("stale", entry("stale", .file, .inline([0x61, 0x62])) { $0.marks = .incomplete }),
    (
        "mount-point",
        entry("mount", .directory, .stored(.empty)) {
            $0.mode = 0o755
            $0.marks = [.incomplete, .mountPoint]
        }
    ),
    (
        "directory",
        entry("folder", .directory, .stored(keys(0, 5))) {
            $0.mode = 0o1777
            $0.uid = 0
            $0.gid = 0
        }
    ),
    ("empty-directory", entry("empty-folder", .directory, .stored(.empty)) { $0.mode = 0o755 }),
    ("symlink", entry("link", .symlink, .inline(Array("../".utf8) + [0xff] + Array("/away".utf8))) { $0.mode = 0o777 }),
    ("fifo", entry("fifo", .fifo) { $0.mode = 0o600 }),
    ("socket", entry("socket", .socket) { $0.mode = 0o600 }),
    (
        "character-device",
        entry("null", .characterDevice) {
            $0.mode = 0o666
            $0.uid = 0
            $0.gid = 0
            $0.deviceNumber = 0x103
        }
    ),
    (
        "block-device",
        entry("sda", .blockDevice) {
            $0.mode = 0o660
            $0.uid = 0
            $0.gid = 6
            $0.deviceNumber = 0x800
        }
    ),
    (
        "before-1970",
        entry("old") {
            $0.modified = Timestamp(seconds: -1, nanoseconds: 999_999_999)
            $0.changed = Timestamp(seconds: -(1 << 40), nanoseconds: 0)
        }
    ),
    (
        "ends-of-time",
        entry("time") {
            $0.modified = Timestamp(seconds: .min, nanoseconds: 0)
            $0.changed = Timestamp(seconds: .min, nanoseconds: 999_999_999)
        }
    ),
    ("name-not-text", entry(RawPath(bytes: [0xff, 0xfe, 0x0a, 0x1b] + Array("[31m".utf8)))),
    (
        "longest-name",
        entry(RawPath(bytes: [UInt8](repeating: 0x6e, count: 255))) {
            $0.uid = .max
            $0.gid = .max
        }
    ),
]

@Suite("Vectors: trees")
struct TreeVectorTests {
    @Test("an entry of every kind encodes to the vector's bytes, and these decode to the entry", arguments: expected.map(\.name))
    func entries(name: String) throws {
        let right = try #require(expected.first { $0.name == name }).entry
        let bytes = try vector("tree-entries", name)
        var writer = ByteWriter()
        right.encode(into: &writer)
        #expect(writer.bytes == bytes)
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer, "tree")
            let view = try TreeEntryView(parsing: &reader)
            #expect(reader.isAtEnd)
            #expect(view.encoded.elementsEqual(bytes))
            #expect(try view.entry() == right)
            if case .stored(let keys) = right.content {
                #expect(try view.storedKeys() == keys)
            } else {
                #expect(try view.storedKeys() == nil)
            }
        }
    }

    @Test("no vector goes untested")
    func complete() throws {
        #expect(try Vectors.read("tree-entries").map(\.name) == expected.map(\.name))
        #expect(Set(expected.map(\.entry.type)) == Set(EntryType.allCases))
    }
}
