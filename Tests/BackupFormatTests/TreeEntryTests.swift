import BackupFormat
import Testing

/// What a reader of trees must refuse: see docs/FORMAT.md.
@Suite("Tree entries")
struct TreeEntryTests {
    /// The fields of an entry as they are written, to be made wrong one by one.
    private struct Fields {
        var kind: UInt8 = 0
        var flags: UInt8 = 0
        var name = Array("name".utf8)
        var mode: UInt64 = 0o644
        var uid: UInt64 = 0
        var nanoseconds: UInt64 = 0
        var size: UInt64 = 0
        /// What `flags` promises, in order.
        var linkCount: UInt64?
        var deviceNumber: UInt64?
        var rest: [UInt8] = []

        var bytes: [UInt8] {
            let body = written { writer in
                writer.byte(kind)
                writer.byte(flags)
                writer.byteString(name)
                for number in [mode, uid, 0] { writer.varint(number) }
                writer.signedVarint(0)
                writer.varint(nanoseconds)
                writer.signedVarint(0)
                for number in [nanoseconds, 1, 2] { writer.varint(number) }
                if let linkCount { writer.varint(linkCount) }
                writer.varint(size)
                if let deviceNumber { writer.varint(deviceNumber) }
                writer.raw(rest)
            }
            return written { $0.byteString(body) }
        }
    }

    private func decode(_ bytes: [UInt8]) throws -> TreeEntry {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer, "tree")
            let entry = try TreeEntryView(parsing: &reader).entry()
            try reader.end()
            return entry
        }
    }

    private func expectRefused(_ what: String, _ change: (inout Fields) -> Void) {
        var fields = Fields()
        change(&fields)
        #expect(throws: FormatError.self, "\(what)") { try decode(fields.bytes) }
    }

    private let stored: UInt8 = 1
    private let inline: UInt8 = 2
    private let attributes: UInt8 = 4
    private let extents: UInt8 = 8
    private let linked: UInt8 = 16
    private let numbered: UInt8 = 32

    @Test("takes the entry that the others are made from")
    func plain() throws {
        #expect(try decode(Fields().bytes).name == "name")
    }

    @Test("refuses a name that leads elsewhere: empty, a dot or two, with a slash or NUL, or longer than 255 bytes")
    func names() throws {
        for name in ["", ".", "..", "a/b", "/", "/etc", "a\0"] { expectRefused(name) { $0.name = Array(name.utf8) } }
        expectRefused("long") { $0.name = [UInt8](repeating: 0x61, count: 256) }
        for name in ["...", ".a", "..a", "\n"] {
            var fields = Fields()
            fields.name = Array(name.utf8)
            #expect(try decode(fields.bytes).name == RawPath(name))
        }
    }

    @Test("refuses a type, mark or flag that it does not know, and content both inline and stored")
    func unknown() {
        for type in 7..<16 as Range<UInt8> { expectRefused("type \(type)") { $0.kind = type } }
        for mark in 8..<16 as Range<UInt8> { expectRefused("mark \(mark)") { $0.kind = mark << 4 } }
        for flag in [64, 128] as [UInt8] { expectRefused("flag \(flag)") { $0.flags = flag } }
        expectRefused("both") {
            $0.flags = stored | inline
            $0.rest = [0, 0, 0]
        }
    }

    @Test("refuses a field that says no more than its absence: each entry has one encoding")
    func canonical() {
        expectRefused("one link") {
            $0.flags = linked
            $0.linkCount = 1
        }
        expectRefused("device number 0") {
            $0.flags = numbered
            $0.deviceNumber = 0
        }
        expectRefused("no attributes") {
            $0.flags = attributes
            $0.rest = [0]
        }
    }

    @Test("refuses numbers out of range: mode, owner, nanoseconds, size, links")
    func ranges() {
        expectRefused("mode") { $0.mode = 0o10000 }
        expectRefused("owner") { $0.uid = 1 << 32 }
        expectRefused("nanoseconds") { $0.nanoseconds = 1_000_000_000 }
        expectRefused("size") { $0.size = 1 << 63 }
        expectRefused("links") {
            $0.flags = linked
            $0.linkCount = 1 << 32
        }
    }

    @Test("refuses content longer than a link target may be, and lists of keys too deep, too long or cut off")
    func content() {
        expectRefused("inline") {
            $0.flags = inline
            $0.rest = written { $0.byteString([UInt8](repeating: 1, count: Limits.linkTargetBytesMax + 1)) }
        }
        expectRefused("depth") {
            $0.flags = stored
            $0.rest = [UInt8(Limits.keyListLevelsMax) + 1, 0]
        }
        expectRefused("count") {
            $0.flags = stored
            $0.rest = written { writer in
                writer.byte(0)
                writer.count(Limits.directKeysMax + 1)
                writer.raw([UInt8](repeating: 0, count: 32 * (Limits.directKeysMax + 1)))
            }
        }
        expectRefused("cut") {
            $0.flags = stored
            $0.rest = [0, 2] + [UInt8](repeating: 0, count: 63)
        }
        expectRefused("trailing") { $0.rest = [0] }
    }

    @Test("refuses extended attributes out of order, repeated, without a name, with NUL in it, or beyond their limits")
    func extendedAttributes() {
        func list(_ names: [[UInt8]], _ valueBytes: Int = 0) -> [UInt8] {
            written { writer in
                writer.count(names.count)
                for name in names {
                    writer.byteString(name)
                    writer.byteString([UInt8](repeating: 0, count: valueBytes))
                }
            }
        }
        let many: [[UInt8]] = (0...Limits.xattrsMax).map {
            [UInt8($0 >> 8) + 1, UInt8(truncatingIfNeeded: $0) | 1, 1 + UInt8($0 & 1)]
        }
        for (what, rest) in [
            ("order", list([[2], [1]])), ("repeated", list([[1], [1]])), ("nameless", list([[]])), ("NUL", list([[1, 0]])),
            ("name", list([[UInt8](repeating: 1, count: 256)])), ("value", list([[1]], Limits.xattrValueBytesMax + 1)),
            ("many", list(many)),
            ("together", list((1...17).map { [$0] }, Limits.xattrValueBytesMax)),
        ] {
            expectRefused(what) {
                $0.flags = attributes
                $0.rest = rest
            }
        }
    }

    @Test("refuses extents that are empty, overlap, overflow, or reach beyond the size")
    func sparse() throws {
        func list(_ pairs: [(hole: UInt64, length: UInt64)]) -> [UInt8] {
            written { writer in
                writer.count(pairs.count)
                for pair in pairs {
                    writer.varint(pair.hole)
                    writer.varint(pair.length)
                }
            }
        }
        for (what, rest) in [
            ("empty", list([(0, 0)])), ("beyond", list([(99, 2)])), ("overflow", list([(1, UInt64.max)])),
            ("far", list([(UInt64.max, 1)])), ("twice", list([(50, 10), (UInt64.max - 59, 60)])),
            ("many", written { $0.count(Limits.extentsMax + 1) }),
        ] {
            expectRefused(what) {
                $0.size = 100
                $0.flags = extents
                $0.rest = rest
            }
        }
        var fields = Fields()
        fields.size = 100
        fields.flags = extents
        fields.rest = list([(0, 10), (80, 10)])
        #expect(try decode(fields.bytes).extents == [Extent(offset: 0, length: 10), Extent(offset: 90, length: 10)])
    }

    @Test("refuses an entry that is cut anywhere, and one longer than its limit")
    func length() {
        let bytes = Fields().bytes
        for count in bytes.indices { #expect(throws: FormatError.self) { try decode(Array(bytes.prefix(count))) } }
        let long = written { writer in
            writer.count(Limits.treeEntryBytesMax + 1)
            writer.raw([UInt8](repeating: 0, count: Limits.treeEntryBytesMax + 1))
        }
        #expect(throws: FormatError.self) { try decode(long) }
    }

    @Test("an entry with everything at its limit can be written and read again")
    func largest() throws {
        var entry = TreeEntry(
            name: RawPath(bytes: [UInt8](repeating: 0xff, count: 255)), type: .file, mode: 0o7777, uid: .max, gid: .max,
            modified: Timestamp(seconds: .max, nanoseconds: 999_999_999),
            changed: Timestamp(seconds: .min, nanoseconds: 999_999_999), inode: .max, device: .max, linkCount: .max,
            size: UInt64(Int64.max),
            content: .stored(
                KeyList(levels: 4, keys: [ChunkKey](repeating: ChunkKey(.zero), count: Limits.directKeysMax))))
        entry.marks = .all
        entry.deviceNumber = .max
        entry.attributes = (0..<15).map { index in
            ExtendedAttribute(
                name: [UInt8(index) + 1] + [UInt8](repeating: 1, count: 254),
                value: [UInt8](repeating: 2, count: Limits.xattrValueBytesMax))
        }
        let step = UInt64(Int64.max) / UInt64(Limits.extentsMax)
        entry.extents = (0..<UInt64(Limits.extentsMax)).map { Extent(offset: $0 * step + step / 2, length: step / 2) }
        let bytes = written { entry.encode(into: &$0) }
        #expect(bytes.count <= Limits.treeEntryBytesMax)
        #expect(try decode(bytes) == entry)
    }
}
