/// Counts what paths lose at least against the best score of a query, 256 paths at a time: each bit of a counter is a word of each plane.
///
/// A plane has a bit for each path of a group. Pointers are to words; where planes are read and written, they go on for the whole of a
/// `Lane`.
struct SketchCounter {
    typealias Lane = SIMD4<UInt64>
    typealias Plane = UnsafeMutablePointer<UInt64>

    /// What is asked for a term, numbered through all terms: for each place of it its pair with the place before (for the first, with a
    /// slash) and its bonus, then its letters. To each belongs a plane of what the last components have.
    ///
    /// Of the folders, a term has planes of its own, from `folders` on. One that stands in one run: where it stands elsewhere than in the
    /// last component, and where in that. Another: which have its letters; for each number of its first letters what is lost when these
    /// stand in the folder and all others in the last component, a bit of it a plane; and which have its pairs, if it may hold a typo.
    struct Term {
        let first: Int
        let folders: Int
        let count: Int
        let letters: Int
        let isExact: Bool
        let mayHoldTypo: Bool
        /// Of its counters.
        let bits: Int

        var elsewhere: Int { folders }
        var inLast: Int { folders + 1 }
        /// Of its first `letters`, from 1 on.
        func split(_ letters: Int) -> Int { folders + self.letters + (letters - 1) * SketchQuery.splitBits }
        /// Of the letter at `place` with the one before.
        func pair(_ place: Int) -> Int { split(count + 1) + place }
        var folderPlanes: Int { isExact ? 2 : letters + count * (SketchQuery.splitBits + (mayHoldTypo ? 1 : 0)) }
    }

    static let laneWords = 4

    let terms: [Term]
    /// Of the folders, of all terms.
    let folderPlanes: Int
    /// Of the sum.
    let lossBits: Int
    private let room: UnsafeMutablePointer<Lane>
    private let roomBits: Int
    /// For each place of a term, from its first plane on, which of its letters with a mark stands there; -1 for none.
    private let letterOf: UnsafeMutablePointer<Int>

    init(_ query: SketchQuery) {
        var first = 0
        var folders = 0
        var most = 0
        terms = query.terms.map { term in
            let inLast = SketchQuery.firstLoss + (term.count - 1) * SketchQuery.plainGapLoss
            let loss = max(inLast, SketchQuery.splitLossMax)
            let letters = term.isExact ? 0 : term.letters.count
            let plan = Term(
                first: first, folders: folders, count: term.count, letters: letters, isExact: term.isExact,
                mayHoldTypo: term.mayHoldTypo, bits: Int.bitWidth - loss.leadingZeroBitCount)
            first += 2 * term.count + letters
            folders += plan.folderPlanes
            most += loss
            return plan
        }
        folderPlanes = folders
        lossBits = Int.bitWidth - most.leadingZeroBitCount
        roomBits = terms.reduce(0) { max($0, $1.bits) }
        room = .allocate(capacity: 3 * roomBits)
        letterOf = .allocate(capacity: max(1, first))
        for (plan, term) in zip(terms, query.terms) where !term.isExact {
            for place in 0..<term.count {
                letterOf[plan.first + place] = term.letters.firstIndex(of: term.lowered[place]) ?? -1
            }
        }
    }

    /// Of one use: this is no class, so that nothing is checked at each access.
    func deallocate() {
        room.deallocate()
        letterOf.deallocate()
    }

    /// Of 256 paths from `word` on: which can be found, of those that `found` has yet, and what they lose, to the planes of `losses`,
    /// each of `stride` words. `columns` and `folders` are the planes of what is asked.
    func count(
        _ word: Int, _ found: Plane, _ losses: Plane, _ stride: Int, columns: UnsafePointer<UnsafePointer<UInt64>>, folders: Plane
    ) {
        for bit in 0..<lossBits { Self.store(.zero, losses + bit &* stride + word) }
        var isFound = Self.load(found + word)
        guard isFound.wrappedOr != 0 else { return }
        let last = room
        terms.withUnsafeBufferPointer { terms in
            for term in terms {
                for bit in 0..<term.bits { last[bit] = .zero }
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
        let (last, split, bits) = (room, room + roomBits, term.bits)
        let letters = columns + term.first + 2 &* term.count
        for bit in 0..<SketchQuery.splitBits { split[bit] = Lane(repeating: .max) }
        var window = TypoWindow()
        var points = Points()
        // Of the letters so far, those that stand in one run with one that has a bonus: these have no less.
        var run = Lane.zero
        // Whether all letters so far may stand in one run from the start of the component on.
        var start = Self.load(columns[term.first] + word)
        for index in 0..<term.count {
            let edge = Self.load(columns[term.first &+ 2 &* index &+ 1] + word)
            if index == 0 {
                // 6 is 2 and 4.
                for bit in 1...2 { Self.addBit(last, ~edge, bit, bits) }
                _ = points.add(.zero, edge & ~start)
                run = edge
                continue
            }
            let pair = Self.load(columns[term.first &+ 2 &* index] + word)
            let one = ~pair & edge | pair & ~run & ~edge
            let four = ~pair & ~edge
            start &= pair
            Self.addBit(last, one, 0, bits)
            Self.addBit(last, four, 2, bits)
            Self.addBit(last, points.add(~pair & edge | pair & (run | edge) & ~start, pair & ~run & ~edge), 0, bits)
            Self.add(split, one, four)
            // Those before it in the folder, this one the first in the last component.
            lower(folders + term.split(index) &* stride + word, stride, ~edge)
            let letter = letterOf[term.first &+ index]
            if letter >= 0 {
                let isMissing = ~Self.load(letters[letter] + word)
                for bit in 0..<SketchQuery.splitBits { split[bit] |= isMissing }
            }
            run = pair & run | edge
            if term.mayHoldTypo { window.add(~(pair | Self.load(folders + term.pair(index) &* stride + word))) }
        }
        lower(folders + term.split(term.count) &* stride + word, stride, .zero)
        var allOrOne = Lane(repeating: .max)
        var (all, allInLast) = (allOrOne, allOrOne)
        for letter in 0..<term.letters {
            let inLast = Self.load(letters[letter] + word)
            let any = inLast | Self.load(folders + (term.folders &+ letter) &* stride + word)
            allInLast &= inLast
            allOrOne = allOrOne & any | all & ~any
            all &= any
        }
        for bit in SketchQuery.splitBits..<max(SketchQuery.splitBits, bits) { split[bit] = .zero }
        choose(allInLast & Self.atMost(last, split, bits), bits)
        if term.mayHoldTypo { forgive(window.isNear, bits) }
        return term.mayHoldTypo ? allOrOne : all
    }

    /// Adds 1, or 4, to a counter of splits, as far as it goes.
    @inline(__always)
    private static func add(_ sum: UnsafeMutablePointer<Lane>, _ one: Lane, _ four: Lane) {
        var carry = one
        for bit in 0..<SketchQuery.splitBits {
            if bit == 2 { carry |= four }
            let old = sum[bit]
            sum[bit] = old ^ carry
            carry = old & carry
        }
        for bit in 0..<SketchQuery.splitBits { sum[bit] |= carry }
    }

    /// Takes what folders lose, and 3 more where `isMore` says so, for the second counters where that is less.
    @inline(__always)
    private func lower(_ folders: Plane, _ stride: Int, _ isMore: Lane) {
        let (sum, other) = (room + roomBits, room + 2 &* roomBits)
        var all = Lane(repeating: .max)
        for bit in 0..<SketchQuery.splitBits {
            other[bit] = Self.load(folders + bit &* stride)
            all &= other[bit]
        }
        guard (~all).wrappedOr != 0 else { return }
        var carry = Lane.zero
        for bit in 0..<SketchQuery.splitBits {
            let (old, more) = (other[bit], bit < 2 ? isMore : .zero)
            other[bit] = old ^ more ^ carry
            carry = old & more | carry & (old ^ more)
        }
        for bit in 0..<SketchQuery.splitBits { other[bit] |= carry }
        let isKept = Self.atMost(sum, other, SketchQuery.splitBits)
        for bit in 0..<SketchQuery.splitBits { sum[bit] = sum[bit] & isKept | other[bit] & ~isKept }
    }

    /// Counts what is less than a unit: single points that the last component loses. Only a letter at its start, and those in one run with
    /// it, have a bonus of 9; another has 8 at most, twice for the first one. Behind a gap it loses 4, and in a run without a bonus 5.
    private struct Points {
        private var one = Lane.zero
        private var two = Lane.zero

        /// Adds a point, or two; where that makes three, a unit is lost.
        @inline(__always)
        mutating func add(_ single: Lane, _ double: Lane) -> Lane {
            let (none, same) = (~(one | two), ~(single | double))
            let full = two & single | (one | two) & double
            (one, two) = (none & single | two & double | one & same, one & single | none & double | two & same)
            return full
        }
    }

    /// Whether all pairs that are missing stand within three places: no typo breaks others.
    private struct TypoWindow {
        private var none = Lane(repeating: .max)
        /// Where some are: how many more may be missing.
        private var two = Lane.zero
        private var one = Lane.zero
        private var full = Lane.zero

        @inline(__always)
        mutating func add(_ isMissing: Lane) {
            full = one | full & ~isMissing
            one = two
            two = none & isMissing
            none &= ~isMissing
        }

        var isNear: Lane { none | two | one | full }
    }

    /// Counts what a term loses that stands in one run, where it stands at all.
    private func countExact(
        _ term: Term, _ word: Int, _ stride: Int, _ columns: UnsafePointer<UnsafePointer<UInt64>>, _ folders: Plane
    ) {
        let (last, any, bits) = (room, room + roomBits, term.bits)
        for bit in 0..<bits { any[bit] = .zero }
        var points = Points()
        var run = Lane.zero
        let start = Self.load(columns[term.first] + word)
        for index in 0..<term.count {
            run |= Self.load(columns[term.first + 2 * index + 1] + word)
            if index == 0 {
                for bit in 1...2 { Self.addBit(last, ~run, bit, bits) }
                _ = points.add(.zero, run & ~start)
            } else {
                Self.addBit(last, ~run, 0, bits)
                Self.addBit(last, points.add(run & ~start, ~run), 0, bits)
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
    private func forgive(_ isNear: Lane, _ bits: Int) {
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

    /// Keeps what `other` has as well; all of it together is answered. Of whole lanes.
    static func keep(_ plane: Plane, where other: Plane, _ words: Int) -> UInt64 {
        var all = Lane.zero
        for word in Swift.stride(from: 0, to: words, by: laneWords) {
            let kept = load(plane + word) & load(other + word)
            store(kept, plane + word)
            all |= kept
        }
        return all.wrappedOr
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
