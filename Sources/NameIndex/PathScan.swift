internal import BackupFormat
internal import Glibc

/// A path, folded, and how far each term has been found in it: kept from path to path, so that each costs only its bytes that the one
/// before did not have.
///
/// For one thread. Every array is indexed by a place in the folded path; what stands at place p is true of the bytes before it.
final class PathScan {
    private static let room = NameLimits.pathBytesMax + 8

    let terms: [NameQuery.Term]
    private let memory: UnsafeMutableRawPointer
    let raw: UnsafeMutablePointer<UInt8>
    let kept: UnsafeMutablePointer<UInt8>
    let lowered: UnsafeMutablePointer<UInt8>
    /// Of each byte, valid up to `bonusCount`.
    let bonus: UnsafeMutablePointer<UInt8>
    /// The folded length after that many raw bytes; of the first `asciiCount` it is the same number.
    private let foldedAt: UnsafeMutablePointer<UInt32>
    /// For each term: how many of its bytes were found in order.
    private let found: [UnsafeMutablePointer<UInt8>]
    private let patterns: [UnsafeMutablePointer<UInt8>]
    /// For each term: which of its bytes stand right behind the byte before them, and which where there is a bonus; as bits.
    private let pairs: [UnsafeMutablePointer<UInt64>]
    private let edges: [UnsafeMutablePointer<UInt64>]
    private(set) var rawCount = 0
    private(set) var count = 0
    private var asciiCount = 0
    private var bonusCount = 0
    private let near: PathNear?

    init(_ query: NameQuery, allowingTypos: Bool) {
        terms = query.terms
        near = allowingTypos ? PathNear(terms: query.terms.count, room: PathScan.room) : nil
        let room = PathScan.room
        let bytes = room * (4 + 4 + terms.count * (1 + 8 + 8)) + terms.count * 512 + 4096
        memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        var next = memory
        func take<T>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
            let start = next.alignedUp(for: type)
            next = start + count * MemoryLayout<T>.stride
            return start.bindMemory(to: type, capacity: count)
        }
        pairs = terms.map { _ in take(UInt64.self, room) }
        edges = terms.map { _ in take(UInt64.self, room) }
        foldedAt = take(UInt32.self, room)
        raw = take(UInt8.self, room)
        kept = take(UInt8.self, room)
        lowered = take(UInt8.self, room)
        bonus = take(UInt8.self, room)
        found = terms.map { _ in take(UInt8.self, room) }
        patterns = terms.map { term in
            let pattern = take(UInt8.self, 264)
            for (index, byte) in term.lowered.enumerated() { pattern[index] = byte }
            // No path holds a zero byte: a term that was found to its end stays so.
            pattern[term.lowered.count] = 0
            return pattern
        }
        for index in terms.indices {
            found[index][0] = 0
            pairs[index][0] = 0
            edges[index][0] = 0
        }
        foldedAt[0] = 0
    }

    deinit { memory.deallocate() }

    /// Starts a block: nothing is kept.
    func reset() {
        rawCount = 0
        count = 0
        asciiCount = 0
        bonusCount = 0
        if let near { for term in terms.indices { near.counts[term] = 0 } }
    }

    /// Takes the next path: `shared` bytes of the one before, and `suffix`. Whether every term is found in it, in order.
    @inline(__always)
    func advance(_ shared: Int, _ suffix: UnsafeRawBufferPointer) -> Bool {
        let start = shared <= asciiCount ? shared : Int(foldedAt[shared])
        // A folded path is never longer.
        guard let source = suffix.baseAddress, start <= shared else { return false }
        let bytes = source.assumingMemoryBound(to: UInt8.self)
        memcpy(raw + shared, source, suffix.count)
        rawCount = shared &+ suffix.count
        bonusCount = min(bonusCount, start)
        var high: UInt8 = 0
        let low = lowered + start
        for index in 0..<suffix.count {
            let byte = bytes[index]
            high |= byte
            low[index] = byte &- 0x41 < 26 ? byte | 0x20 : byte
        }
        if high < 0x80 {
            memcpy(kept + start, source, suffix.count)
            count = start &+ suffix.count
            if shared <= asciiCount {
                asciiCount = rawCount
            } else {
                for index in 1...suffix.count { foldedAt[shared &+ index] = UInt32(truncatingIfNeeded: start &+ index) }
            }
        } else {
            asciiCount = min(asciiCount, shared)
            if asciiCount == shared { foldedAt[shared] = UInt32(truncatingIfNeeded: start) }
            let table = foldedAt + shared
            count = fold(suffix, kept: kept, lowered: lowered, at: start) { used, length in
                table[used] = UInt32(truncatingIfNeeded: length)
            }
        }
        return find(from: start)
    }

    @inline(__always)
    private func find(from start: Int) -> Bool {
        var isFound = true
        for term in 0..<found.count {
            let table = found[term]
            let pattern = patterns[term]
            var place = table[start]
            for index in start..<count {
                place &+= lowered[index] == pattern[Int(place)] ? 1 : 0
                table[index &+ 1] = place
            }
            isFound = isFound && pattern[Int(place)] == 0
        }
        if let near { findNearly(near, from: start) }
        return isFound
    }

    private func findNearly(_ near: PathNear, from start: Int) {
        for term in 0..<found.count {
            near.counts[term] = min(near.counts[term], start)
            let exact = found[term]
            let skipped = near.skipped[term]
            let pattern = patterns[term]
            let end = UInt8(truncatingIfNeeded: terms[term].lowered.count)
            var place = skipped[start]
            for index in start..<count {
                place = place < end && lowered[index] == pattern[Int(place)] ? place &+ 1 : place
                place = max(place, min(exact[index &+ 1] &+ 1, end))
                skipped[index &+ 1] = place
            }
        }
    }

    /// Whether a term is found in order in this path.
    func isFound(_ term: Int) -> Bool { Int(found[term][count]) == terms[term].lowered.count }

    /// Where the last component begins.
    var nameStart: Int {
        var place = count
        while place > 0, lowered[place &- 1] != 0x2f { place &-= 1 }
        return place
    }

    /// Works out the bonus of each byte that has none yet.
    private func rate() {
        guard bonusCount < count else { return }
        bonusTable.withUnsafeBufferPointer { table in
            var previous = bonusCount == 0 ? 0x2f : Int(kept[bonusCount &- 1])
            for index in bonusCount..<count {
                let byte = Int(kept[index])
                bonus[index] = table[previous << 8 | byte]
                previous = byte
            }
        }
        for term in terms.indices {
            terms[term].places.withUnsafeBufferPointer { places in
                let pairs = pairs[term]
                let edges = edges[term]
                var before = bonusCount == 0 ? 0 : places[Int(lowered[bonusCount &- 1])]
                var pairsSoFar = pairs[bonusCount]
                var edgesSoFar = edges[bonusCount]
                for index in bonusCount..<count {
                    let here = places[Int(lowered[index])]
                    pairsSoFar |= before << 1 & here
                    if bonus[index] > 0 { edgesSoFar |= here }
                    pairs[index &+ 1] = pairsSoFar
                    edges[index &+ 1] = edgesSoFar
                    before = here
                }
            }
        }
        bonusCount = count
    }

    /// No match of the terms has a higher score than this.
    func bound() -> Int {
        rate()
        var sum = 0
        for term in terms.indices {
            let length = terms[term].lowered.count
            guard length <= 64 else { return Int.max }
            let pairs = pairs[term][count]
            let edges = edges[term][count]
            sum += length * Score.match + Score.lastComponent
            if edges & 1 != 0 { sum += Score.firstFactor * Score.boundaryDelimiter }
            var isInEdgeRun = edges & 1 != 0
            for index in 1..<max(1, length) {
                let isEdge = edges >> UInt64(index) & 1 != 0
                if pairs >> UInt64(index) & 1 != 0 {
                    isInEdgeRun = isInEdgeRun || isEdge
                    sum += isInEdgeRun ? Score.boundaryDelimiter : Score.consecutive
                } else {
                    isInEdgeRun = isEdge
                    sum += (isEdge ? Score.boundaryDelimiter : 0) + Score.gapStart
                }
            }
        }
        return sum
    }

    /// The score of all terms together; nil when one is not found, as its case is not right.
    func score(_ rows: ScoreRows) -> Int? {
        rate()
        let start = nameStart
        var sum = 0
        for (index, term) in terms.enumerated() {
            var best = isFound(index) ? score(term.kept, term.lowered, term.isSensitive, start, rows) : nil
            if near != nil, term.mayHoldTypo, hasRun(index) {
                for variant in term.variants {
                    guard let score = score(variant.kept, variant.lowered, term.isSensitive, start, rows) else { continue }
                    best = max(best ?? Int.min, score + Score.typo)
                }
            }
            guard let best else { return nil }
            sum += best
        }
        return sum
    }

    private func score(_ kept: [UInt8], _ lowered: [UInt8], _ isSensitive: Bool, _ nameStart: Int, _ rows: ScoreRows) -> Int? {
        (isSensitive ? kept : lowered).withUnsafeBufferPointer { pattern in
            let text = UnsafePointer(isSensitive ? self.kept : self.lowered)
            let inName = rows.score(pattern, in: text, bonus: bonus, nameStart..<count).map { $0 + Score.lastComponent }
            if let inName, inName >= Score.best(pattern.count) - Score.lastComponent { return inName }
            let anywhere = rows.score(pattern, in: text, bonus: bonus, 0..<count)
            guard let inName, let anywhere else { return inName ?? anywhere }
            return max(inName, anywhere)
        }
    }

    var allowsTypos: Bool { near != nil }

    /// Whether a term stands somewhere in one run with at most one typo: ``bound()`` does not tell then.
    func hasAnyRun() -> Bool { near != nil && terms.indices.contains { terms[$0].mayHoldTypo && hasRun($0) } }

    /// Whether each term is found in order, or stands somewhere in one run with at most one typo.
    func isNearlyFound() -> Bool {
        guard near != nil else { return false }
        for term in terms.indices where !isFound(term) {
            guard terms[term].mayHoldTypo, hasRun(term) else { return false }
        }
        return true
    }

    /// Whether the term stands somewhere in one run with one letter wrong, missing, too many, or swapped with the next, at most: the
    /// algorithm of Wu and Manber (1992), with swaps.
    private func hasRun(_ term: Int) -> Bool {
        guard let near else { return false }
        // One byte left out, the rest must be there in order.
        guard Int(near.skipped[term][count]) >= terms[term].lowered.count else { return false }
        let table = near.runs[term]
        let end: UInt64 = 1 << UInt64(terms[term].lowered.count - 1)
        let start = min(near.counts[term], count)
        terms[term].places.withUnsafeBufferPointer { places in
            var state = table[start]
            for index in start..<count {
                let here = places[Int(lowered[index])]
                let exact = (state.exact << 1 | 1) & here
                // A wrong byte, a byte too many in the path, one too few, and two that have changed places.
                let near =
                    (state.near << 1 | 1) & here | state.exact << 1 | 1 | state.exact | exact << 1 | (state.swapped & here) << 1
                state.swapped = (state.exact << 1 | 1) & here >> 1
                state.exact = exact
                state.near = near & ~PathNear.seen | (near & end != 0 ? PathNear.seen : state.near & PathNear.seen)
                table[index &+ 1] = state
            }
        }
        near.counts[term] = max(near.counts[term], count)
        return table[count].near & PathNear.seen != 0
    }
}

/// What ``PathScan`` keeps besides when typos are allowed.
final class PathNear {
    struct State: BitwiseCopyable {
        /// Bit i: the first i + 1 bytes of the term end here, without a typo.
        var exact: UInt64 = 0
        /// With one at most; and ``PathNear/seen``.
        var near: UInt64 = 0
        /// Bit i: the first i bytes end before the last one, which is byte i + 1 of the term.
        var swapped: UInt64 = 0
    }

    /// The term has ended somewhere before.
    static let seen: UInt64 = 1 << 63

    /// For each term: how many of its bytes were found in order, one left out.
    let skipped: [UnsafeMutablePointer<UInt8>]
    let runs: [UnsafeMutablePointer<State>]
    /// Up to where `runs` is valid.
    var counts: [Int]

    init(terms: Int, room: Int) {
        skipped = (0..<terms).map { _ in .allocate(capacity: room) }
        runs = (0..<terms).map { _ in .allocate(capacity: room) }
        counts = [Int](repeating: 0, count: terms)
        for term in 0..<terms {
            // The first byte may be the one that is left out.
            skipped[term][0] = 1
            runs[term][0] = State()
        }
    }

    deinit {
        for pointer in skipped { pointer.deallocate() }
        for pointer in runs { pointer.deallocate() }
    }
}
