/// A set of packs, by their number in this process: one bit a pack, growing as needed.
///
/// 600,000 packs take 75 kB. Iterates in ascending order.
package struct PackSet: Sendable, Equatable, Sequence {
    private var words: [UInt64] = []
    /// How many packs are in the set.
    package private(set) var count = 0

    package init() {}

    /// With room for `capacity` packs at once.
    package init(capacity: Int) { words.reserveCapacity((capacity + 63) / 64) }

    package var isEmpty: Bool { count == 0 }

    package func contains(_ number: UInt32) -> Bool {
        let index = Int(number >> 6)
        return index < words.count && words[index] >> UInt64(number & 63) & 1 == 1
    }

    /// Adds the pack; true if it was not in the set.
    @discardableResult
    package mutating func insert(_ number: UInt32) -> Bool {
        let index = Int(number >> 6)
        if index >= words.count { words.append(contentsOf: repeatElement(0, count: index + 1 - words.count)) }
        let bit: UInt64 = 1 << UInt64(number & 63)
        guard words[index] & bit == 0 else { return false }
        words[index] |= bit
        count += 1
        return true
    }

    /// Takes the pack out; true if it was in the set.
    @discardableResult
    package mutating func remove(_ number: UInt32) -> Bool {
        guard contains(number) else { return false }
        words[Int(number >> 6)] &= ~(1 << UInt64(number & 63))
        count -= 1
        return true
    }

    /// Empties the set and keeps its memory.
    package mutating func removeAll() {
        for index in words.indices { words[index] = 0 }
        count = 0
    }

    /// Adds every pack of `other`.
    package mutating func formUnion(_ other: PackSet) {
        if other.words.count > words.count {
            words.append(contentsOf: repeatElement(0, count: other.words.count - words.count))
        }
        count = 0
        for index in words.indices {
            if index < other.words.count { words[index] |= other.words[index] }
            count += words[index].nonzeroBitCount
        }
    }

    package static func == (a: PackSet, b: PackSet) -> Bool { a.count == b.count && a.elementsEqual(b) }

    package struct Iterator: IteratorProtocol {
        private let words: [UInt64]
        private var index = 0
        private var rest: UInt64

        init(_ words: [UInt64]) {
            self.words = words
            rest = words.first ?? 0
        }

        package mutating func next() -> UInt32? {
            while rest == 0 {
                index += 1
                guard index < words.count else { return nil }
                rest = words[index]
            }
            defer { rest &= rest - 1 }
            return UInt32(index << 6 + rest.trailingZeroBitCount)
        }
    }

    package func makeIterator() -> Iterator { Iterator(words) }
}
