/// When a machine is awake: a chance for each hour of the week, Monday's first hour first.
package struct Uptime: Hashable, Sendable {
    package let name: String
    private let chances: [Double]

    package init(name: String, chance: (_ day: Int, _ hour: Int) -> Double) {
        self.name = name
        chances = (0..<7).flatMap { day in (0..<24).map { min(1, max(0, chance(day, $0))) } }
    }

    package func isAwake(hour: Int, _ chance: inout Chance) -> Bool {
        let likely = chances[hour % chances.count]
        return likely > 0 && chance.unit() < likely
    }

    /// The mean over a week.
    package var share: Double { chances.reduce(0, +) / Double(chances.count) }

    package static let nas = Uptime(name: "NAS") { _, _ in 0.999 }
    /// Asleep at night and for most of the weekend.
    package static let laptop = Uptime(name: "laptop") { day, hour in
        switch (day < 5, hour) {
        case (true, 8..<18): 0.9
        case (true, 18..<23): 0.5
        case (false, 10..<20): 0.2
        default: 0
        }
    }
    /// On in the evening, and in the afternoon at weekends.
    package static let desktop = Uptime(name: "desktop") { day, hour in
        switch (day < 5, hour) {
        case (true, 18..<23): 0.85
        case (false, 12..<24): 0.7
        default: 0
        }
    }
}

/// A node that may keep replicas.
package struct HomePeer: Hashable, Sendable {
    package let uptime: Uptime
    /// It stands in the publisher's own home: it is reached over the local network, and a fire takes both.
    package let isInOwnHome: Bool

    package init(_ uptime: Uptime, isInOwnHome: Bool = false) {
        self.uptime = uptime
        self.isInOwnHome = isInOwnHome
    }

    /// The peers of a household with so many: its own NAS, then friends with a desktop, a NAS and a laptop, in turn.
    package static func household(_ count: Int) -> [HomePeer] {
        let friends: [Uptime] = [.desktop, .nas, .laptop]
        return (0..<count).map { $0 == 0 ? HomePeer(.nas, isInOwnHome: true) : HomePeer(friends[($0 - 1) % friends.count]) }
    }
}

/// What is assumed of machines, homes and lines. The publisher is a laptop with a copy of all of its data.
package struct HomeModel: Hashable, Sendable {
    /// What is backed up, in units of 1e9 bytes.
    package var gigabytes = 545.0
    /// What each home sends at most, in units of 1e6 bits a second.
    package var uploadMegabits = 20.0
    /// The same within a home.
    package var localMegabits = 200.0
    /// Of one machine, a year.
    package var diskFailureRate = 0.015
    /// Of one home with all in it, a year.
    package var homeLossRate = 0.002
    /// How long a peer is silent before its replicas are counted as lost.
    package var graceDays = 14.0
    /// A node that lost its disk but still answers is found out by the daily audit; the others are silent. The share of the former.
    package var answersAfterDiskFailure = 0.5
    /// Until a failed disk is replaced, and until a lost home has a machine again, in days.
    package var newDiskDays = 7.0
    package var newHomeDays = 30.0
    package var publisher = Uptime.laptop

    package init() {}

    /// The same with every loss so many times as frequent.
    package func accelerated(_ times: Double) -> HomeModel {
        var model = self
        model.diskFailureRate *= times
        model.homeLossRate *= times
        return model
    }

    func gigabytesPerHour(_ megabits: Double) -> Double { megabits * 3600 / 8000 }

    static let hoursPerYear = 8760.0

    /// What is lost, and what must be done until it is there again. Hours are counted from the start of the simulation.
    struct Recovery {
        /// The loss is not known before.
        var noticed: Int
        /// There is nothing to send to before.
        var ready: Int
        /// Yet to send, in units of 1e9 bytes.
        var gigabytes: Double
    }

    /// The publisher sends `gigabytes` again after a peer is lost at hour `now`: to a spare peer as soon as the loss is known,
    /// or, if there is none, to the peer itself once that has a new disk or home.
    func peerRecovery(at now: Int, homeIsLost: Bool, hasSpare: Bool, gigabytes: Double, _ chance: inout Chance) -> Recovery {
        let isAudited = !homeIsLost && chance.unit() < answersAfterDiskFailure
        let noticed = isAudited ? Int(chance.unit() * 24) : Int(graceDays * 24)
        let ready = hasSpare ? 0 : Int((homeIsLost ? newHomeDays : newDiskDays) * 24)
        return Recovery(noticed: now + noticed, ready: now + ready, gigabytes: gigabytes)
    }

    func publisherRecovery(at now: Int, homeIsLost: Bool) -> Recovery {
        let ready = now + Int((homeIsLost ? newHomeDays : newDiskDays) * 24)
        return Recovery(noticed: now, ready: ready, gigabytes: gigabytes)
    }
}

/// Whose pieces are where: a scheme on peers of a household.
package struct HomePlan: Hashable, Sendable {
    package let scheme: Scheme
    package let holders: [HomePeer]
    /// Peers with room that hold nothing yet.
    package let spares: [HomePeer]

    package init(_ scheme: Scheme, holders: [HomePeer], spares: [HomePeer]) {
        precondition(holders.count == scheme.pieces)
        self.scheme = scheme
        self.holders = holders
        self.spares = spares
    }

    /// Each choice of holders among `peers`, as bakare-node makes them: own nodes first, friends by chance; with how likely it is.
    /// Choices with the same kinds of peers are one. None, if there are too few peers.
    package static func choices(_ scheme: Scheme, among peers: [HomePeer]) -> [(plan: HomePlan, share: Double)] {
        let own = peers.filter(\.isInOwnHome)
        let friends = peers.filter { !$0.isInOwnHome }
        let fromFriends = scheme.pieces - own.count
        guard fromFriends >= 0, fromFriends <= friends.count else { return [] }
        var counts: [HomePlan: Int] = [:]
        var total = 0
        for subset in 0..<(1 << friends.count) where subset.nonzeroBitCount == fromFriends {
            let kinds = { (wanted: Bool) in
                friends.indices.filter { (subset >> $0 & 1 == 1) == wanted }.map { friends[$0] }
                    .sorted { $0.uptime.name < $1.uptime.name }
            }
            counts[HomePlan(scheme, holders: own + kinds(true), spares: kinds(false)), default: 0] += 1
            total += 1
        }
        // In an order that does not depend on hashing: sums come out the same each time.
        return counts.map { (plan: $0.key, share: Double($0.value) / Double(total)) }
            .sorted { $0.plan.holders.map(\.uptime.name).joined() < $1.plan.holders.map(\.uptime.name).joined() }
    }
}
