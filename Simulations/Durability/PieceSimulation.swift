/// How long it takes to make a piece again, in years.
package enum RepairTime: Hashable, Sendable {
    case exponential(mean: Double)
    case fixed(Double)

    fileprivate func draw(_ chance: inout Chance) -> Double {
        switch self {
        case .exponential(let mean): chance.wait(rate: 1 / mean)
        case .fixed(let time): time
        }
    }
}

/// The same pieces as in `PieceChain`, event by event: also with times to repair that the chain cannot have.
package struct PieceSimulation: Sendable {
    package let scheme: Scheme
    /// Of one piece, a year.
    package let failureRate: Double
    package let repair: RepairTime
    package let repairers: Int

    package init(_ scheme: Scheme, failureRate: Double, repair: RepairTime, repairers: Int = .max) {
        precondition(failureRate > 0 && repairers > 0)
        self.scheme = scheme
        self.failureRate = failureRate
        self.repair = repair
        self.repairers = repairers
    }

    /// How often data is lost within `years`, in so many trials.
    package func loss(within years: Double, trials: Int, seed: UInt64, deviations: Double = 1.96) -> Estimate {
        var chance = Chance(seed: seed)
        var lost = 0
        for _ in 0..<trials where isLost(within: years, &chance) { lost += 1 }
        return .share(lost, of: trials, deviations: deviations)
    }

    private func isLost(within years: Double, _ chance: inout Chance) -> Bool {
        var now = 0.0
        var left = scheme.pieces
        /// When the repairs that are under way will be done.
        var done: [Double] = []
        while true {
            // Failures have no memory: after each event the next one may be drawn anew.
            let failure = now + chance.wait(rate: Double(left) * failureRate)
            let first = done.indices.min { done[$0] < done[$1] }
            if let first, done[first] <= failure {
                now = done.remove(at: first)
                left += 1
            } else {
                now = failure
                left -= 1
            }
            if now > years { return false }
            if left < scheme.needed { return true }
            if done.count < min(repairers, scheme.pieces - left) { done.append(now + repair.draw(&chance)) }
        }
    }
}
