import BackupFormat
import Cryptography
import HostFiles
import NameIndex
import TestSupport
import Testing

@Suite("Files of the name index") struct SegmentTests {
    /// Paths that fill several blocks.
    private func manyPaths(_ count: Int) -> [[UInt8]] {
        (0..<count).map { Array("/\($0 * 7919 % 100_003): a file with a rather long name, number \($0).txt".utf8) }
    }

    private func files(_ disk: SimulatedDisk) throws -> [RawPath] {
        try disk.list("/names").map { RawPath("/names").appending($0) }
    }

    private func bytes(_ disk: SimulatedDisk, _ path: RawPath) throws -> [UInt8] {
        let file = try disk.openForReading(path)
        var bytes = [UInt8](repeating: 0, count: try file.size())
        _ = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        return bytes
    }

    @Test("no name, and nothing of a name, stands in the files in the clear")
    func sealed() throws {
        let world = try NameWorld([Array("/canary/secret-name".utf8)])
        for path in try files(world.disk) {
            let text = String(decoding: try bytes(world.disk, path), as: UTF8.self)
            #expect(!text.contains("canary") && !text.contains("secret"))
        }
        let other = NameStore(disk: world.disk, directory: "/names", cipher: NameIndexCipher(key: Bytes32(words: (1, 0, 0, 0))))
        #expect(try other.manifest().snapshots.isEmpty)
    }

    @Test("no piece passes for another: swapped blocks, or a file under another's name, are damage")
    func bound() throws {
        let world = try NameWorld(manyPaths(5000))
        let segment = try #require(try files(world.disk).first { $0.bytes.suffix(6).elementsEqual(".names".utf8) })
        var content = try bytes(world.disk, segment)
        let table = try NameSegment(world.disk, segment, NameIndexCipher(key: .zero)).table
        try #require(table.blocks.count >= 2 && table.entries == 5000)
        // The second block's bytes in place of the first's.
        let (first, second) = (table.blocks[0], table.blocks[1])
        let count = min(first.sealedNames, second.sealedNames)
        content.replaceSubrange(first.offset..<first.offset + count, with: content[second.offset..<second.offset + count])
        try world.disk.openForUpdating(segment).write(at: 0, content)
        #expect(throws: NameIndexError.self) { try world.find("file") }

        let one = try NameWorld(manyPaths(10))
        let another = try NameWorld(manyPaths(10).map { $0 + [0x78] })
        let names = (try #require(try files(one.disk).first), try #require(try files(another.disk).first))
        let foreign = try bytes(another.disk, names.1)
        let file = try one.disk.openForUpdating(names.0)
        try file.truncate(to: 0)
        try file.write(at: 0, foreign)
        #expect(throws: NameIndexError.self) { try one.find("file") }
    }

    @Test("a table that does not fit its file is refused")
    func tables() throws {
        func decode(_ blocks: [[UInt8]], end: Int) -> Bool {
            let bytes = [UInt8(blocks.count)] + blocks.flatMap { $0 }
            return (try? bytes.withUnsafeBytes { try NameTable(decoding: $0, end: end) }) != nil
        }
        // Each takes 3 and 4 bytes, and for its sketch 5 and the 41 of a piece.
        let first: [UInt8] = [3, 4, 9, 9, 5, 2, 2, 0x2f, 0x61]
        let second: [UInt8] = [3, 4, 9, 9, 5, 1, 2, 0x2f, 0x62]
        #expect(decode([first], end: 85) && decode([first, second], end: 138))
        #expect(!decode([first, second], end: 137) && !decode([first, second], end: 139), "not its length")
        #expect(!decode([second, first], end: 138) && !decode([first, first], end: 138), "not rising")
        #expect(!decode([[3, 4, 9, 9, 5, 2, 1, 0x61]], end: 85), "not absolute")
        #expect(
            !decode([[3, 4, 9, 9, 5, 0, 2, 0x2f, 0x61]], end: 85) && !decode([[3, 4, 9, 9, 5, 5, 2, 0x2f, 0x61]], end: 85),
            "too many paths")
        func trailer(_ numbers: [UInt64], _ magic: String = "bakareNt", fileBytes: Int) -> Bool {
            var writer = ByteWriter()
            for number in numbers { writer.uint64(number) }
            writer.raw(Array(magic.utf8))
            return (try? writer.bytes.withUnsafeBytes { try NameSegment.tablePlace($0, fileBytes: fileBytes) }) != nil
        }
        #expect(trailer([32, 50, 9], fileBytes: 114))
        #expect(!trailer([32, 50, 9], "bakareNx", fileBytes: 114) && !trailer([32, 50, 9], fileBytes: 115))
        #expect(!trailer([31, 51, 10], fileBytes: 114) && !trailer([32, 51, 9], fileBytes: 115))
        #expect(!trailer([.max, 50, 9], fileBytes: 81) && !trailer([32, 50, 1 << 40], fileBytes: 114))
    }

    @Test("names that share more than there is, add nothing, are cut off or get too long are refused")
    func names() {
        func read(_ bytes: [UInt8]) -> Int? {
            bytes.withUnsafeBytes { bytes in
                var reader = NameReader(bytes)
                var count = 0
                do { while try reader.next() != nil { count += 1 } } catch { return nil }
                return count
            }
        }
        #expect(read([0, 2, 0x2f, 0x61, 1, 1, 0x62]) == 2)
        #expect(read([1, 2, 0x2f, 0x61]) == nil && read([0, 2, 0x2f, 0x61, 3, 1, 0x62]) == nil, "shares too much")
        #expect(read([0, 0]) == nil && read([0, 2, 0x2f]) == nil && read([0]) == nil && read([0, 0x80]) == nil)
        #expect(read([0x80, 0, 1, 0x2f]) == nil, "a number in a longer form")
        #expect(read([0, 0xff, 0xff, 0xff, 1] + [UInt8](repeating: 0x2f, count: 300)) == nil)
        let long = [UInt8](repeating: 0x61, count: Limits.pathBytesMax)
        #expect(read([0, 0x80, 0x80, 0x04] + long) == 1)
        #expect(read([0, 0x80, 0x80, 0x04] + long + [0x80, 0x80, 0x04, 1, 0x61]) == nil, "too long")
    }

    @Test("a sketch that is cut off, or tells of other paths than the block has, is refused")
    func sketches() {
        var writer = SketchWriter()
        let paths = ["/a/one", "/a/two", "/a/two/three", "/b"].map { Array($0.utf8) }
        for path in paths { path.withUnsafeBytes { writer.add($0) } }
        let sketch = writer.finish()
        func holds(_ bytes: [UInt8], entries: Int = 4) -> Bool {
            bytes.withUnsafeBytes { NameSegment.isSketch($0, entries: entries) }
        }
        #expect(holds(sketch))
        #expect(!holds(sketch, entries: 3) && !holds(sketch, entries: 5))
        #expect(!holds(Array(sketch.dropLast())) && !holds(sketch + [0]) && !holds([]))
        // The first folder: two paths, nothing shared, `/a/`.
        #expect(Array(sketch.prefix(7)) == [3, 2, 0, 3, 0x2f, 0x61, 0x2f])
        for (place, byte) in [(0, 2), (0, 4), (1, 0), (1, 3), (2, 1), (3, 0)] as [(Int, UInt8)] {
            var changed = sketch
            changed[place] = byte
            #expect(!holds(changed), "\(byte) at \(place)")
        }
    }

    @Test("states that do not rise, of an unknown type, or with bytes left over are refused; others come back as they were")
    func states() throws {
        var random = Choices(seed: 3)
        let lists: [[NameChange]] = (0..<200).map { _ in
            var ordinal: UInt32 = 0
            return (0...random.below(4)).map { _ in
                ordinal += 1 + UInt32(random.below(300))
                let state = NameState(
                    type: EntryType.allCases[random.below(EntryType.allCases.count)],
                    size: random.next() >> UInt64(random.below(64)),
                    modified: Timestamp(
                        seconds: Int64(bitPattern: random.next()) >> Int64(random.below(64)),
                        nanoseconds: UInt32(random.below(1_000_000_000))))
                return NameChange(ordinal: ordinal, state: random.below(4) == 0 ? nil : state)
            }
        }
        var writer = StatesWriter()
        for list in lists { writer.add(list) }
        let bytes = writer.finish()
        try bytes.withUnsafeBytes { bytes in
            var reader = try StatesReader(bytes)
            var changes: [NameChange] = []
            for list in lists {
                try reader.next(&changes)
                #expect(changes == list)
            }
            try reader.end()
        }
        func read(_ bytes: [UInt8]) -> Bool {
            bytes.withUnsafeBytes { bytes in
                var changes: [NameChange] = []
                do {
                    var reader = try StatesReader(bytes)
                    while !reader.isAtEnd { try reader.next(&changes) }
                    try reader.end()
                    return true
                } catch { return false }
            }
        }
        #expect(read([3, 1, 1, 1, 0, 1, 5, 2, 0, 0, 0, 0]))
        #expect(!read([3, 1, 1, 1, 0, 9, 5, 2, 0, 0, 0, 0]), "an unknown type")
        #expect(!read([3, 1, 1, 1, 0, 1, 5, 2, 0, 0xca, 0x9a, 0x3b]), "a thousand million nanoseconds")
        #expect(!read([3, 1, 1, 1, 0, 1, 5, 2, 0, 0, 0, 0, 0]) && !read([3, 1, 1, 1, 0, 0, 5, 2]), "bytes left over")
        #expect(!read([1, 0, 0, 0]) && !read([5, 0, 0, 1, 0xff, 0xff, 0x7f, 0]), "no change, and an ordinal beyond the limit")
    }

    @Test("a manifest in which a base is not before its snapshot, or a segment stands twice, is refused")
    func manifests() {
        func decode(_ bytes: [UInt8]) -> Bool { (try? bytes.withUnsafeBytes { try NameManifest(decoding: $0) }) != nil }
        func snapshot(_ base: UInt8, _ marks: UInt8) -> [UInt8] {
            [UInt8](repeating: base, count: 32) + [base, marks] + [UInt8](repeating: 0, count: 18)
        }
        let file = [UInt8](repeating: 7, count: 16) + [9, 9]
        #expect(decode([2] + snapshot(0, 1) + snapshot(1, 0) + [1] + file))
        #expect(!decode([2] + snapshot(0, 1) + snapshot(2, 0) + [0]) && !decode([1] + snapshot(1, 1) + [0]))
        #expect(!decode([1] + snapshot(0, 4) + [0]) && !decode([0, 2] + file + file))
        #expect(!decode([0, 0, 0]) && !decode([0]))
    }

    @Test("a path with thousands of changes comes back whole, through merges too")
    func manyChanges() throws {
        let disk = SimulatedDisk()
        let store = NameStore(disk: disk, directory: "/names", cipher: NameIndexCipher(key: .zero))
        let path = Array("/log".utf8)
        let ids = (0..<700).map { SnapshotID(Bytes32(words: (UInt64($0), 0, 0, 0))) }
        for (index, id) in ids.enumerated() {
            try store.change(waitingMilliseconds: 0) { change throws(NameIndexError) in
                let snapshot = NameManifest.Snapshot(
                    id: id, base: index > 0 ? index - 1 : nil, isComplete: true, line: 1, machine: 1, time: Int64(index),
                    indexed: 0)
                _ = try change.add(snapshot, live: Set(ids)) { writer, ordinal throws(NameIndexError) in
                    let state = NameState(
                        type: .file, size: UInt64(index), modified: Timestamp(seconds: Int64(index), nanoseconds: 0))
                    try path.withPathBytes { path throws(NameIndexError) in
                        try writer.append(path, [NameChange(ordinal: ordinal, state: index % 3 == 2 ? nil : state)])
                    }
                    return (true, true)
                }
            }
        }
        let query = try #require(NameQuery(Array("log".utf8)))
        let found = try #require(
            try NameSearch(store, live: Set(ids), threads: 1, now: 0).run(query, NameFilter(), limit: 9)?.first)
        #expect(found.snapshots == ids.enumerated().filter { $0.offset % 3 != 2 }.map(\.element))
        #expect(found.state.size == 699)
    }
}
