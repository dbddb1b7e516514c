internal import BackupFormat
internal import Cryptography

/// Evaluates a query over sketches, a group of blocks at a time; used by one thread.
final class SketchScan {
    let query: SketchQuery
    /// The folder of the run at hand, and its marks.
    private let folder: PathScan
    /// Of each term, but for exact ones.
    private let folderScores: [FolderScores?]
    private let runs: BlockBuffer
    private let opener: PieceOpener
    let counter: SketchCounter
    /// The marks that are asked for, each once, and for all that is asked, which of them it is: nil for what counts as there, always.
    private let marks: [Int]
    private let columnOf: [Int?]
    /// All may be found.
    let isBlind: Bool
    /// There is one term, which stands in one component wherever it is: a folder that does not have it in order need not be looked at.
    private let isInOneComponent: Bool
    private let mayHoldTypo: Bool
    /// Of each exact term, the columns of its pairs in the order in which they are read; empty as long as that is not known.
    private var exactColumns: [[Int]]

    /// The columns of the group at hand, behind a cache line each, and which of them are there.
    private var columns = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    private var isOpen: [Bool]
    /// For all that is asked, its column; and beside it, in which paths the folder has it.
    private let columnPointers: UnsafeMutablePointer<UnsafePointer<UInt64>>
    private var planes = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    private var lengthBytes = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    private var capacity = 0
    private(set) var stride = 0
    private var group: (segment: NameSegment, number: Int)?
    private var areLengthsOpen = false
    /// Which paths of a block are wanted.
    private(set) var selected = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    private var selectedCapacity = 1

    /// Of the groups that ``rank(_:_:blocks:first:each:)`` looked at.
    let promises: SketchPromises

    init(
        _ query: NameQuery, allowingTypos: Bool, readingAll: Bool, _ tally: SketchTally, _ cipher: NameIndexCipher
    ) {
        let query = SketchQuery(query, allowingTypos: allowingTypos)
        self.query = query
        isBlind = readingAll || query.isBlind
        isInOneComponent = query.terms.count == 1 && query.terms[0].isExact && query.terms[0].lastSlash == nil
        mayHoldTypo = query.terms.contains(where: \.mayHoldTypo)
        exactColumns = query.terms.map { _ in [] }
        folderScores = isBlind ? [] : query.query.terms.map { $0.isExact ? nil : FolderScores($0) }
        promises = SketchPromises(isListing: !isBlind, tally)
        folder = PathScan(query.query, allowingTypos: false)
        runs = BlockBuffer(PieceOpener(cipher))
        opener = PieceOpener(cipher)
        counter = SketchCounter(query)
        let asked = query.terms.flatMap { term -> [Int?] in
            term.lowered.indices.flatMap { index in
                [
                    // A term that begins with a slash may stand behind the start.
                    index == 0 && term.lowered[0] == 0x2f
                        ? nil : SketchMark.pair(index == 0 ? 0x2f : term.lowered[index - 1], term.lowered[index]),
                    SketchMark.edge(term.lowered[index]),
                ]
            } + (term.isExact ? [] : term.letters.map { SketchMark.letter($0) })
        }
        let marks = Array(Set(asked.compactMap { $0 })).sorted()
        self.marks = marks
        columnOf = asked.map { mark in mark.flatMap { marks.firstIndex(of: $0) } }
        isOpen = marks.map { _ in false }
        columnPointers = .allocate(capacity: asked.count)
    }

    deinit {
        columns.deallocate()
        columnPointers.deallocate()
        planes.deallocate()
        lengthBytes.deallocate()
        selected.deallocate()
        counter.deallocate()
    }

    /// Behind the folders' planes: one of ones, what is found, and the counters.
    private var ones: UnsafeMutablePointer<UInt64> { planes + counter.folderPlanes * stride }
    var found: UnsafeMutablePointer<UInt64> { ones + stride }
    var losses: UnsafeMutablePointer<UInt64> { found + stride }
    /// Of the group at hand.
    func length(_ place: Int) -> Int { Int(lengthBytes.load(fromByteOffset: 64 + place, as: UInt8.self)) }

    private func reserve(_ words: Int) {
        let lanes = (words + SketchCounter.laneWords - 1) / SketchCounter.laneWords
        // Planes are read side by side: they must not begin at the same places of their pages.
        stride = (lanes.isMultiple(of: 16) ? lanes + 1 : lanes) * SketchCounter.laneWords
        if stride > capacity {
            capacity = max(stride, min(2 * capacity, NameLimits.groupWordsMax))
            columns.deallocate()
            planes.deallocate()
            lengthBytes.deallocate()
            columns = .allocate(byteCount: marks.count * (capacity * 8 + 64), alignment: 64)
            planes = .allocate(capacity: (counter.folderPlanes + 2 + counter.lossBits) * capacity)
            lengthBytes = .allocate(byteCount: capacity * 64 + 64, alignment: 64)
        }
        for index in isOpen.indices { isOpen[index] = false }
        areLengthsOpen = false
        ones.update(repeating: .max, count: stride)
        found.update(repeating: 0, count: stride)
        for (index, column) in columnOf.enumerated() {
            columnPointers[index] = column.map { UnsafePointer(self.column($0)) } ?? UnsafePointer(ones)
        }
    }

    private func column(_ index: Int) -> UnsafeMutablePointer<UInt64> {
        (columns + index * (capacity * 8 + 64) + 64).assumingMemoryBound(to: UInt64.self)
    }

    /// Reads a column, if it was not read.
    private func open(_ index: Int, _ segment: NameSegment, _ number: Int) throws(NameIndexError) {
        guard !isOpen[index] else { return }
        let words = segment.table.groups[number].words
        let column = column(index)
        let target = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(column) - 1, count: words * 8 + 1)
        try segment.part(number, .column(marks[index]), opener, into: target)
        for word in 0..<words { column[word] = UInt64(littleEndian: column[word]) }
        isOpen[index] = true
    }

    func openLengths() throws(NameIndexError) {
        guard !areLengthsOpen, let (segment, number) = group else { return }
        let count = segment.table.groups[number].lengthBytes
        let target = UnsafeMutableRawBufferPointer(start: lengthBytes + 63, count: count + 1)
        try segment.part(number, .lengths, opener, into: target)
        areLengthsOpen = true
    }

    /// Reads of a sketch what is asked and works out what each path can lose, and which can be found: false if none can.
    func look(at segment: NameSegment, _ number: Int) throws(NameIndexError) -> Bool {
        let group = segment.table.groups[number]
        self.group = (segment, number)
        reserve(group.words)
        planes.update(repeating: 0, count: counter.folderPlanes * stride)
        for term in counter.terms where !term.isExact {
            (planes + term.split(1) * stride).update(repeating: .max, count: term.count * SketchQuery.splitBits * stride)
        }
        let entries = segment.table.blocks[group.blocks].map(\.entries)
        if try mayStandInFolders(segment, number) {
            let bytes = try segment.runs(number, runs)
            do throws(FormatError) {
                var reader = try SketchRuns(bytes, entries: entries)
                folder.reset()
                while let run = try reader.next() {
                    let isFound = folder.advance(run.shared, run.suffix)
                    if isFound || !isInOneComponent { note(run.places) }
                }
            } catch { throw NameIndexError(error) }
        }
        var place = 0
        for count in entries {
            set(found, place..<place + count)
            place += (count + 63) / 64 * 64
        }
        for index in counter.terms.indices where counter.terms[index].isExact {
            guard try findExact(index, segment, number) else { return false }
        }
        for index in marks.indices { try open(index, segment, number) }
        for word in Swift.stride(from: 0, to: stride, by: SketchCounter.laneWords) {
            counter.count(word, found, losses, stride, columns: columnPointers, folders: planes)
        }
        for word in 0..<stride where found[word] != 0 { return true }
        return false
    }

    /// Whether a folder of the group has what is asked: false if one exact term is, and no folder has all of its three bytes side by side.
    private func mayStandInFolders(_ segment: NameSegment, _ number: Int) throws(NameIndexError) -> Bool {
        let term = query.terms[0].lowered
        guard isInOneComponent, term.count >= 3 else { return true }
        let words = segment.table.groups[number].words
        // The lengths' place is free as long as these are not read.
        let target = UnsafeMutableRawBufferPointer(start: lengthBytes + 63, count: words * 8 + 1)
        try segment.part(number, .folders, opener, into: target)
        let bits = lengthBytes + 64
        return (2..<term.count).allSatisfy { place in
            let bit = SketchMark.triple(term[place - 2], term[place - 1], term[place], of: words * 64)
            return bits.load(fromByteOffset: bit >> 3, as: UInt8.self) >> UInt8(bit & 7) & 1 != 0
        }
    }

    /// Notes what the folder of these paths has of what is asked.
    private func note(_ places: Range<Int>) {
        let mayHoldTypo = mayHoldTypo
        for (index, term) in counter.terms.enumerated() {
            guard let scores = folderScores[index] else {
                let text = query.terms[index].lowered
                if folder.isFound(index), folder.holdsRun(text[...]) { set(plane(term.elsewhere), places) }
                // What goes on in the last component.
                if let slash = query.terms[index].lastSlash, folder.endsWith(text[...slash]) { set(plane(term.inLast), places) }
                continue
            }
            for (number, letter) in query.terms[index].letters.enumerated() where folder.holds(letter) {
                set(plane(term.folders + number), places)
            }
            folder.rate(withMarks: mayHoldTypo)
            scores.losses(in: folder) { letters, loss in
                if loss < SketchQuery.splitLossMax { write(loss, to: plane(term.split(letters)), places) }
            }
            guard term.mayHoldTypo else { continue }
            var pairs = folder.marks(index).pairs & ~1
            while pairs != 0 {
                set(plane(term.pair(pairs.trailingZeroBitCount)), places)
                pairs &= pairs &- 1
            }
        }
    }

    private func plane(_ number: Int) -> UnsafeMutablePointer<UInt64> { planes + number * stride }

    /// Clears the planes of a counter that are ones where `loss` has none.
    private func write(_ loss: Int, to planes: UnsafeMutablePointer<UInt64>, _ range: Range<Int>) {
        let (last, stride) = ((range.upperBound - 1) >> 6, stride)
        var word = range.lowerBound >> 6
        var mask = UInt64.max << UInt64(range.lowerBound & 63)
        while word <= last {
            if word == last { mask &= UInt64.max >> UInt64(63 - (range.upperBound - 1) & 63) }
            var place = planes + word
            for bit in 0..<SketchQuery.splitBits {
                // Zero where the bit is to stay.
                place.pointee &= ~(mask & (UInt64(loss >> bit & 1) &- 1))
                place += stride
            }
            mask = UInt64.max
            word += 1
        }
    }

    private func set(_ plane: UnsafeMutablePointer<UInt64>, _ range: Range<Int>) {
        let last = (range.upperBound - 1) >> 6
        var word = range.lowerBound >> 6
        var mask = UInt64.max << UInt64(range.lowerBound & 63)
        while word < last {
            plane[word] |= mask
            mask = UInt64.max
            word += 1
        }
        plane[word] |= mask & UInt64.max >> UInt64(63 - (range.upperBound - 1) & 63)
    }

    /// Where a term stands in one run, as far as its pairs tell: in a folder as is known, in the last component where it has them all.
    /// Reads their columns one by one, those that few paths have first, as long as there is a path that has those before. False if nothing
    /// is found any more.
    private func findExact(_ index: Int, _ segment: NameSegment, _ number: Int) throws(NameIndexError) -> Bool {
        let (plan, term) = (counter.terms[index], query.terms[index])
        let (elsewhere, found, stride, hasSlash) = (plane(plan.elsewhere), found, stride, term.lastSlash != nil)
        // So far, where it would go on from the folder.
        let inLast = plane(plan.inLast)
        var left: UInt64 = 0
        for word in 0..<stride {
            inLast[word] = found[word] & (hasSlash ? inLast[word] : .max)
            left |= inLast[word]
        }
        if left != 0, exactColumns[index].isEmpty { try orderColumns(index, segment, number) }
        for column in exactColumns[index] where left != 0 {
            try open(column, segment, number)
            left = SketchCounter.keep(inLast, where: self.column(column), stride)
        }
        left = 0
        for word in 0..<stride {
            if hasSlash {
                // It is not all in the last component.
                elsewhere[word] |= inLast[word]
                inLast[word] = 0
            }
            found[word] &= inLast[word] | elsewhere[word]
            left |= found[word]
        }
        return left != 0
    }

    /// Reads the columns of an exact term's pairs in the last component, and notes them for all groups, those that few of these paths have first.
    private func orderColumns(_ index: Int, _ segment: NameSegment, _ number: Int) throws(NameIndexError) {
        let (plan, term) = (counter.terms[index], query.terms[index])
        let first = (term.lastSlash ?? 0) + 1
        let columns = Set((first..<max(term.count, first)).compactMap { columnOf[plan.first + 2 * $0] })
        var paths: [(count: Int, column: Int)] = []
        for column in columns {
            try open(column, segment, number)
            let pairs = self.column(column)
            paths.append(((0..<segment.table.groups[number].words).reduce(0) { $0 + pairs[$1].nonzeroBitCount }, column))
        }
        exactColumns[index] = paths.sorted { ($0.count, $0.column) < ($1.count, $1.column) }.map(\.column)
    }

    func reserveSelected(_ words: Int) {
        guard words > selectedCapacity else { return }
        selectedCapacity = words
        selected.deallocate()
        selected = .allocate(capacity: words)
    }
}
