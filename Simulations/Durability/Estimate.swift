internal import Glibc

extension Chance {
    /// A waiting time for what happens `rate` times in a unit of time on average. Never, at rate 0.
    package mutating func wait(rate: Double) -> Double { rate > 0 ? -log(unit()) / rate : .infinity }
}

/// A figure from a simulation, and where the true one is with 95 % confidence.
package struct Estimate: Hashable, Sendable {
    package var value: Double
    package var low: Double
    package var high: Double

    package init(value: Double, low: Double, high: Double) {
        self.value = value
        self.low = low
        self.high = high
    }

    /// How often something happens, from `hits` in `trials`: Wilson's interval, which is sound at few hits too.
    /// `deviations` is how wide: 1.96 for 95 %.
    package static func share(_ hits: Int, of trials: Int, deviations: Double = 1.96) -> Estimate {
        precondition(hits >= 0 && hits <= trials && trials > 0)
        let n = Double(trials)
        let p = Double(hits) / n
        let square = deviations * deviations
        let middle = (p + square / (2 * n)) / (1 + square / n)
        let half = deviations / (1 + square / n) * (p * (1 - p) / n + square / (4 * n * n)).squareRoot()
        return Estimate(value: p, low: hits == 0 ? 0 : max(0, middle - half), high: hits == trials ? 1 : min(1, middle + half))
    }

    /// The chance that it happens within a unit of time, from `hits` in `time` units: events that come at a constant rate.
    /// The interval takes the square root of a count for normal with deviation one half.
    package static func yearly(_ hits: Int, in time: Double, deviations: Double = 1.96) -> Estimate {
        precondition(hits >= 0 && time > 0)
        let root = Double(hits).squareRoot()
        let low = max(0, root - deviations / 2)
        let high = root + deviations / 2
        func chance(_ count: Double) -> Double { -expm1(-count / time) }
        return Estimate(value: chance(Double(hits)), low: chance(low * low), high: chance(high * high))
    }

    /// The mean of what was measured.
    package static func mean(_ values: [Double], deviations: Double = 1.96) -> Estimate {
        precondition(!values.isEmpty)
        let count = Double(values.count)
        let mean = values.reduce(0, +) / count
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let half = deviations * (squares / max(1, count - 1) / count).squareRoot()
        return Estimate(value: mean, low: mean - half, high: mean + half)
    }

    package func contains(_ value: Double) -> Bool { low <= value && value <= high }
}
