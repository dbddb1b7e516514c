internal import Glibc

/// A household's plan in closed form: which of its copies are there, as a Markov chain with a state for each combination.
///
/// Disks fail one at a time; a lost home takes all that is in it. Lost pieces are made again only while the publisher has its copy,
/// and it gets that back only while enough pieces are there. Times to recover are those measured by `HomeRecovery`, taken for
/// exponential, and pieces are sent at the same time. Data is lost when the publisher's copy is gone and fewer than
/// `scheme.needed` pieces are there.
package struct HomeChain: Sendable {
    private let plan: HomePlan
    private let model: HomeModel
    /// A year, while the publisher's copy is there.
    private let mending: [Double]
    /// From each holder alone, a year: after the publisher lost its disk, and after it lost its home, which takes longer.
    private let restoring: (disk: [Double], home: [Double])

    /// `recoveries` says how long each takes; `bound` picks the mean or an end of its interval.
    package init(
        _ plan: HomePlan, _ model: HomeModel, _ recoveries: inout HomeRecovery, bound: (Estimate) -> Double = { $0.value }
    ) {
        self.plan = plan
        self.model = model
        func rate(_ hours: [Double]) -> Double { HomeModel.hoursPerYear * Double(hours.count) / hours.reduce(0, +) }
        mending = plan.holders.map { holder in
            let targets = plan.spares.isEmpty ? [holder] : plan.spares
            return rate(targets.map { bound(recoveries.peer($0, hasSpare: !plan.spares.isEmpty, scheme: plan.scheme)) })
        }
        func restored(_ homeIsLost: Bool) -> [Double] {
            plan.holders.map {
                rate([bound(recoveries.publisher(from: $0, scheme: plan.scheme, homeIsLost: homeIsLost))])
            }
        }
        restoring = (disk: restored(false), home: restored(true))
    }

    /// With 1 for what is lost: a bit for each holder, then one for the publisher, and one if that was with its home.
    private typealias State = Int

    private var publisherBit: State { 1 << plan.holders.count }
    private var homeBit: State { publisherBit << 1 }

    private func left(_ state: State) -> Int { plan.holders.count - (state & (publisherBit - 1)).nonzeroBitCount }
    private func isLost(_ state: State) -> Bool { state & publisherBit != 0 && left(state) < plan.scheme.needed }

    private func moves(from state: State) -> [(to: State, rate: Double)] {
        var moves: [(State, Double)] = []
        let hasPublisher = state & publisherBit == 0
        var ownHome = hasPublisher ? publisherBit | homeBit : 0
        for (index, holder) in plan.holders.enumerated() {
            let bit = 1 << index
            if holder.isInOwnHome { ownHome |= bit }
            if state & bit == 0 {
                moves.append((state | bit, model.diskFailureRate + (holder.isInOwnHome ? 0 : model.homeLossRate)))
            } else if hasPublisher {
                moves.append((state & ~bit, mending[index]))
            }
        }
        if hasPublisher {
            moves.append((state | publisherBit, model.diskFailureRate))
        } else {
            // As fast as from the slowest of the best `needed` that are left.
            let rates = state & homeBit == 0 ? restoring.disk : restoring.home
            let sources = plan.holders.indices.filter { state >> $0 & 1 == 0 }.map { rates[$0] }.sorted(by: >)
            moves.append((state & ~(publisherBit | homeBit), sources[plan.scheme.needed - 1]))
        }
        if state | ownHome != state { moves.append((state | ownHome, model.homeLossRate)) }
        return moves
    }

    /// The mean time to data loss in years, from all copies there.
    ///
    /// States are eliminated one by one (Grassmann, Taksar, Heyman): what led through them leads past them. Only sums, products and
    /// quotients of what is positive, so that a loss once in 1e12 years comes out as exact as one in ten.
    package var meanYears: Double {
        let states = (0..<(homeBit << 1)).filter { !isLost($0) && ($0 & homeBit == 0 || $0 & publisherBit != 0) }
        let places = Dictionary(uniqueKeysWithValues: zip(states, states.indices))
        var rates = [[Double]](repeating: [Double](repeating: 0, count: states.count), count: states.count)
        var losing = [Double](repeating: 0, count: states.count)
        var staying = [Double](repeating: 1, count: states.count)
        for (place, state) in states.enumerated() {
            for move in moves(from: state) {
                if let to = places[move.to] { rates[place][to] += move.rate } else { losing[place] += move.rate }
            }
        }
        for gone in states.indices.dropFirst().reversed() {
            let row = rates[gone]
            let out = losing[gone] + row[..<gone].reduce(0, +)
            for place in 0..<gone where rates[place][gone] > 0 {
                let share = rates[place][gone] / out
                losing[place] += share * losing[gone]
                staying[place] += share * staying[gone]
                for to in 0..<gone where to != place { rates[place][to] += share * row[to] }
            }
        }
        return staying[0] / losing[0]
    }

    package var annualLoss: Double { -expm1(-1 / meanYears) }
}

extension HomeChain {
    /// What a household with so many peers loses in a year: over all choices of holders, each as likely as it is. Nothing if the
    /// scheme needs more peers. The bounds are with every time to recover at an end of its interval.
    package static func annualLoss(
        _ scheme: Scheme, peers: Int, _ model: HomeModel, _ recoveries: inout HomeRecovery
    ) -> Estimate? {
        let choices = HomePlan.choices(scheme, among: HomePeer.household(peers))
        guard !choices.isEmpty else { return nil }
        var mean = 0.0
        var low = 0.0
        var high = 0.0
        for (plan, share) in choices {
            mean += share * HomeChain(plan, model, &recoveries).annualLoss
            low += share * HomeChain(plan, model, &recoveries, bound: { $0.low }).annualLoss
            high += share * HomeChain(plan, model, &recoveries, bound: { $0.high }).annualLoss
        }
        return Estimate(value: mean, low: low, high: high)
    }
}
