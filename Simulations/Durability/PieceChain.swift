internal import Glibc

/// Pieces that fail and are made again, each by itself and without memory: a birth-death chain of how many are left.
///
/// With j pieces left, one fails at rate j λ; of those that are missing, as many as there are `repairers` are under way, each done
/// at rate μ. Data is lost when fewer than `scheme.needed` are left, and stays lost. Time is in years.
package struct PieceChain: Hashable, Sendable {
    package let scheme: Scheme
    /// λ, a year.
    package let failureRate: Double
    /// μ, a year.
    package let repairRate: Double
    /// How many pieces are made again at once.
    package let repairers: Int

    package init(_ scheme: Scheme, failureRate: Double, repairRate: Double, repairers: Int = .max) {
        precondition(failureRate > 0 && failureRate.isFinite && repairRate >= 0 && repairRate.isFinite && repairers > 0)
        self.scheme = scheme
        self.failureRate = failureRate
        self.repairRate = repairRate
        self.repairers = repairers
    }

    private func failing(_ left: Int) -> Double { Double(left) * failureRate }
    private func mending(_ left: Int) -> Double { Double(min(scheme.pieces - left, repairers)) * repairRate }

    /// The logarithm of the mean time to data loss in years, from all pieces there.
    ///
    /// The tridiagonal system is solved by elimination from the full end: the mean time t(j) from j pieces to j - 1 is
    /// (1 + mending(j) t(j+1)) / failing(j), and the sum of these is the mean time to loss. Nothing is subtracted, so nothing
    /// cancels, and logarithms hold what a `Double` cannot: 100 copies outlast 1e308 years.
    package var logMeanYears: Double {
        var total = -Double.infinity
        var longer = -Double.infinity
        for left in (scheme.needed...scheme.pieces).reversed() {
            let waiting = logSum(0, log(mending(left)) + longer)
            longer = (mending(left) > 0 ? waiting : 0) - log(failing(left))
            total = logSum(total, longer)
        }
        return total
    }

    /// The mean time to data loss in years; the greatest number there is, if it is longer.
    package var meanYears: Double { min(exp(logMeanYears), .greatestFiniteMagnitude) }

    /// The chance of loss within a year, had loss a constant rate: 1 - e^(-1 / mean). What most papers give.
    package var annualLossByMean: Double { -expm1(-exp(-logMeanYears)) }

    /// The chance of loss within `years`, from all pieces there, exactly: by uniformization.
    ///
    /// The chain is looked at when a Poisson process of the fastest rate ticks; the chance to be lost after each number of ticks is
    /// a sum of products of what is positive, so that small chances keep their digits. Takes time in proportion to the fastest
    /// rate, the years, and the pieces.
    package func loss(within years: Double) -> Double {
        precondition(years > 0)
        let states = Array(scheme.needed...scheme.pieces)
        let fastest = states.map { failing($0) + mending($0) }.reduce(0, max) * 1.0001
        let expected = fastest * years
        let last = Int(expected + 12 * expected.squareRoot() + 60)
        precondition(last < 100_000_000)
        let fail = states.map { failing($0) / fastest }
        let mend = states.map { mending($0) / fastest }
        var chances = [Double](repeating: 0, count: states.count)
        chances[states.count - 1] = 1
        var lost = 0.0
        var result = 0.0
        for tick in 1...last {
            lost += chances[0] * fail[0]
            var below = 0.0
            for index in chances.indices {
                let here = chances[index]
                var next = here * (1 - fail[index] - mend[index]) + below
                if index + 1 < chances.count { next += chances[index + 1] * fail[index + 1] }
                below = here * mend[index]
                chances[index] = next
            }
            result += poisson(tick, mean: expected) * lost
        }
        return min(1, result)
    }

    package var annualLoss: Double { loss(within: 1) }
}

/// The logarithm of the sum of two numbers that are given by their logarithms.
private func logSum(_ a: Double, _ b: Double) -> Double {
    let high = max(a, b)
    guard high > -.infinity else { return high }
    return high + log1p(exp(min(a, b) - high))
}
