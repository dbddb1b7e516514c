internal import BackupFormat
internal import Glibc

/// A path, folded, and how far each term has been found in it: kept from path to path, so that each costs only its bytes that the one
/// before did not have.
///
/// For one thread. Every array is indexed by a place in the folded path; what stands at place p is true of the bytes before it.
final class PathScan {
    /// What is written in runs of 16 may go beyond the end.
    private static let room = NameLimits.pathBytesMax + 64

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
    private let found: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>>
    private let patterns: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>>
    private let termCount: Int
    /// For each term: which of its bytes stand right behind the byte before them, and which where there is a bonus; as bits.
    private let pairs: [UnsafeMutablePointer<UInt64>]
    private let edges: [UnsafeMutablePointer<UInt64>]

    /// Outside of the object, so that the runtime does not check each access.
    private struct Counts {
        var raw = 0
        var folded = 0
        var ascii = 0
        var bonus = 0
        var changed = 0
    }

    private let counts: UnsafeMutablePointer<Counts>
    private let bonuses: UnsafePointer<UInt8>
    var rawCount: Int { counts.pointee.raw }
    var count: Int { counts.pointee.folded }
    private var bonusCount: Int { counts.pointee.bonus }
    /// The folded bytes before this are those of the path before.
    var changed: Int { counts.pointee.changed }
    private let near: PathNear?

    init(_ query: NameQuery, allowingTypos: Bool) {
        terms = query.terms
        termCount = terms.count
        counts = .allocate(capacity: 1)
        counts.initialize(to: Counts())
        bonuses = bonusTable
        near = allowingTypos ? PathNear(terms: query.terms.count, room: PathScan.room) : nil
        let room = PathScan.room
        let arrays = 5 + terms.count * 4
        let bytes = room * (4 + 4 + terms.count * (1 + 8 + 8)) + terms.count * 512 + arrays * 4096 + 4096
        memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
        var next = memory
        var taken = 0
        func take<T>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
            // Each begins at another place of its page: what is read from one must not seem to wait for what was just written to
            // another, as processors compare 12 bits of addresses only.
            let page = next.alignedUp(toMultipleOf: 4096)
            let start = (page + taken * 320 % 4096).bindMemory(to: type, capacity: count)
            taken += 1
            next = UnsafeMutableRawPointer(start + count)
            return start
        }
        pairs = terms.map { _ in take(UInt64.self, room) }
        edges = terms.map { _ in take(UInt64.self, room) }
        foldedAt = take(UInt32.self, room)
        raw = take(UInt8.self, room)
        kept = take(UInt8.self, room)
        lowered = take(UInt8.self, room)
        bonus = take(UInt8.self, room)
        found = .allocate(capacity: terms.count)
        patterns = .allocate(capacity: terms.count)
        for (index, term) in terms.enumerated() {
            found[index] = take(UInt8.self, room)
            patterns[index] = take(UInt8.self, 264)
            for (place, byte) in term.lowered.enumerated() { patterns[index][place] = byte }
            // No path holds a zero byte: a term that was found to its end stays so.
            patterns[index][term.lowered.count] = 0
        }
        for index in terms.indices {
            found[index][0] = 0
            pairs[index][0] = 0
            edges[index][0] = 0
        }
        foldedAt[0] = 0
    }

    deinit {
        memory.deallocate()
        found.deallocate()
        patterns.deallocate()
        counts.deallocate()
    }

    /// Starts a block: nothing is kept.
    func reset() {
        counts.pointee = Counts()
        if let near { for term in terms.indices { near.counts[term] = 0 } }
    }

    /// Takes the next path: `shared` bytes of the one before, and `suffix`. Whether every term is found in it, in order.
    @inline(__always)
    func advance(_ shared: Int, _ suffix: UnsafeRawBufferPointer) -> Bool {
        var asciiCount = counts.pointee.ascii
        let start = shared <= asciiCount ? shared : Int(foldedAt[shared])
        // A folded path is never longer.
        guard let source = suffix.baseAddress, start <= shared else { return false }
        let length = suffix.count
        var end = start &+ length
        if copyLowered(source, length, shared, start) {
            if shared <= asciiCount {
                asciiCount = shared &+ length
            } else {
                for index in 1...length { foldedAt[shared &+ index] = UInt32(truncatingIfNeeded: start &+ index) }
            }
        } else {
            asciiCount = min(asciiCount, shared)
            if asciiCount == shared { foldedAt[shared] = UInt32(truncatingIfNeeded: start) }
            let table = foldedAt + shared
            end = fold(suffix, kept: kept, lowered: lowered, at: start) { used, length in
                table[used] = UInt32(truncatingIfNeeded: length)
            }
        }
        counts.pointee = Counts(
            raw: shared &+ length, folded: end, ascii: asciiCount, bonus: min(counts.pointee.bonus, start), changed: start)
        return find(start..<end)
    }

    /// Copies the bytes as they are and lowered, 8 at a time; whether all are ASCII. `source` can be read 7 bytes beyond its end.
    @inline(__always)
    private func copyLowered(_ source: UnsafeRawPointer, _ length: Int, _ shared: Int, _ start: Int) -> Bool {
        var index = 0
        var high: UInt64 = 0
        while index < length {
            let bytes = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            UnsafeMutableRawPointer(raw + shared + index).storeBytes(of: bytes.littleEndian, as: UInt64.self)
            UnsafeMutableRawPointer(kept + start + index).storeBytes(of: bytes.littleEndian, as: UInt64.self)
            // The top bit of each byte tells that it is `A` or above, or beyond `Z`; both or none are no capital.
            let low = bytes & 0x7f7f_7f7f_7f7f_7f7f
            let atLeastA = low &+ 0x3f3f_3f3f_3f3f_3f3f
            let beyondZ = low &+ 0x2525_2525_2525_2525
            let capitals = (atLeastA ^ beyondZ) & ~bytes & 0x8080_8080_8080_8080
            let lower = bytes | capitals >> 2
            UnsafeMutableRawPointer(lowered + start + index).storeBytes(of: lower.littleEndian, as: UInt64.self)
            // Only what belongs to it.
            let left = length &- index
            high |= left >= 8 ? bytes : bytes & ((1 << UInt64(8 &* left)) &- 1)
            index &+= 8
        }
        return high & 0x8080_8080_8080_8080 == 0
    }

    @inline(__always)
    private func find(_ range: Range<Int>) -> Bool {
        var isFound = true
        for term in 0..<termCount {
            if let near {
                near.counts[term] = min(near.counts[term], range.lowerBound)
                findNearly(found[term], patterns[term], near.skipped[term], range)
            } else {
                find(found[term], patterns[term], range)
            }
            isFound = isFound && patterns[term][Int(found[term][range.upperBound])] == 0
        }
        return isFound
    }

    /// Goes from one byte that the term waits for to the next, 16 at a time.
    @inline(__always)
    private func find(_ table: UnsafeMutablePointer<UInt8>, _ pattern: UnsafeMutablePointer<UInt8>, _ range: Range<Int>) {
        let count = range.upperBound
        var index = range.lowerBound
        var place = table[index]
        while index < count {
            let bytes = UnsafeRawPointer(lowered + index).loadUnaligned(as: SIMD16<UInt8>.self)
            UnsafeMutableRawPointer(table + index + 1).storeBytes(of: SIMD16(repeating: place), as: SIMD16<UInt8>.self)
            let hit = firstSet(bytes .== SIMD16(repeating: pattern[Int(place)]))
            guard index &+ hit < count, hit < 16 else {
                index &+= 16
                continue
            }
            place &+= 1
            index &+= hit &+ 1
            table[index] = place
        }
    }

    /// The same, and how far the term is found with one byte of it left out.
    private func findNearly(
        _ table: UnsafeMutablePointer<UInt8>, _ pattern: UnsafeMutablePointer<UInt8>, _ skipped: UnsafeMutablePointer<UInt8>,
        _ range: Range<Int>
    ) {
        let count = range.upperBound
        var index = range.lowerBound
        var place = table[index]
        var further = skipped[index]
        while index < count {
            let bytes = UnsafeRawPointer(lowered + index).loadUnaligned(as: SIMD16<UInt8>.self)
            UnsafeMutableRawPointer(table + index + 1).storeBytes(of: SIMD16(repeating: place), as: SIMD16<UInt8>.self)
            UnsafeMutableRawPointer(skipped + index + 1).storeBytes(of: SIMD16(repeating: further), as: SIMD16<UInt8>.self)
            let wanted = (pattern[Int(place)], pattern[Int(further)])
            let hit = firstSet((bytes .== SIMD16(repeating: wanted.0)) .| (bytes .== SIMD16(repeating: wanted.1)))
            guard index &+ hit < count, hit < 16 else {
                index &+= 16
                continue
            }
            let byte = lowered[index &+ hit]
            // At the end a zero byte is waited for, which no path has.
            if byte == wanted.1 { further &+= 1 }
            if byte == wanted.0 { place &+= 1 }
            further = max(further, pattern[Int(place)] == 0 ? place : place &+ 1)
            index &+= hit &+ 1
            table[index] = place
            skipped[index] = further
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

    /// Works out the bonus of each byte that has none yet; and what ``bound()`` and ``marks(_:)`` ask for, unless they never will.
    func rate(withMarks: Bool = true) {
        let count = count
        let bonusCount = bonusCount
        guard bonusCount < count else { return }
        var previous = bonusCount == 0 ? 0x2f : Int(kept[bonusCount &- 1])
        for index in bonusCount..<count {
            let byte = Int(kept[index])
            bonus[index] = bonuses[previous << 8 | byte]
            previous = byte
        }
        for term in terms.indices where withMarks {
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
        counts.pointee.bonus = count
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

    /// What ``bound()`` knows of a term: which of its bytes stand right behind the byte before them, and which where there is a bonus, as bits.
    func marks(_ term: Int) -> (pairs: UInt64, edges: UInt64) {
        rate()
        return (pairs[term][count], edges[term][count])
    }

    /// Whether the lowered path holds a byte.
    func holds(_ byte: UInt8) -> Bool { memchr(lowered, Int32(byte), count) != nil }

    /// The score of all terms together; nil when one is not found: as its case is not right, or it has to stand there as it is.
    func score(_ rows: ScoreRows) -> Int? {
        rate()
        let start = nameStart
        var sum = 0
        for (index, term) in terms.enumerated() {
            var best: Int?
            if isFound(index) {
                best = term.isExact ? runScore(term, start) : score(term.kept, term.lowered, term.isSensitive, start, rows)
            }
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

    /// The best score of a term that stands in one run, as it is; nil when it does not.
    private func runScore(_ term: NameQuery.Term, _ nameStart: Int) -> Int? {
        (term.isSensitive ? term.kept : term.lowered).withUnsafeBufferPointer { pattern in
            let text = UnsafePointer(term.isSensitive ? kept : lowered)
            guard let first = pattern.baseAddress else { return Int?.none }
            var best: Int?
            var start = 0
            while count - start >= pattern.count,
                let hit = memchr(text + start, Int32(first.pointee), count - start - pattern.count + 1)
            {
                start = UnsafeRawPointer(text).distance(to: UnsafeRawPointer(hit))
                if memcmp(hit, first, pattern.count) == 0 {
                    let score = Score.run(bonus + start, pattern.count) + (start >= nameStart ? Score.lastComponent : 0)
                    best = max(best ?? score, score)
                }
                start += 1
            }
            return best
        }
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
