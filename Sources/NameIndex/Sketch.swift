internal import BackupFormat

// The sketch of a group of blocks: what is known of each of its paths without reading the names. A search reads of the sketches what its
// letters ask for, and names only where a path may be among the best.
//
//     runs     varint | for each: paths, bytes shared with the text before, bytes that follow (varints), these bytes
//     lengths  of each path in bytes, 255 for more
//     columns  144; of each one bit a path, in words of 64, u64, the first path lowest: whether the last component has that mark
//     folders  as long as a column: of each three bytes of a folder, folded and lowered, that stand side by side and are no slash, one bit
//
// Each is a piece of its own. A run is of paths of one block, one behind the other, that are in the same folder: its text is the folder's
// path with the slash behind it. In lengths and columns each block begins with a new word; what no path has is zero.
//
// Marks are of the folded, lowered component with the slash before it. A component may have a mark by chance (pairs share marks); it
// never lacks one that it should have.

enum SketchMark {
    static let count = 144
    /// Of two neighbouring letters, and of two bytes of which one is none: apart, so that the ends of words and numbers are not hidden by
    /// what words are made of.
    static let letterPairs = 66
    static let otherPairs = 36
    /// `a` to `z`, where the byte has a bonus.
    static let firstEdge = letterPairs + otherPairs
    /// These, anywhere: those that many names lack.
    static let firstLetter = firstEdge + 26
    static let letters = Array("0123456789jkqvxz".utf8)

    @inline(__always)
    static func pair(_ first: UInt8, _ second: UInt8) -> Int {
        let (row, column) = (first &- 0x61, second &- 0x61)
        if row < 26, column < 26 { return Int(letterColumns[Int(row) &* 26 &+ Int(column)]) }
        let mixed = (UInt32(first) << 8 | UInt32(second)) &* 0x9e37_79b1
        return letterPairs &+ Int(((mixed >> 16) &* UInt32(otherPairs)) >> 16)
    }

    /// Nil for a byte that is no letter: taken to have a bonus wherever it is.
    @inline(__always)
    static func edge(_ byte: UInt8) -> Int? { byte &- 0x61 < 26 ? firstEdge + Int(byte &- 0x61) : nil }

    /// The bit of three bytes, of so many.
    @inline(__always)
    static func triple(_ first: UInt8, _ second: UInt8, _ third: UInt8, of bits: Int) -> Int {
        let mixed = (UInt32(first) << 16 | UInt32(second) << 8 | UInt32(third)) &* 0x9e37_79b1
        return Int((UInt64(mixed) &* UInt64(bits)) >> 32)
    }

    static func letter(_ byte: UInt8) -> Int? { letters.firstIndex(of: byte).map { firstLetter + $0 } }

    static let lengthMax = 255
}

/// The sketch of a group, as it is to be sealed.
package struct SketchPieces {
    package var runs: [UInt8]
    package var lengths: [UInt8]
    package var columns: [[UInt8]]
    package var folders: [UInt8]
    /// In each column.
    package var words: Int
}

/// Makes sketches, group by group.
package struct SketchWriter {
    private struct Marks {
        var words = SIMD4<UInt64>()

        @inline(__always)
        mutating func insert(_ mark: Int) { words[mark >> 6] |= 1 << UInt64(mark & 63) }
    }

    private var marks: [Marks] = []
    private var lengths: [UInt8] = []
    private var runs = ByteWriter()
    private var runCount = 0
    private var folder: [UInt8] = []
    private var folderPaths = 0
    /// Of the folder: bytes that it shares with the one before.
    private var folderShared = 0
    /// Of the folders' texts: three bytes each.
    private var triples: Set<UInt32> = []
    private var kept: [UInt8] = []
    private var lowered: [UInt8] = []
    private let letterMarks: [Int]

    package init() { letterMarks = (0..<256).map { SketchMark.letter(UInt8($0)) ?? -1 } }

    /// `path` is absolute and not the root.
    package mutating func add(_ path: UnsafeRawBufferPointer) {
        let slash = path.lastIndex(of: 0x2f) ?? 0
        let parent = UnsafeRawBufferPointer(rebasing: path[...slash])
        if folderPaths == 0 || !folder.elementsEqual(parent) { change(to: parent) }
        folderPaths += 1
        lengths.append(UInt8(min(path.count, SketchMark.lengthMax)))
        marks.append(sketch(UnsafeRawBufferPointer(rebasing: path[slash...])))
    }

    private mutating func change(to parent: UnsafeRawBufferPointer) {
        endRun()
        folderShared = folder.withUnsafeBytes { folder in
            // Something always follows, and whole characters only are shared.
            var shared = min(sharedBytes(folder, parent), parent.count - 1)
            func isInside(_ text: UnsafeRawBufferPointer) -> Bool { shared < text.count && text[shared] & 0xc0 == 0x80 }
            while shared > 0, isInside(folder) || isInside(parent) { shared -= 1 }
            return shared
        }
        folder.removeSubrange(folderShared...)
        folder.append(contentsOf: parent[folderShared...])
    }

    private mutating func endRun() {
        guard folderPaths > 0 else { return }
        runs.count(folderPaths)
        runs.count(folderShared)
        runs.count(folder.count - folderShared)
        runs.raw(Array(folder[folderShared...]))
        runCount += 1
        folderPaths = 0
        // What stands before the component in which they part has been noted.
        let start = folder[..<folderShared].lastIndex(of: 0x2f) ?? 0
        folder.withUnsafeBytes { folder in noteTriples(UnsafeRawBufferPointer(rebasing: folder[start...])) }
    }

    private mutating func noteTriples(_ text: UnsafeRawBufferPointer) {
        reserve(text.count)
        kept.withUnsafeMutableBufferPointer { kept in
            lowered.withUnsafeMutableBufferPointer { lowered in
                guard let kept = kept.baseAddress, let lowered = lowered.baseAddress else { return }
                let count = fold(text, kept: kept, lowered: lowered, at: 0) { _, _ in }
                var last: UInt32 = 0
                var since = 0
                for index in 0..<count {
                    since = lowered[index] == 0x2f ? 0 : since + 1
                    last = (last << 8 | UInt32(lowered[index])) & 0xff_ffff
                    if since >= 3 { triples.insert(last) }
                }
            }
        }
    }

    private mutating func reserve(_ count: Int) {
        guard kept.count < count else { return }
        kept = [UInt8](repeating: 0, count: count + 64)
        lowered = kept
    }

    /// What follows is of the next block.
    package mutating func endBlock() {
        endRun()
        let places = (marks.count + 63) / 64 * 64
        while marks.count < places {
            marks.append(Marks())
            lengths.append(0)
        }
    }

    /// No more blocks are to be added.
    var isFull: Bool { marks.count >= 64 * NameLimits.groupTargetWords || runs.count >= NameLimits.runsTargetBytes }

    private mutating func sketch(_ component: UnsafeRawBufferPointer) -> Marks {
        reserve(component.count)
        var result = Marks()
        kept.withUnsafeMutableBufferPointer { kept in
            lowered.withUnsafeMutableBufferPointer { lowered in
                guard let kept = kept.baseAddress, let lowered = lowered.baseAddress else { return }
                let count = fold(component, kept: kept, lowered: lowered, at: 0) { _, _ in }
                for index in 1..<max(1, count) {
                    let byte = lowered[index]
                    result.insert(SketchMark.pair(lowered[index &- 1], byte))
                    if bonusTable[Int(kept[index &- 1]) << 8 | Int(kept[index])] > 0, let edge = SketchMark.edge(byte) {
                        result.insert(edge)
                    }
                    let letter = letterMarks[Int(byte)]
                    if letter >= 0 { result.insert(letter) }
                }
            }
        }
        return result
    }

    /// Ends the group.
    package mutating func finish() -> SketchPieces {
        endBlock()
        let words = marks.count / 64
        var columns = [UInt64](repeating: 0, count: SketchMark.count * words)
        for (index, marks) in marks.enumerated() {
            let bit: UInt64 = 1 << UInt64(index & 63)
            for part in 0..<(SketchMark.count + 63) / 64 {
                var left = marks.words[part]
                while left != 0 {
                    columns[(part << 6 + left.trailingZeroBitCount) * words + index >> 6] |= bit
                    left &= left &- 1
                }
            }
        }
        for index in columns.indices { columns[index] = columns[index].littleEndian }
        let bytes = columns.withUnsafeBytes { columns in
            (0..<SketchMark.count).map { Array(columns[$0 * words * 8..<($0 + 1) * words * 8]) }
        }
        var folders = [UInt8](repeating: 0, count: words * 8)
        for three in triples {
            let (first, second, third) = (UInt8(three >> 16), UInt8(three >> 8 & 255), UInt8(three & 255))
            let bit = SketchMark.triple(first, second, third, of: words * 64)
            folders[bit >> 3] |= 1 << UInt8(bit & 7)
        }
        var writer = ByteWriter(capacity: 8 + runs.count)
        writer.count(runCount)
        writer.raw(runs.bytes)
        let pieces = SketchPieces(runs: writer.bytes, lengths: lengths, columns: bytes, folders: folders, words: words)
        triples.removeAll(keepingCapacity: true)
        marks.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        runs.bytes.removeAll(keepingCapacity: true)
        folder.removeAll(keepingCapacity: true)
        runCount = 0
        return pieces
    }
}

/// Takes the runs of a sketch apart.
struct SketchRuns {
    private var runs: ShortReader
    private var runsLeft: Int
    private var textBytes = 0
    /// Of each block.
    private let entries: [Int]
    private var block = 0
    /// Of the block at hand: paths that no run has had yet, and the place of the first of them in a column.
    private var pathsLeft: Int
    private var place = 0

    init(_ bytes: UnsafeRawBufferPointer, entries: [Int]) throws(FormatError) {
        runs = ShortReader(bytes, "sketch of names")
        self.entries = entries
        pathsLeft = entries.first ?? 0
        runsLeft = try runs.number()
        guard runsLeft <= entries.reduce(0, +) else { throw runs.error(.outOfRange) }
    }

    /// The next folder, and the places of its paths: nil behind the last, when all paths are told.
    @inline(__always)
    mutating func next() throws(FormatError) -> (places: Range<Int>, shared: Int, suffix: UnsafeRawBufferPointer)? {
        if pathsLeft == 0, block + 1 < entries.count {
            block += 1
            pathsLeft = entries[block]
            place = (place + 63) / 64 * 64
        }
        guard runsLeft > 0 else {
            guard pathsLeft == 0 else { throw runs.error(.inconsistent) }
            guard runs.isAtEnd else { throw runs.error(.trailing) }
            return nil
        }
        runsLeft -= 1
        let paths = try runs.number()
        let shared = try runs.number()
        let added = try runs.number()
        guard paths > 0, paths <= pathsLeft, shared <= textBytes, added > 0, shared &+ added <= NameLimits.pathBytesMax else {
            throw runs.error(.inconsistent)
        }
        let first = place
        pathsLeft -= paths
        place += paths
        textBytes = shared + added
        return (first..<place, shared, try runs.bytes(added))
    }
}
