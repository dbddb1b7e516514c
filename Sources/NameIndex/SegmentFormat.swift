package import BackupFormat

// A segment's file:
//
//     head, 32 bytes | group 0 | group 1 | … | table | trailer, 32 bytes
//
//     head:     0  magic "bakareN1"     8  version (5), u32     12  zero, u32     16  id, 16 bytes
//     group:    names and states of each of its blocks | its sketch: runs, lengths, columns, folders
//     trailer:  0  offset of the table, u64     8  its sealed bytes, u64     16  its plain bytes, u64     24  magic "bakareNt"
//
// All between are pieces (`Piece`). docs/FORMAT.md says what is in them.

/// One block in a segment's table. Sizes are in bytes.
package struct NameBlock: Hashable, Sendable {
    /// Where its names begin in the file; its states follow.
    package var offset: Int
    package var sealedNames: Int
    package var sealedStates: Int
    package var plainNames: Int
    package var plainStates: Int
    package var entries: Int
    package var firstPath: RawPath

    /// In a column of its group's sketch, in words of 64 paths: the last may not be full.
    var words: Int { (entries + 63) / 64 }
}

/// Neighbouring blocks that share a sketch. Sizes are in bytes.
package struct NameGroup: Hashable, Sendable {
    package var blocks: Range<Int>
    /// Where its sketch begins, behind its blocks.
    package var offset: Int
    package var plainRuns: Int
    /// Of all its blocks together.
    package var words: Int

    /// A piece of the sketch: they stand in this order.
    enum Part {
        case runs
        case lengths
        case column(Int)
        case folders
    }

    /// Where a piece stands in the file, its plain bytes, and its number among the pieces of the sketch.
    func place(of part: Part) -> (offset: Int, plainBytes: Int, number: Int) {
        let overhead = NameTable.pieceOverheadBytes
        let lengths = offset + plainRuns + overhead
        switch part {
        case .runs: return (offset, plainRuns, 0)
        case .lengths: return (lengths, lengthBytes, 1)
        case .column(let number):
            return (lengths + lengthBytes + overhead + number * (columnBytes + overhead), columnBytes, 2 + number)
        case .folders: return place(of: .column(SketchMark.count))
        }
    }

    var lengthBytes: Int { words * 64 }
    var columnBytes: Int { words * 8 }

    /// All pieces of the sketch together.
    var sealedBytes: Int { place(of: .folders).offset + columnBytes + NameTable.pieceOverheadBytes - offset }
}

/// A segment's table: its blocks in order, by their groups.
package struct NameTable: Hashable, Sendable {
    static let headBytes = 32
    static let trailerBytes = 32
    static let headMagic = Array("bakareN1".utf8)
    static let trailerMagic = Array("bakareNt".utf8)
    static let version: UInt32 = 5

    package var groups: [NameGroup]
    package var blocks: [NameBlock]
    package var entries: Int { blocks.reduce(0) { $0 + $1.entries } }

    init(groups: [NameGroup], blocks: [NameBlock]) {
        self.groups = groups
        self.blocks = blocks
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.count(groups.count)
        for group in groups {
            writer.count(group.blocks.count)
            writer.count(group.plainRuns)
            for block in blocks[group.blocks] {
                for number in [block.sealedNames, block.sealedStates, block.plainNames, block.plainStates, block.entries] {
                    writer.count(number)
                }
                writer.byteString(block.firstPath.bytes)
            }
        }
        return writer.bytes
    }

    /// Groups stand one behind the other from the head on, and end at `end`, where the table begins.
    package init(decoding bytes: UnsafeRawBufferPointer, end: Int) throws(FormatError) {
        var reader = ByteReader(bytes, "table of names")
        groups = []
        blocks = []
        var offset = NameTable.headBytes
        for _ in 0..<(try reader.count(limit: NameLimits.blocksMax)) {
            let count = try reader.count(limit: NameLimits.blocksMax - blocks.count)
            let plainRuns = try reader.count(limit: NameLimits.runsPlainBytesMax)
            let first = blocks.count
            var words = 0
            for _ in 0..<count {
                try decodeBlock(&reader, &offset, end)
                words += blocks[blocks.count - 1].words
                guard words <= NameLimits.groupWordsMax else { throw reader.error(.outOfRange) }
            }
            let group = NameGroup(blocks: first..<blocks.count, offset: offset, plainRuns: plainRuns, words: words)
            guard count > 0, group.sealedBytes <= end - offset else { throw reader.error(.inconsistent) }
            groups.append(group)
            offset += group.sealedBytes
        }
        guard offset == end else { throw reader.error(.inconsistent) }
        try reader.end()
    }

    private mutating func decodeBlock(_ reader: inout ByteReader, _ offset: inout Int, _ end: Int) throws(FormatError) {
        let sealedNames = try reader.count(limit: NameLimits.namesPlainBytesMax + NameTable.pieceOverheadBytes)
        let sealedStates = try reader.count(limit: NameLimits.statesPlainBytesMax + NameTable.pieceOverheadBytes)
        let plainNames = try reader.count(limit: NameLimits.namesPlainBytesMax)
        let plainStates = try reader.count(limit: NameLimits.statesPlainBytesMax)
        // Each takes two bytes of the names at least.
        let entries = try reader.count(limit: plainNames / 2)
        let path = RawPath(bytes: try reader.byteString(limit: NameLimits.pathBytesMax))
        guard entries > 0, path.bytes.first == 0x2f, sealedNames + sealedStates <= end - offset else {
            throw reader.error(.inconsistent)
        }
        if let last = blocks.last {
            let order = last.firstPath.bytes.withUnsafeBytes { last in path.bytes.withUnsafeBytes { comparePaths(last, $0) } }
            guard order < 0 else { throw reader.error(.inconsistent) }
        }
        blocks.append(
            NameBlock(
                offset: offset, sealedNames: sealedNames, sealedStates: sealedStates, plainNames: plainNames,
                plainStates: plainStates, entries: entries, firstPath: path))
        offset += sealedNames + sealedStates
    }

    /// Method byte, nonce and tag.
    static let pieceOverheadBytes = 41

    /// The last block whose first path is not beyond `path`; 0 if all are.
    func block(for path: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if blocks[middle].firstPath.bytes.withUnsafeBytes({ comparePaths($0, path) }) <= 0 {
                low = middle
            } else {
                high = middle
            }
        }
        return low
    }
}

/// Reads the names of a block one by one: how many bytes of the path before are kept, and what follows.
package struct NameReader {
    private var names: ShortReader
    private var pathBytes = 0

    package init(_ names: UnsafeRawBufferPointer) { self.names = ShortReader(names, "names") }

    var isAtEnd: Bool { names.isAtEnd }

    /// The next name: nil at the end. Throws when it keeps more than there is, adds nothing, or gets too long.
    @inline(__always)
    package mutating func next() throws(FormatError) -> (shared: Int, suffix: UnsafeRawBufferPointer)? {
        guard !names.isAtEnd else { return nil }
        let shared = try names.number()
        let added = try names.number()
        guard shared <= pathBytes, added > 0, added <= names.remaining, shared &+ added <= NameLimits.pathBytesMax else {
            throw names.error(.inconsistent)
        }
        pathBytes = shared &+ added
        return (shared, try names.bytes(added))
    }
}
