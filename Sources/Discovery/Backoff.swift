/// Waits that double, from a first one up to a longest.
package struct Backoff: Sendable {
    private let firstMilliseconds: UInt64
    private let longestMilliseconds: UInt64
    private var nextMilliseconds: UInt64

    package init(firstMilliseconds: UInt64, longestMilliseconds: UInt64) {
        self.firstMilliseconds = firstMilliseconds
        self.longestMilliseconds = longestMilliseconds
        nextMilliseconds = firstMilliseconds
    }

    /// How long to wait now, in nanoseconds.
    package mutating func next() -> UInt64 {
        defer { nextMilliseconds = min(nextMilliseconds * 2, longestMilliseconds) }
        return nextMilliseconds * 1_000_000
    }

    package mutating func reset() { nextMilliseconds = firstMilliseconds }
}
