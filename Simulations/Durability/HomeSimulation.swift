/// A household, hour by hour: every machine awake or asleep, one upload at a time, losses at random. No assumption of `HomeChain`
/// but those of `HomeModel` is in it, so it can tell how good the chain is, with losses frequent enough to be counted.
package struct HomeSimulation: Sendable {
    private let plan: HomePlan
    private let model: HomeModel

    package init(_ plan: HomePlan, _ model: HomeModel) {
        self.plan = plan
        self.model = model
    }

    private struct Machines {
        var holders: [HomeModel.Recovery?]
        var targets: [HomePeer]
        var publisher: HomeModel.Recovery?

        var areAllThere: Bool { publisher == nil && holders.allSatisfy { $0 == nil } }
    }

    private enum Loss {
        case holder(Int)
        case publisher
        case ownHome
    }

    /// How likely data is lost in a year, from so many years. After each loss all begins anew.
    package func annualLoss(years: Int, seed: UInt64) -> Estimate {
        var chance = Chance(seed: seed)
        var machines = fresh
        let last = years * Int(HomeModel.hoursPerYear)
        var losses = 0
        var hour = 0
        // No machine fails twice, but drawing losses for all and passing over those keeps the clock simple.
        let sources = lossSources
        let rate = sources.reduce(0) { $0 + $1.rate } / HomeModel.hoursPerYear
        var next = chance.wait(rate: rate)
        while hour < last {
            if machines.areAllThere, next >= Double(hour + 1) { hour = min(last, Int(next)) }
            while next < Double(hour + 1) {
                apply(pick(sources, &chance), at: hour, &machines, &chance)
                next += chance.wait(rate: rate)
            }
            if isLost(machines) {
                losses += 1
                machines = fresh
            }
            if !machines.areAllThere { step(hour, &machines, &chance) }
            hour += 1
        }
        return .yearly(losses, in: Double(years))
    }

    private var fresh: Machines {
        Machines(holders: plan.holders.map { _ in nil }, targets: plan.holders, publisher: nil)
    }

    private func isLost(_ machines: Machines) -> Bool {
        machines.publisher != nil && machines.holders.count(where: { $0 == nil }) < plan.scheme.needed
    }

    private var lossSources: [(loss: Loss, homeIsLost: Bool, rate: Double)] {
        var sources: [(Loss, Bool, Double)] = [(.publisher, false, model.diskFailureRate), (.ownHome, true, model.homeLossRate)]
        for (index, holder) in plan.holders.enumerated() {
            sources.append((.holder(index), false, model.diskFailureRate))
            if !holder.isInOwnHome { sources.append((.holder(index), true, model.homeLossRate)) }
        }
        return sources
    }

    private func pick(
        _ sources: [(loss: Loss, homeIsLost: Bool, rate: Double)], _ chance: inout Chance
    ) -> (loss: Loss, homeIsLost: Bool) {
        var point = chance.unit() * sources.reduce(0) { $0 + $1.rate }
        for source in sources {
            point -= source.rate
            if point < 0 { return (source.loss, source.homeIsLost) }
        }
        return (.publisher, false)
    }

    private func apply(
        _ what: (loss: Loss, homeIsLost: Bool), at hour: Int, _ machines: inout Machines, _ chance: inout Chance
    ) {
        switch what.loss {
        case .holder(let index):
            lose(index, what.homeIsLost, at: hour, &machines, &chance)
        case .publisher:
            guard machines.publisher == nil else { return }
            machines.publisher = model.publisherRecovery(at: hour, homeIsLost: false)
        case .ownHome:
            // A laptop that has no disk yet is not lost a second time: its new one is.
            if machines.publisher == nil { machines.publisher = model.publisherRecovery(at: hour, homeIsLost: true) }
            for (index, holder) in plan.holders.enumerated() where holder.isInOwnHome {
                lose(index, true, at: hour, &machines, &chance)
            }
        }
    }

    private func lose(
        _ index: Int, _ homeIsLost: Bool, at hour: Int, _ machines: inout Machines, _ chance: inout Chance
    ) {
        guard machines.holders[index] == nil else { return }
        let hasSpare = !plan.spares.isEmpty
        let bytes = model.gigabytes / Double(plan.scheme.needed)
        machines.holders[index] = model.peerRecovery(
            at: hour, homeIsLost: homeIsLost, hasSpare: hasSpare, gigabytes: bytes, &chance)
        machines.targets[index] =
            hasSpare ? plan.spares[Int(chance.unit() * Double(plan.spares.count))] : plan.holders[index]
    }

    /// One hour of sending.
    private func step(_ hour: Int, _ machines: inout Machines, _ chance: inout Chance) {
        if var recovery = machines.publisher {
            guard hour >= recovery.ready else { return }
            recovery.gigabytes -= restored(hour, machines, &chance)
            machines.publisher = recovery.gigabytes > 0 ? recovery : nil
            return
        }
        guard model.publisher.isAwake(hour: hour, &chance) else { return }
        var isUploading = false
        for index in machines.holders.indices {
            guard var recovery = machines.holders[index], hour >= recovery.noticed, hour >= recovery.ready else { continue }
            let target = machines.targets[index]
            guard target.isInOwnHome || !isUploading, target.uptime.isAwake(hour: hour, &chance) else { continue }
            if !target.isInOwnHome { isUploading = true }
            recovery.gigabytes -= model.gigabytesPerHour(target.isInOwnHome ? model.localMegabits : model.uploadMegabits)
            machines.holders[index] = recovery.gigabytes > 0 ? recovery : nil
        }
    }

    /// What comes back to the publisher within an hour, from the fastest `needed` holders that are there and awake.
    private func restored(_ hour: Int, _ machines: Machines, _ chance: inout Chance) -> Double {
        var speeds: [Double] = []
        for (index, holder) in plan.holders.enumerated() where machines.holders[index] == nil {
            guard holder.uptime.isAwake(hour: hour, &chance) else { continue }
            speeds.append(model.gigabytesPerHour(holder.isInOwnHome ? model.localMegabits : model.uploadMegabits))
        }
        guard plan.scheme.needed > 1 else { return speeds.max() ?? 0 }
        return speeds.sorted(by: >).prefix(plan.scheme.needed).reduce(0, +)
    }
}
