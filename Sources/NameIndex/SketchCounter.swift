/// Counts what paths lose at least against the best score of a query, 256 paths at a time: each bit of a counter is a word of each plane.
///
/// A plane has a bit for each path of a group. Pointers are to words; where planes are read and written, they go on for the whole of a
/// `Lane`.
struct SketchCounter {
    typealias Lane = SIMD4<UInt64>
    typealias Plane = UnsafeMutablePointer<UInt64>

    /// What is asked for a term, numbered through all terms: for each place of it its pair with the place before and its bonus, then
    /// its letters. To each belongs a plane of what the last components have, and one of what the folders have.
    struct Term {
        let first: Int
        let count: Int
        let letters: Int
        let isExact: Bool
        let mayHoldTypo: Bool
        /// Of its counters.
        let bits: Int

        /// Of an exact term: where it stands in the last component, and where elsewhere.
        var inLast: Int { first + 1 }
        var elsewhere: Int { first }
    }

    static let laneWords = 4
    private static let missingBits = 6

    let terms: [Term]
    /// Of the sum.
    let lossBits: Int
    private let room: UnsafeMutablePointer<Lane>
    private let roomBits: Int

    init(_ query: SketchQuery) {
        var first = 0
        var most = 0
        terms = query.terms.map { term in
            let loss = SketchQuery.firstLoss + (term.count - 1) * SketchQuery.plainGapLoss + SketchQuery.folderLoss
            let letters = term.isExact ? 0 : term.letters.count
            let plan = Term(
                first: first, count: term.count, letters: letters, isExact: term.isExact, mayHoldTypo: term.mayHoldTypo,
                bits: max(4, Int.bitWidth - loss.leadingZeroBitCount))
            first += 2 * term.count + letters
            most += loss
            return plan
        }
        lossBits = max(5, Int.bitWidth - most.leadingZeroBitCount)
        roomBits = terms.reduce(0) { max($0, $1.bits) }
        room = .allocate(capacity: 2 * roomBits + Self.missingBits)
    }

    /// Of one use: this is no class, so that nothing is checked at each access.
    func deallocate() { room.deallocate() }

    /// Of 256 paths from `word` on: which can be found, of those that `found` has yet, and what they lose, to the planes of `losses`,
    /// each of `stride` words. `columns` and `folders` are the planes of what is asked.
    func count(
        _ word: Int, _ found: Plane, _ losses: Plane, _ stride: Int, columns: UnsafePointer<UnsafePointer<UInt64>>, folders: Plane
    ) {
        for bit in 0..<lossBits { Self.store(.zero, losses + bit &* stride + word) }
        var isFound = Self.load(found + word)
        guard isFound.wrappedOr != 0 else { return }
        let (last, any) = (room, room + roomBits)
        terms.withUnsafeBufferPointer { terms in
            for term in terms {
                for bit in 0..<term.bits {
                    last[bit] = .zero
                    any[bit] = .zero
                }
                if term.isExact {
                    countExact(term, word, stride, columns, folders)
                } else {
                    isFound &= countAny(term, word, stride, columns, folders)
                }
                addSum(losses + word, stride, last, term.bits)
            }
        }
        Self.store(isFound, found + word)
    }

    /// Counts what a term loses, into the first counters; which of the paths can hold it.
    private func countAny(
        _ term: Term, _ word: Int, _ stride: Int, _ columns: UnsafePointer<UnsafePointer<UInt64>>, _ folders: Plane
    ) -> Lane {
        let (last, any) = (room, room + roomBits)
        let (missing, bits) = (any + roomBits, term.bits)
        for bit in 0..<Self.missingBits { missing[bit] = .zero }
        var place = term.first
        func take() -> (last: Lane, any: Lane) {
            let own = Self.load(columns[place] + word)
            let all = own | Self.load(folders + place &* stride + word)
            place &+= 1
            return (own, all)
        }
        // Of the letters so far, those that stand in one run with one that has a bonus: these have no less.
        var run: (last: Lane, any: Lane) = (.zero, .zero)
        for index in 0..<term.count {
            let pair = take()
            let edge = take()
            if index == 0 {
                // 6 is 2 and 4.
                for bit in 1...2 {
                    Self.addBit(last, ~edge.last, bit, bits)
                    Self.addBit(any, ~edge.any, bit, bits)
                }
                run = edge
                continue
            }
            Self.addBit(last, ~pair.last & edge.last | pair.last & ~run.last & ~edge.last, 0, bits)
            Self.addBit(last, ~pair.last & ~edge.last, 2, bits)
            Self.addBit(any, ~pair.any & edge.any | pair.any & ~run.any & ~edge.any, 0, bits)
            Self.addBit(any, ~pair.any & ~edge.any, 2, bits)
            run = (pair.last & run.last | edge.last, pair.any & run.any | edge.any)
            if term.mayHoldTypo { Self.addBit(missing, ~pair.any, 0, Self.missingBits) }
        }
        var allOrOne = Lane(repeating: .max)
        var (all, allInLast) = (allOrOne, allOrOne)
        for _ in 0..<term.letters {
            let letter = take()
            allInLast &= letter.last
            allOrOne = allOrOne & letter.any | all & ~letter.any
            all &= letter.any
        }
        // 5 is 1 and 4.
        for bit in [0, 2] { Self.addBit(any, Lane(repeating: .max), bit, bits) }
        choose(allInLast & Self.atMost(last, any, bits), bits)
        if term.mayHoldTypo { forgive(missing, bits) }
        return term.mayHoldTypo ? allOrOne : all
    }

    /// Counts what a term loses that stands in one run, where it stands at all.
    private func countExact(
        _ term: Term, _ word: Int, _ stride: Int, _ columns: UnsafePointer<UnsafePointer<UInt64>>, _ folders: Plane
    ) {
        let (last, any, bits) = (room, room + roomBits, term.bits)
        var run = Lane.zero
        for index in 0..<term.count {
            run |= Self.load(columns[term.first + 2 * index + 1] + word)
            if index == 0 {
                for bit in 1...2 { Self.addBit(last, ~run, bit, bits) }
            } else {
                Self.addBit(last, ~run, 0, bits)
            }
        }
        for bit in [0, 2] { any[bit] = Lane(repeating: .max) }
        let inLast = Self.load(folders + term.inLast &* stride + word)
        let elsewhere = Self.load(folders + term.elsewhere &* stride + word)
        choose(inLast & (~elsewhere | Self.atMost(last, any, bits)), bits)
    }

    /// Keeps the first counters where `isFirst` says so, else takes the second.
    @inline(__always)
    private func choose(_ isFirst: Lane, _ bits: Int) {
        let (last, any) = (room, room + roomBits)
        for bit in 0..<bits { last[bit] = last[bit] & isFirst | any[bit] & ~isFirst }
    }

    /// A term that may stand there with a typo loses no more than that costs.
    private func forgive(_ missing: UnsafeMutablePointer<Lane>, _ bits: Int) {
        var isNear = Lane(repeating: .max)
        for bit in 2..<Self.missingBits { isNear &= ~missing[bit] }
        var less = Lane.zero
        var equal = Lane(repeating: .max)
        for bit in (0..<bits).reversed() {
            if SketchQuery.typoLoss >> bit & 1 != 0 {
                less |= equal & ~room[bit]
                equal &= room[bit]
            } else {
                equal &= ~room[bit]
            }
        }
        let replaced = isNear & ~(less | equal)
        for bit in 0..<bits {
            room[bit] = room[bit] & ~replaced | (SketchQuery.typoLoss >> bit & 1 != 0 ? replaced : .zero)
        }
    }

    private func addSum(_ total: Plane, _ stride: Int, _ sum: UnsafeMutablePointer<Lane>, _ bits: Int) {
        var carry = Lane.zero
        for bit in 0..<lossBits {
            let plane = total + bit &* stride
            let (a, b) = (Self.load(plane), bit < bits ? sum[bit] : .zero)
            Self.store(a ^ b ^ carry, plane)
            carry = a & b | carry & (a ^ b)
        }
    }

    /// Where the first counter is not above the second.
    @inline(__always)
    private static func atMost(_ first: UnsafeMutablePointer<Lane>, _ second: UnsafeMutablePointer<Lane>, _ bits: Int) -> Lane {
        var isLess = Lane.zero
        var isEqual = Lane(repeating: .max)
        for bit in (0..<bits).reversed() {
            isLess |= isEqual & ~first[bit] & second[bit]
            isEqual &= ~(first[bit] ^ second[bit])
        }
        return isLess | isEqual
    }

    /// Adds 2 to the power of `first` where `mask` has a bit.
    @inline(__always)
    private static func addBit(_ sum: UnsafeMutablePointer<Lane>, _ mask: Lane, _ first: Int, _ bits: Int) {
        var carry = mask
        var bit = first
        while bit < bits {
            let old = sum[bit]
            sum[bit] = old ^ carry
            carry = old & carry
            bit &+= 1
        }
    }

    @inline(__always)
    static func load(_ words: UnsafePointer<UInt64>) -> Lane { UnsafeRawPointer(words).loadUnaligned(as: Lane.self) }

    @inline(__always)
    static func load(_ words: Plane) -> Lane { UnsafeRawPointer(words).loadUnaligned(as: Lane.self) }

    @inline(__always)
    static func store(_ lane: Lane, _ words: Plane) { UnsafeMutableRawPointer(words).storeBytes(of: lane, as: Lane.self) }
}

extension SIMD4<UInt64> {
    /// All bits of all words.
    @inline(__always)
    var wrappedOr: UInt64 { self[0] | self[1] | self[2] | self[3] }
}
