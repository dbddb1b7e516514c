import BackupFormat

/// A deterministic source of test values (SplitMix64): a failing case is replayed by its seed.
struct Choices: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    mutating func bytes32() -> Bytes32 { Bytes32(words: (next(), next(), next(), next())) }

    /// Of any magnitude; often one of the ends.
    mutating func size() -> UInt64 {
        switch below(8) {
        case 0: 0
        case 1: .max
        default: next() >> UInt64(below(64))
        }
    }

    mutating func offer() -> Offer {
        Offer(
            role: Role.allCases[below(Role.allCases.count)], free: size(), reserve: size(), quota: size(), used: size(),
            granted: size(), wanted: size(), generation: size())
    }
}
