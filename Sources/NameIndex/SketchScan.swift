internal import BackupFormat
internal import Cryptography

/// Evaluates a query over sketches; used by one thread.
final class SketchScan {
    private let query: SketchQuery
    /// The folder of the run at hand, and its marks.
    private let folder: PathScan
    private let buffer: BlockBuffer
    /// What is asked of each path: for each place of each term its pair with the place before and its bonus, then the letters of the term.
    /// Marks of last components; -1 for what counts as there, always.
    private let marks: [Int]
    /// The columns of the block at hand, and beside them, for all that is asked, in which paths the folder has it: a bit a path.
    private var columns: UnsafeRawPointer
    private var folders: UnsafeMutablePointer<UInt64>
    /// Counters of what each path loses, a word for each of their bits; behind them, which paths can be found.
    private var losses = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    private var capacity = 0
    private let lossBits: Int
    /// All may be found.
    private let isBlind: Bool
    /// Paths and words of 64 of the block that was looked at last.
    private var entries = 0
    private var words = 0
    private var lengths = UnsafeRawBufferPointer(start: nil, count: 0)

    private static let termLossBits = 10

    /// Of the blocks that ``best(_:_:_:)`` looked at.
    private(set) var promises: SketchPromises

    init(_ query: NameQuery, allowingTypos: Bool, readingAll: Bool, _ cipher: NameIndexCipher) throws(NameIndexError) {
        self.query = SketchQuery(query, allowingTypos: allowingTypos)
        isBlind = readingAll || self.query.isBlind
        promises = SketchPromises(isListing: !isBlind)
        folder = PathScan(query, allowingTypos: false)
        folders = .allocate(capacity: 1)
        columns = UnsafeRawPointer(folders)
        buffer = BlockBuffer(try PieceOpener(cipher))
        marks = self.query.terms.flatMap { term in
            term.lowered.indices.flatMap { index in
                [
                    index == 0 ? -1 : SketchMark.pair(term.lowered[index - 1], term.lowered[index]),
                    SketchMark.edge(term.lowered[index]) ?? -1,
                ]
            } + term.letters.map { SketchMark.letter($0) ?? -1 }
        }
        let most = self.query.terms.reduce(0) {
            $0 + SketchQuery.firstLoss + ($1.count - 1) * SketchQuery.plainGapLoss + SketchQuery.folderLoss
        }
        lossBits = Int.bitWidth - most.leadingZeroBitCount + 1
    }

    deinit {
        folders.deallocate()
        losses.deallocate()
    }

    private func reserve(_ entries: Int) {
        self.entries = entries
        words = (entries + 63) / 64
        guard words > capacity else { return }
        capacity = max(words, 2 * capacity)
        folders.deallocate()
        losses.deallocate()
        folders = .allocate(capacity: marks.count * capacity)
        // A plane more: what is found.
        losses = .allocate(capacity: (lossBits + 2) * capacity)
    }

    /// A bit for each path of the last block: what ``look(at:_:)`` found, or what ``select(from:)`` left of it.
    private var found: UnsafeMutablePointer<UInt64> { losses + lossBits * words }
    private var selected: UnsafeMutablePointer<UInt64> { losses + (lossBits + 1) * words }

    /// The rank that no path of a block exceeds; 0 if none of it can be found. Notes what its paths promise, for a block of this `number`.
    func best(_ segment: NameSegment, _ block: Int, _ number: Int) throws(NameIndexError) -> UInt64 {
        guard !isBlind else { return UInt64.max }
        try look(at: segment, block)
        var isAny = false
        for word in 0..<words {
            selected[word] = found[word]
            isAny = isAny || found[word] != 0
        }
        guard isAny else { return 0 }
        note(number)
        var loss = 0
        for bit in (0..<lossBits).reversed() {
            let plane = losses + bit * words
            var isWithout = false
            for word in 0..<words where selected[word] & ~plane[word] != 0 { isWithout = true }
            if isWithout {
                for word in 0..<words { selected[word] &= ~plane[word] }
            } else {
                loss |= 1 << bit
            }
        }
        var shortest = SketchMark.lengthMax
        forEachSelected { shortest = min(shortest, Int(lengths[$0])) }
        return NameCandidate.rank(query.bestScore - 3 * loss, shortest)
    }

    /// Those of the paths that were noted of a block whose rank may be as high as `threshold`, as of ``candidates(_:_:threshold:)``.
    func candidates(
        _ noted: ArraySlice<SketchPromise>, entries: Int, threshold: UInt64
    ) -> UnsafeMutablePointer<UInt64>? {
        reserve(entries)
        selected.update(repeating: 0, count: words)
        var isAny = false
        for promise in noted
        where promise.path < entries && NameCandidate.rank(query.bestScore - 3 * promise.loss, promise.length) >= threshold {
            selected[promise.path >> 6] |= 1 << UInt64(promise.path & 63)
            isAny = true
        }
        return isAny ? selected : nil
    }

    /// The paths of a block whose rank may be as high as `threshold`, a bit each in words of 64; nil when there are none. Valid until the
    /// next call.
    func candidates(
        _ segment: NameSegment, _ block: Int, threshold: UInt64
    ) throws(NameIndexError) -> UnsafeMutablePointer<UInt64>? {
        if isBlind {
            reserve(segment.table.blocks[block].entries)
            for word in 0..<words { selected[word] = UInt64.max }
            return selected
        }
        try look(at: segment, block)
        for word in 0..<words { selected[word] = found[word] }
        let score = Int(threshold >> 32)
        if score > 0 {
            // A path whose bound is the score itself has to be short enough.
            let length = Int(UInt32.max - UInt32(truncatingIfNeeded: threshold))
            let (equal, isWhole) = (query.bestScore - score).quotientAndRemainder(dividingBy: 3)
            select(lossAtMost: equal)
            if isWhole == 0, length < SketchMark.lengthMax {
                forEachSelected { place in
                    guard Int(lengths[place]) > length, loss(place) == equal else { return }
                    selected[place >> 6] &= ~(1 << UInt64(place & 63))
                }
            }
        }
        for word in 0..<words where selected[word] != 0 { return selected }
        return nil
    }

    /// Notes the paths that can be found and lose little.
    private func note(_ number: Int) {
        for word in 0..<words where found[word] != 0 {
            promises.found += found[word].nonzeroBitCount
            guard promises.lossMax >= 0 else { continue }
            var left = found[word] & lossAtMost(promises.lossMax, word)
            while left != 0 {
                let place = word << 6 | left.trailingZeroBitCount
                promises.add(SketchPromise(block: number, path: place, loss: loss(place), length: Int(lengths[place])))
                left &= left &- 1
            }
        }
    }

    private func forEachSelected(_ body: (Int) -> Void) {
        for word in 0..<words {
            var left = selected[word]
            while left != 0 {
                body(word << 6 | left.trailingZeroBitCount)
                left &= left &- 1
            }
        }
    }

    private func loss(_ place: Int) -> Int {
        var loss = 0
        for bit in 0..<lossBits where losses[bit * words + place >> 6] >> UInt64(place & 63) & 1 != 0 { loss |= 1 << bit }
        return loss
    }

    private func select(lossAtMost most: Int) {
        guard most >= 0 else {
            for word in 0..<words { selected[word] = 0 }
            return
        }
        for word in 0..<words { selected[word] &= lossAtMost(most, word) }
    }

    /// Which of 64 paths lose no more than `most`, which is not negative.
    private func lossAtMost(_ most: Int, _ word: Int) -> UInt64 {
        guard most < 1 << lossBits else { return UInt64.max }
        var less: UInt64 = 0
        var equal = UInt64.max
        for bit in (0..<lossBits).reversed() {
            let plane = losses[bit * words + word]
            if most >> bit & 1 != 0 {
                less |= equal & ~plane
                equal &= plane
            } else {
                equal &= ~plane
            }
        }
        return less | equal
    }

    /// Reads a sketch and works out what each path can lose, and which can be found.
    private func look(at segment: NameSegment, _ block: Int) throws(NameIndexError) {
        let bytes = try segment.sketch(block, buffer)
        reserve(segment.table.blocks[block].entries)
        do throws(FormatError) {
            var reader = try SketchReader(bytes, entries: entries)
            // The columns stand behind the folders: these are looked through twice.
            var all = reader
            while try all.next() != nil {}
            let rest = try all.rest()
            guard let base = rest.columns.baseAddress else { throw FormatError(.truncated, "sketch of names") }
            (lengths, columns) = (rest.lengths, base)
            folders.update(repeating: 0, count: marks.count * words)
            folder.reset()
            var first = 0
            while let run = try reader.next() {
                _ = folder.advance(run.shared, run.suffix)
                add(first..<first + run.paths)
                first += run.paths
            }
        } catch { throw NameIndexError(error) }
        for word in 0..<words { count(word) }
        if entries & 63 != 0 { found[words - 1] &= (1 << UInt64(entries & 63)) - 1 }
    }

    /// Notes what the folder of these paths has of what is asked.
    private func add(_ paths: Range<Int>) {
        var next = folders
        for index in query.terms.indices {
            let term = query.terms[index]
            let marks = folder.marks(index)
            for place in 0..<term.count {
                if marks.pairs >> UInt64(place) & 1 != 0 { set(next, paths) }
                next += words
                if marks.edges >> UInt64(place) & 1 != 0 { set(next, paths) }
                next += words
            }
            for letter in term.letters {
                if folder.holds(letter) { set(next, paths) }
                next += words
            }
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

    /// Counts the losses of 64 paths: of each term the less of what it loses in the last component alone, and of what it loses in the
    /// whole path, where it is not worth what a term in the last component is.
    private func count(_ word: Int) {
        for bit in 0..<lossBits { losses[bit * words + word] = 0 }
        var isFound = UInt64.max
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * Self.termLossBits + 8) { buffer in
            guard let last = buffer.baseAddress else { return }
            let any = last + Self.termLossBits
            let missing = any + Self.termLossBits
            var next = 0
            for index in query.terms.indices {
                buffer.update(repeating: 0)
                isFound &= count(&next, index, word, last, any, missing)
                if query.terms[index].mayHoldTypo { forgive(last, missing) }
                addSum(losses + word, last)
            }
        }
        found[word] = isFound
    }

    /// Counts what a term loses, into `last`; which of the paths can hold it. `next` is the place of its marks.
    private func count(
        _ next: inout Int, _ index: Int, _ word: Int, _ last: UnsafeMutablePointer<UInt64>, _ any: UnsafeMutablePointer<UInt64>,
        _ missing: UnsafeMutablePointer<UInt64>
    ) -> UInt64 {
        let (count, letters) = (query.terms[index].count, query.terms[index].letters.count)
        let (isExact, mayHoldTypo) = (query.terms[index].isExact, query.terms[index].mayHoldTypo)
        var isFound = UInt64.max
        var place = next
        next += 2 * count + letters
        func takeMark() -> (last: UInt64, any: UInt64) {
            let mark = marks[place]
            let inFolder = folders[place &* words &+ word]
            place &+= 1
            guard mark >= 0 else { return (UInt64.max, UInt64.max) }
            let bits = columns.loadUnaligned(fromByteOffset: (mark &* words &+ word) &* 8, as: UInt64.self)
            return (UInt64(littleEndian: bits), UInt64(littleEndian: bits) | inFolder)
        }
        for index in 0..<count {
            let pair = takeMark()
            let edge = takeMark()
            if index == 0 {
                // 6 is 2 and 4.
                for bit in 1...2 {
                    addBit(last, ~edge.last, at: bit)
                    addBit(any, ~edge.any, at: bit)
                }
                continue
            }
            addBit(last, ~pair.last & edge.last, at: 0)
            addBit(last, ~pair.last & ~edge.last, at: 2)
            addBit(any, ~pair.any & edge.any, at: 0)
            addBit(any, ~pair.any & ~edge.any, at: 2)
            if isExact { isFound &= pair.any }
            if mayHoldTypo { addBit(missing, ~pair.any, at: 0) }
        }
        var allOrOne = UInt64.max
        var all = UInt64.max
        var allInLast = UInt64.max
        for _ in 0..<letters {
            let letter = takeMark()
            allInLast &= letter.last
            allOrOne = allOrOne & letter.any | all & ~letter.any
            all &= letter.any
        }
        // 5 is 1 and 4.
        addBit(any, UInt64.max, at: 0)
        addBit(any, UInt64.max, at: 2)
        let isLess = allInLast & atMost(last, any)
        for bit in 0..<Self.termLossBits { last[bit] = last[bit] & isLess | any[bit] & ~isLess }
        return isFound & (mayHoldTypo ? allOrOne : all)
    }

    /// Where the first counter is not above the second.
    private func atMost(_ first: UnsafeMutablePointer<UInt64>, _ second: UnsafeMutablePointer<UInt64>) -> UInt64 {
        var isLess: UInt64 = 0
        var isEqual = UInt64.max
        for bit in (0..<Self.termLossBits).reversed() {
            isLess |= isEqual & ~first[bit] & second[bit]
            isEqual &= ~(first[bit] ^ second[bit])
        }
        return isLess | isEqual
    }

    @inline(__always)
    private func addBit(_ sum: UnsafeMutablePointer<UInt64>, _ mask: UInt64, at first: Int) {
        var carry = mask
        var bit = first
        while carry != 0 {
            let old = sum[bit]
            sum[bit] = old ^ carry
            carry = old & carry
            bit &+= 1
        }
    }

    /// A term that may stand there with a typo loses no more than that costs.
    private func forgive(_ sum: UnsafeMutablePointer<UInt64>, _ missing: UnsafeMutablePointer<UInt64>) {
        var isNear = UInt64.max
        for bit in 2..<8 { isNear &= ~missing[bit] }
        var less: UInt64 = 0
        var equal = UInt64.max
        for bit in (0..<Self.termLossBits).reversed() {
            if SketchQuery.typoLoss >> bit & 1 != 0 {
                less |= equal & ~sum[bit]
                equal &= sum[bit]
            } else {
                equal &= ~sum[bit]
            }
        }
        let replaced = isNear & ~(less | equal)
        for bit in 0..<Self.termLossBits {
            sum[bit] = sum[bit] & ~replaced | (SketchQuery.typoLoss >> bit & 1 != 0 ? replaced : 0)
        }
    }

    private func addSum(_ total: UnsafeMutablePointer<UInt64>, _ sum: UnsafeMutablePointer<UInt64>) {
        var carry: UInt64 = 0
        for bit in 0..<lossBits {
            let plane = total + bit * words
            let (a, b) = (plane.pointee, bit < Self.termLossBits ? sum[bit] : 0)
            plane.pointee = a ^ b ^ carry
            carry = a & b | carry & (a ^ b)
        }
    }
}
