internal import CSodium
internal import Glibc

/// A small generator of choices, the same for the same seed (Steele, Lea, Flood: SplitMix64).
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True once in `many`.
    package mutating func isOne(in many: Int) -> Bool { next() % UInt64(max(1, many)) == 0 }

    /// Below `bound`, which is at least 1.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

    package mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    package mutating func pick<T>(_ items: [T]) -> T? { items.isEmpty ? nil : items[below(items.count)] }

    /// Another generator, which goes its own way.
    package mutating func branch() -> SplitMix64 { SplitMix64(next()) }
}

// SAFETY: one thread has the turn at a time.
nonisolated(unsafe) private var sodiumChoices = SplitMix64(0)
nonisolated(unsafe) private var sodiumImplementation = randombytes_implementation()

/// From now on libsodium's random bytes follow from `seed`: keys, nonces and names are the same in every run of one seed.
///
/// For simulations alone. Must be called before anything uses libsodium; and again for each seed.
package func seedSodium(_ seed: UInt64) {
    sodiumChoices = SplitMix64(seed)
    if sodiumImplementation.buf == nil {
        sodiumImplementation.implementation_name = { UnsafePointer(strdup("simulated")) }
        sodiumImplementation.random = { UInt32(truncatingIfNeeded: sodiumChoices.next()) }
        sodiumImplementation.buf = { bytes, count in
            guard let bytes else { return }
            let output = UnsafeMutableRawBufferPointer(start: bytes, count: count)
            for index in stride(from: 0, to: count, by: 8) {
                withUnsafeBytes(of: sodiumChoices.next()) { number in
                    let some = min(8, count - index)
                    UnsafeMutableRawBufferPointer(rebasing: output[index..<index + some]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: number[..<some]))
                }
            }
        }
        randombytes_set_implementation(&sodiumImplementation)
    }
}

/// Writes a line to standard output.
package func writeLine(_ line: String) {
    var bytes = Array((line + "\n").utf8)[...]
    while !bytes.isEmpty {
        let written = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        guard written > 0 else { return }
        bytes = bytes.dropFirst(written)
    }
}
