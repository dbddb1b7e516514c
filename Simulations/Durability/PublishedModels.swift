internal import Glibc

/// The chance of exactly `count` events where `mean` are expected (Poisson).
package func poisson(_ count: Int, mean: Double) -> Double {
    precondition(count >= 0 && mean >= 0)
    guard mean > 0 else { return count == 0 ? 1 : 0 }
    return exp(Double(count) * log(mean) - mean - lgamma(Double(count) + 1))
}

/// The chance of more than `count` events. The tail is summed itself, so that a chance of 1e-30 keeps its digits.
package func poissonMoreThan(_ count: Int, mean: Double) -> Double {
    precondition(count >= 0 && mean >= 0)
    var term = poisson(count + 1, mean: mean)
    var sum = 0.0
    var events = Double(count + 1)
    // Beyond the mean each term is smaller than the one before by more and more.
    while term > 0, term > sum * 1e-18 || events < mean {
        sum += term
        events += 1
        term *= mean / events
    }
    return min(1, sum)
}

/// The chance that exactly `count` of `total` happen, each with chance `p` (binomial).
package func binomial(_ count: Int, of total: Int, chance p: Double) -> Double {
    precondition(count >= 0 && count <= total && p >= 0 && p <= 1)
    if p == 0 || p == 1 { return count == (p == 0 ? 0 : total) ? 1 : 0 }
    let choices = lgamma(Double(total) + 1) - lgamma(Double(count) + 1) - lgamma(Double(total - count) + 1)
    return exp(choices + Double(count) * log(p) + Double(total - count) * log1p(-p))
}

/// Storj's model: of `pieces`, a share `churn` is expected to go each month, and no repair is made within the month.
///
/// Storj: A Decentralized Cloud Storage Network Framework, v3.1, section 3.4 "Redundancy": P(D) = e^-λ Σ λ^i / i! for i = 0 to
/// n - k with λ = churn · n. This is 1 - P(D), the chance to lose data within a month.
package func storjLoss(_ scheme: Scheme, churn: Double) -> Double {
    poissonMoreThan(scheme.spare, mean: churn * Double(scheme.pieces))
}

/// Storj's model of repair: pieces are made again once fewer than `threshold` are left.
///
/// The same paper, section 7.1 "Object repair costs", which takes it from "Peer-to-Peer Storage Systems: a Practical Guideline to
/// be Lazy".
package struct StorjRepair: Hashable, Sendable {
    package let scheme: Scheme
    package let threshold: Int
    /// The mean time that a node stays, in months.
    package let lifetimeMonths: Double

    package init(scheme: Scheme, threshold: Int, lifetimeMonths: Double) {
        precondition(threshold >= scheme.needed && threshold < scheme.pieces && lifetimeMonths > 0)
        self.scheme = scheme
        self.threshold = threshold
        self.lifetimeMonths = lifetimeMonths
    }

    private var decay: Double { log(Double(scheme.pieces) / Double(threshold)) }

    /// What repair sends each month, as a multiple of what is stored: α (n - m + k) / (k ln(n/m)), with α = 1 / lifetime.
    package var bandwidthRatio: Double {
        Double(scheme.pieces - threshold + scheme.needed) / (lifetimeMonths * Double(scheme.needed) * decay)
    }

    /// m! / ((k - 1)! (m + 1) ln(n/m)) · (α/γ)^(m - k + 2), where 1/γ is the mean time to make pieces again, in months.
    package func lossRate(reconstructionMonths: Double) -> Double {
        let m = Double(threshold)
        let k = Double(scheme.needed)
        let factor = lgamma(m + 1) - lgamma(k) - log((m + 1) * decay)
        return min(1, exp(factor + (m - k + 2) * log(reconstructionMonths / lifetimeMonths)))
    }
}

/// Backblaze's model: a year is cut into periods as long as a rebuild, and data is lost if too many shards fail in one of them.
///
/// https://github.com/Backblaze/erasure-coding-durability, calculation.ipynb "Data Durability": F = A R / 365, P = 1 - e^-F,
/// binomial tails in a period, and all 365 / R periods of a year must go well.
package struct ShardYear: Hashable, Sendable {
    package let shards: Int
    /// Expected failures of one shard in a year.
    package let annualFailureRate: Double
    package let rebuildDays: Double

    package init(shards: Int, annualFailureRate: Double, rebuildDays: Double) {
        precondition(shards > 0 && annualFailureRate >= 0 && rebuildDays > 0)
        self.shards = shards
        self.annualFailureRate = annualFailureRate
        self.rebuildDays = rebuildDays
    }

    private var periods: Double { 365 / rebuildDays }
    private var failureChance: Double { -expm1(-annualFailureRate / periods) }

    /// The chance that exactly so many shards fail within a period.
    package func inPeriod(exactly failures: Int) -> Double { binomial(failures, of: shards, chance: failureChance) }

    package func inPeriod(atLeast failures: Int) -> Double {
        // From the smallest: the many tiny ones are not lost beside the large one.
        min(1, (failures...shards).reversed().reduce(0) { $0 + inPeriod(exactly: $1) })
    }

    /// The chance that in some period of a year at least so many shards fail.
    package func inYear(atLeast failures: Int) -> Double {
        failures == 0 ? 1 : -expm1(periods * log1p(-inPeriod(atLeast: failures)))
    }

    /// The same by Poisson's law for all shards together, whose number then is not bounded.
    package func inYearByPoisson(atLeast failures: Int) -> Double {
        precondition(failures > 0)
        let mean = annualFailureRate * Double(shards) / periods
        return -expm1(periods * log1p(-poissonMoreThan(failures - 1, mean: mean)))
    }
}
