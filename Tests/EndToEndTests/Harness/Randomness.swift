internal import Glibc
import Testing

/// SplitMix64: small, fast, and the same everywhere.
struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A generator for one test, its seed printed so that BAKARE_TEST_SEED can replay it.
    static func forTest(_ name: String) -> Randomness {
        var seed = UInt64.random(in: 0...0xffff_ffff)
        if let fixed = environmentNumber("BAKARE_TEST_SEED") { seed = UInt64(truncatingIfNeeded: fixed) }
        print("seed of \(name): BAKARE_TEST_SEED=\(seed)")
        return Randomness(seed: seed)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

    mutating func chance(_ one: Int, in many: Int) -> Bool { below(many) < one }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// Bytes that do not compress.
    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var at = 0
            while at < count {
                var word = next()
                let part = min(8, count - at)
                withUnsafeBytes(of: &word) { source in
                    for index in 0..<part { buffer[at + index] = source[index] }
                }
                at += part
            }
            filled = count
        }
    }

    /// Bytes that compress as logs and program text do.
    mutating func text(_ count: Int) -> [UInt8] {
        let words = (0..<64).map { _ in Array("\(next() % 100_000) ".utf8) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { bytes += words[below(64)] }
        return Array(bytes.prefix(count))
    }
}
