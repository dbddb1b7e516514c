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

        // The columns of the sketch in another order.
        let columned = try NameWorld(manyPaths(10))
        let place = try #require(try files(columned.disk).first { $0.bytes.suffix(6).elementsEqual(".names".utf8) })
        content = try bytes(columned.disk, place)
        let group = try #require(try NameSegment(columned.disk, place, NameIndexCipher(key: .zero)).table.groups.first)
        let columns = group.offset + group.plainRuns + 41 + group.words * 64 + 41
        let each = group.words * 8 + 41
        let turned = (0..<145).reversed().flatMap { content[columns + $0 * each..<columns + ($0 + 1) * each] }
        #expect(try columned.find("file").count == 10)
        try columned.disk.openForUpdating(place).write(at: columns, turned)
        #expect(throws: NameIndexError.self) { try columned.find("file") }

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
        // Names and states of each block take 3 and 4 bytes. The sketch of one of them takes 5 bytes of runs, 64 of lengths and 8 of each
        // column and of folders, with 41 of each piece; of two blocks, 64 and 8 more.
        let (one, two) = (5 + 64 + 145 * 8 + 147 * 41, 5 + 128 + 145 * 16 + 147 * 41)
        let first: [UInt8] = [3, 4, 9, 9, 2, 2, 0x2f, 0x61]
        let second: [UInt8] = [3, 4, 9, 9, 1, 2, 0x2f, 0x62]
        let both = [2, 5] + first + second
        #expect(decode([[1, 5] + first], end: 39 + one) && decode([both], end: 46 + two))
        #expect(decode([[1, 5] + first, [1, 5] + second], end: 46 + 2 * one))
        #expect(!decode([both], end: 45 + two) && !decode([both], end: 47 + two), "not its length")
        #expect(!decode([[2, 5] + second + first], end: 46 + two), "not rising")
        #expect(!decode([[1, 5] + first, [1, 5] + first], end: 46 + 2 * one), "not rising")
        #expect(!decode([[0, 5], [1, 5] + first], end: 39 + one + 5 + 147 * 41), "no block")
        #expect(!decode([[1, 5, 3, 4, 9, 9, 2, 1, 0x61]], end: 39 + one), "not absolute")
        #expect(
            !decode([[1, 5, 3, 4, 9, 9, 0, 2, 0x2f, 0x61]], end: 39 + one - 64 - 145 * 8)
                && !decode([[1, 5, 3, 4, 9, 9, 5, 2, 0x2f, 0x61]], end: 39 + one), "too many paths")
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

    @Test("runs that are cut off, or tell of other paths than the blocks have, are refused")
    func runs() {
        var writer = SketchWriter()
        for path in ["/a/one", "/a/two", "/a/two/three", "/b"] { Array(path.utf8).withUnsafeBytes { writer.add($0) } }
        let runs = writer.finish().runs
        func holds(_ bytes: [UInt8], entries: [Int] = [4]) -> Bool {
            bytes.withUnsafeBytes { NameSegment.areRuns($0, entries: entries) }
        }
        #expect(holds(runs) && holds(runs, entries: [2, 2]) && holds(runs, entries: [3, 1]))
        #expect(!holds(runs, entries: [3]) && !holds(runs, entries: [5]) && !holds(runs, entries: [4, 1]))
        #expect(!holds(runs, entries: [1, 3]), "a run of two blocks")
        #expect(!holds(Array(runs.dropLast())) && !holds(runs + [0]) && !holds([]))
        // The first folder: two paths, nothing shared, `/a/`.
        #expect(Array(runs.prefix(7)) == [3, 2, 0, 3, 0x2f, 0x61, 0x2f])
        for (place, byte) in [(0, 2), (0, 4), (1, 0), (1, 3), (2, 1), (3, 0)] as [(Int, UInt8)] {
            var changed = runs
            changed[place] = byte
            #expect(!holds(changed), "\(byte) at \(place)")
        }
    }

    @Test("lengths and columns of a sketch are as documented: each block begins with a word, and what no path has is zero")
    func columns() throws {
        var writer = SketchWriter()
        for path in ["/a/box", "/a/bow"] { Array(path.utf8).withUnsafeBytes { writer.add($0) } }
        writer.endBlock()
        Array("/a/Vow".utf8).withUnsafeBytes { writer.add($0) }
        let pieces = writer.finish()
        #expect(pieces.words == 2 && pieces.columns.count == 144 && pieces.columns.allSatisfy { $0.count == 16 })
        // A run of one folder that goes on in the next block.
        #expect(pieces.runs == [2, 2, 0, 3, 0x2f, 0x61, 0x2f, 1, 2, 1, 0x2f])
        var lengths = [UInt8](repeating: 0, count: 128)
        for place in [0, 1, 64] { lengths[place] = 6 }
        #expect(pieces.lengths == lengths)
        func paths(_ column: Int) -> [Int] { (0..<128).filter { pieces.columns[column][$0 / 8] >> UInt8($0 & 7) & 1 != 0 } }
        func mixed(_ text: String) -> Int {
            Int(Array(text.utf8).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } &* 0x9e37_79b1)
        }
        // The second row and the fifteenth of the table in docs/FORMAT.md.
        #expect(paths(32) == [0, 1] && paths(46) == [1, 64], "bo and ow")
        #expect(paths(66 + (mixed("/v") >> 16) * 36 / 65_536) == [64], "another pair")
        #expect(
            paths(102 + 1) == [0, 1] && paths(102 + 21) == [64] && paths(102 + 14).isEmpty, "b and v begin a word, o does not")
        #expect(paths(128 + 14) == [0] && paths(128 + 13) == [64], "x and v")
        #expect(pieces.folders == [UInt8](repeating: 0, count: 16), "a folder of one letter has no three")
        for path in ["/Abc/de/fgh", "/Abc/dex/y"] { Array(path.utf8).withUnsafeBytes { writer.add($0) } }
        let bits = writer.finish().folders
        let set = (0..<64).filter { bits[$0 / 8] >> UInt8($0 & 7) & 1 != 0 }
        #expect(set == Set(["abc", "dex"].map { (mixed($0) * 64) >> 32 }).sorted())
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
