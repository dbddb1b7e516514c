package import BackupFormat
internal import Glibc

/// A node that may keep packs of this publisher.
package struct Candidate: Hashable, Sendable {
    package var id: DeviceID
    /// Certified by the publisher's own owner.
    package var isOwn: Bool
    /// What it stores for the publisher at most, in bytes, as agreed. One with nothing keeps nothing.
    package var grantedBytes: UInt64

    package init(id: DeviceID, isOwn: Bool, grantedBytes: UInt64) {
        self.id = id
        self.isOwn = isOwn
        self.grantedBytes = grantedBytes
    }
}

/// The nodes that keep a publisher's packs, best first: as few as can hold `wantedBytes` on `replicas` nodes each, or all if
/// they cannot.
///
/// Own nodes come before friends; among either, larger grants are the likelier to come first (weighted rendezvous hashing).
/// A node that comes or goes moves no other: the rest keep their order.
package func placementSet(
    publisher: DeviceID, wantedBytes: UInt64, replicas: Int, candidates: [Candidate]
) -> [DeviceID] {
    placementSet(wantedBytes: wantedBytes, replicas: replicas, ranked: ranked(candidates, key: publisher.value))
}

/// The same of candidates in the publisher's order.
private func placementSet(wantedBytes: UInt64, replicas: Int, ranked: [Candidate]) -> [DeviceID] {
    precondition(replicas > 0)
    var chosen: [DeviceID] = []
    var held = 0.0
    for candidate in ranked {
        if chosen.count >= replicas, held >= Double(replicas) * Double(wantedBytes) { break }
        chosen.append(candidate.id)
        held += Double(min(candidate.grantedBytes, wantedBytes))
    }
    return chosen
}

/// The nodes that keep all of a publisher's packs, best first, of `able` ones each of which has room for all: `replicas` that are
/// whole, and besides these the damaged ones that would have a place, until they mend it. With too few that are whole, all the
/// damaged: any of them may turn out to be whole again, and one that only lies must not keep another from being asked.
package func keepers(
    publisher: DeviceID, wantedBytes: UInt64, replicas: Int, able: [Candidate], damaged: Set<DeviceID>
) -> [DeviceID] {
    keepers(wantedBytes: wantedBytes, replicas: replicas, able: ranked(able, key: publisher.value), damaged: damaged)
}

/// The same of candidates in the publisher's order.
private func keepers(wantedBytes: UInt64, replicas: Int, able: [Candidate], damaged: Set<DeviceID>) -> [DeviceID] {
    #if MUTANTS
        let replicas = Mutant.fewerReplicas.isOn ? max(1, replicas - 1) : replicas
    #endif
    func choose(_ candidates: [Candidate]) -> [DeviceID] {
        Array(placementSet(wantedBytes: wantedBytes, replicas: replicas, ranked: candidates).prefix(replicas))
    }
    let first = choose(able.filter { !damaged.contains($0.id) })
    let place = Set(choose(able))
    return first + able.map(\.id).filter { damaged.contains($0) && (first.count < replicas || place.contains($0)) }
}

/// A publisher's candidates, best first, of which each keeps its place whichever of the others are asked about.
package struct PlacementOrder: Sendable {
    fileprivate let candidates: [Candidate]

    package init(_ candidates: [Candidate], publisher: DeviceID) { self.candidates = ranked(candidates, key: publisher.value) }
}

/// What of a publisher's snapshots one node is to hold: those that are to be on at least so many nodes.
///
/// The nodes of a snapshot that is to be on few are all among those of one that is to be on more, so that packs of both are together.
package struct PlacedShare: Sendable, Hashable {
    private let least: Int

    /// Nil if it is to hold nothing, even of what is to be on `largest` nodes.
    ///
    /// Whoever can hold `wantedBytes`, all of them, comes first; with too few of those, others hold the oldest ones. One that has lost
    /// something, and does not mend it, keeps its place, and another takes over beside it. `full` are those without room.
    package init?(
        of node: DeviceID, wantedBytes: UInt64, largest: Int, order: PlacementOrder, full: Set<DeviceID>, damaged: Set<DeviceID>
    ) {
        func isAble(_ candidate: Candidate) -> Bool { candidate.grantedBytes >= wantedBytes && !full.contains(candidate.id) }
        let able = order.candidates.filter { isAble($0) }
        let rest = order.candidates.filter { !isAble($0) }
        func holds(_ replicas: Int) -> Bool {
            let first = keepers(wantedBytes: wantedBytes, replicas: replicas, able: able, damaged: damaged)
            if first.contains(node) { return true }
            let missing = replicas - first.count { !damaged.contains($0) }
            guard missing > 0, !rest.isEmpty else { return false }
            let others = placementSet(wantedBytes: wantedBytes, replicas: missing, ranked: rest)
            return others.prefix(missing).contains(node)
        }
        guard let least = (1...max(1, largest)).first(where: holds) else { return nil }
        self.least = least
    }

    /// Whether a snapshot that is to be on so many nodes is to be on this one.
    package func holds(replicas: Int) -> Bool { replicas >= least }
}

/// The nodes that keep one pack, best first: `replicas` distinct ones of `members`, or all if there are fewer.
///
/// Members are those of the placement set that have room. Own nodes come first; friends share by what they grant. A member that
/// goes gives its packs to the others and moves no other pack.
package func holders(of pack: PackID, replicas: Int, members: [Candidate]) -> [DeviceID] {
    precondition(replicas > 0)
    return ranked(members, key: pack.value).prefix(replicas).map(\.id)
}

/// Those with a grant, own ones first, by weighted rendezvous: each draws -ln(u) / weight with u from a hash of `key` and its
/// id, and the smallest draw is first. So a node of twice the weight is first twice as often.
private func ranked(_ candidates: [Candidate], key: Bytes32) -> [Candidate] {
    struct Draw {
        let candidate: Candidate
        let value: Double
    }
    var seen: Set<DeviceID> = []
    var draws: [Draw] = []
    for candidate in candidates where candidate.grantedBytes > 0 && seen.insert(candidate.id).inserted {
        let u = (Double(mix(key, candidate.id.value) >> 11) + 0.5) / 0x1p53
        draws.append(Draw(candidate: candidate, value: -log(u) / Double(candidate.grantedBytes)))
    }
    draws.sort { a, b in
        if a.candidate.isOwn != b.candidate.isOwn { return a.candidate.isOwn }
        return a.value != b.value ? a.value < b.value : a.candidate.id < b.candidate.id
    }
    return draws.map(\.candidate)
}

/// A hash of two names that are random already: it spreads, and keeps no secret.
private func mix(_ a: Bytes32, _ b: Bytes32) -> UInt64 {
    var state: UInt64 = 0
    for word in [a.words.0, a.words.1, a.words.2, a.words.3, b.words.0, b.words.1, b.words.2, b.words.3] {
        state = (state ^ word) &+ 0x9e37_79b9_7f4a_7c15
        state = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        state = (state ^ (state >> 27)) &* 0x94d0_49bb_1331_11eb
        state ^= state >> 31
    }
    return state
}
