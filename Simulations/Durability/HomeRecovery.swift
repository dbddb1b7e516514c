/// How long it takes on average until what was lost is there again, in hours, as simulated hour by hour.
package struct HomeRecovery: Sendable {
    /// What a recovery depends on.
    private struct Case: Hashable {
        var far: HomePeer
        var hasSpare: Bool
        /// What happened to the publisher, if it is the one to recover.
        var publisherLostHome: Bool?
        var gigabytes: Double
    }

    private let model: HomeModel
    private let trials: Int
    private let seed: UInt64
    private var known: [Case: Estimate] = [:]
    /// No recovery takes longer, in hours: two machines that are never awake together would never be done.
    private static let longest = 20 * 8760

    package init(_ model: HomeModel, trials: Int, seed: UInt64) {
        self.model = model
        self.trials = trials
        self.seed = seed
    }

    /// A piece of a lost peer is sent again: to `target`, a spare one or the peer itself as it comes back.
    package mutating func peer(_ target: HomePeer, hasSpare: Bool, scheme: Scheme) -> Estimate {
        measured(
            Case(far: target, hasSpare: hasSpare, publisherLostHome: nil, gigabytes: model.gigabytes / Double(scheme.needed)))
    }

    /// The publisher lost its disk, or its home, and gets its copy back from `source`; from others at the same time, if several
    /// pieces are needed.
    package mutating func publisher(from source: HomePeer, scheme: Scheme, homeIsLost: Bool) -> Estimate {
        measured(
            Case(far: source, hasSpare: false, publisherLostHome: homeIsLost, gigabytes: model.gigabytes / Double(scheme.needed)))
    }

    private mutating func measured(_ what: Case) -> Estimate {
        if let estimate = known[what] { return estimate }
        var chance = Chance(seed: seed)
        let all = (0..<trials).map { _ in Double(hours(what, &chance)) }
        let estimate = Estimate.mean(all)
        known[what] = estimate
        return estimate
    }

    private func hours(_ what: Case, _ chance: inout Chance) -> Int {
        let start = Int(chance.unit() * 168)
        // Of what can happen to a peer: its home may be lost, or its disk.
        let peerLostHome = chance.unit() * (model.diskFailureRate + model.homeLossRate) < model.homeLossRate
        var recovery =
            what.publisherLostHome.map { model.publisherRecovery(at: start, homeIsLost: $0) }
            ?? model.peerRecovery(
                at: start, homeIsLost: peerLostHome, hasSpare: what.hasSpare, gigabytes: what.gigabytes, &chance)
        recovery.gigabytes = what.gigabytes
        let speed = model.gigabytesPerHour(what.far.isInOwnHome ? model.localMegabits : model.uploadMegabits)
        var hour = max(recovery.noticed, recovery.ready)
        while recovery.gigabytes > 0, hour - start < Self.longest {
            // Whoever waits for a restore leaves the machine on.
            let isAwake = what.publisherLostHome != nil || model.publisher.isAwake(hour: hour, &chance)
            if isAwake, what.far.uptime.isAwake(hour: hour, &chance) { recovery.gigabytes -= speed }
            hour += 1
        }
        return hour - start
    }
}
