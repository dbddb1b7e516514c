/// The index of the first that is true, or 16.
@inline(__always)
func firstSet(_ mask: SIMDMask<SIMD16<Int8>>) -> Int {
    let words = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
    if words[0] != 0 { return words[0].trailingZeroBitCount >> 3 }
    return words[1] == 0 ? 16 : 8 &+ words[1].trailingZeroBitCount >> 3
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
