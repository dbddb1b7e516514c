// How likely data is lost, from how often copies fail and how fast they are made again: by closed forms and by simulation.
//
// Pure functions and values: no I/O, no clock, and no random source but seeds that are given. This module must never know how
// bakare-node works inside: what it assumes of a node is in `HomeModel`, in words and units.

/// How data is spread: any `needed` of its `pieces` bring it back, and each piece has one `needed`th of its size.
package struct Scheme: Hashable, Sendable {
    package let needed: Int
    package let pieces: Int

    package init(needed: Int, pieces: Int) {
        precondition(needed > 0 && needed <= pieces)
        self.needed = needed
        self.pieces = pieces
    }

    /// Whole copies.
    package static func replicas(_ count: Int) -> Scheme { Scheme(needed: 1, pieces: count) }

    /// What is stored, as a multiple of the data.
    package var expansion: Double { Double(pieces) / Double(needed) }
    /// How many pieces may be missing at once.
    package var spare: Int { pieces - needed }
}

/// A deterministic random source (Steele, Lea, Flood: SplitMix64): the same seed gives the same figures on every machine.
package struct Chance: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func bits() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Above 0 and below 1.
    package mutating func unit() -> Double { (Double(bits() >> 11) + 0.5) / 0x1p53 }
}
