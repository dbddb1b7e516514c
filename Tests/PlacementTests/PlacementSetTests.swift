import BackupFormat
import Placement
import TestSupport
import Testing

@Suite("Who keeps what")
struct PlacementSetTests {
    private let publisher = DeviceID(Bytes32(words: (1, 2, 3, 4)))

    private func candidates(_ choices: inout Choices, _ count: Int) -> [Candidate] {
        (0..<count).map { _ in
            Candidate(id: DeviceID(choices.bytes32()), isOwn: choices.below(4) == 0, grantedBytes: UInt64(choices.below(1000)))
        }
    }

    private func chosen(_ candidates: [Candidate], replicas: Int = 2, wanted: UInt64 = 700) -> [DeviceID] {
        placementSet(publisher: publisher, wantedBytes: wanted, replicas: replicas, candidates: candidates)
    }

    @Test(
        "own nodes first, then friends; distinct, with a grant, and no more than are needed", arguments: 0..<100 as Range<UInt64>)
    func set(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let all = candidates(&choices, choices.below(12))
        let set = chosen(all + all.prefix(2))
        #expect(Set(set).count == set.count)
        let members = try set.map { id in try #require(all.first { $0.id == id }) }
        #expect(members.allSatisfy { $0.grantedBytes > 0 })
        #expect(members.map(\.isOwn) == members.map(\.isOwn).sorted { $0 && !$1 })
        let usable = all.filter { $0.grantedBytes > 0 }
        if members.contains(where: { !$0.isOwn }) { #expect(usable.filter(\.isOwn).allSatisfy { set.contains($0.id) }) }
        func held(_ some: some Sequence<Candidate>) -> UInt64 { some.reduce(0) { $0 + min($1.grantedBytes, 700) } }
        let isEnough = set.count >= 2 && held(members) >= 1400
        #expect(isEnough || set.count == usable.count)
        let fewer = members.dropLast()
        #expect(members.isEmpty || fewer.count < 2 || held(fewer) < 1400)
    }

    @Test("does not depend on the order in which nodes were met", arguments: 0..<30 as Range<UInt64>)
    func order(seed: UInt64) {
        var choices = Choices(seed: seed)
        let all = candidates(&choices, 10)
        #expect(chosen(all) == chosen(all.shuffled(using: &choices)))
    }

    @Test("a node that leaves or joins moves no other", arguments: 0..<100 as Range<UInt64>)
    func stable(seed: UInt64) {
        var choices = Choices(seed: seed)
        let all = candidates(&choices, 2 + choices.below(10))
        let set = chosen(all)
        let gone = all[choices.below(all.count)]
        let after = chosen(all.filter { $0.id != gone.id })
        if set.contains(gone.id) {
            // The others stay, in their order; who takes the place comes after them.
            let rest = set.filter { $0 != gone.id }
            #expect(after.starts(with: rest))
        } else {
            #expect(after == set)
        }
    }

    @Test("a pack is on distinct nodes, and when one goes only its packs move", arguments: 0..<20 as Range<UInt64>)
    func packs(seed: UInt64) {
        var choices = Choices(seed: seed)
        let members = candidates(&choices, 6).map { Candidate(id: $0.id, isOwn: false, grantedBytes: $0.grantedBytes + 1) }
        let gone = members[0].id
        for _ in 0..<100 {
            let pack = PackID(choices.bytes32())
            let before = holders(of: pack, replicas: 2, members: members)
            #expect(Set(before).count == 2)
            let after = holders(of: pack, replicas: 2, members: members.filter { $0.id != gone })
            if before.contains(gone) {
                #expect(after.starts(with: before.filter { $0 != gone }))
            } else {
                #expect(after == before)
            }
        }
        #expect(holders(of: PackID(.zero), replicas: 9, members: members).count == members.count)
        #expect(holders(of: PackID(.zero), replicas: 1, members: []) == [])
    }

    @Test("friends share packs by what they grant")
    func weights() {
        var choices = Choices(seed: 4)
        let members = [1, 2, 4].map { Candidate(id: DeviceID(choices.bytes32()), isOwn: false, grantedBytes: $0 << 30) }
        var counts: [DeviceID: Int] = [:]
        for _ in 0..<14_000 {
            for id in holders(of: PackID(choices.bytes32()), replicas: 1, members: members) { counts[id, default: 0] += 1 }
        }
        for (member, expected) in zip(members, [2000, 4000, 8000]) {
            #expect(abs((counts[member.id] ?? 0) - expected) < expected / 10)
        }
    }

    @Test("a peer that only lies never keeps another from being asked again", arguments: 0..<50 as Range<UInt64>)
    func liars(seed: UInt64) {
        var choices = Choices(seed: seed)
        let able = (0..<1 + choices.below(8)).map { _ in
            Candidate(id: DeviceID(choices.bytes32()), isOwn: choices.below(2) == 0, grantedBytes: 1000)
        }
        let replicas = 1 + choices.below(3)
        func keep(_ damaged: Set<DeviceID>) -> [DeviceID] {
            keepers(publisher: publisher, wantedBytes: 700, replicas: replicas, able: able, damaged: damaged)
        }
        let calm = keep([])
        #expect(calm == Array(chosen(able, replicas: replicas).prefix(replicas)))
        // One that would have a place keeps it, and as many are whole as can be.
        let damaged = Set(able.map(\.id).filter { _ in choices.below(2) == 0 })
        let kept = keep(damaged)
        #expect(Set(kept).count == kept.count)
        #expect(kept.filter { !damaged.contains($0) }.count == min(replicas, able.count - damaged.count))
        #expect(calm.allSatisfy { kept.contains($0) || !damaged.contains($0) })
        if able.count - damaged.count < replicas { #expect(damaged.isSubset(of: kept)) }
    }

    @Test(
        "what is to be on few nodes is on nodes that hold all the others, whatever others want",
        arguments: 0..<200 as Range<UInt64>)
    func shares(seed: UInt64) {
        var choices = Choices(seed: seed)
        let all = candidates(&choices, choices.below(8))
        let damaged = Set(all.map(\.id).filter { _ in choices.below(4) == 0 })
        let full = Set(all.map(\.id).filter { _ in choices.below(4) == 0 })
        func holding(_ replicas: Int, largest: Int, _ damaged: Set<DeviceID>) -> Set<DeviceID> {
            Set(
                all.map(\.id).filter { node in
                    PlacedShare(
                        of: node, wantedBytes: 700, largest: largest, order: PlacementOrder(all, publisher: publisher),
                        full: full, damaged: damaged)?.holds(replicas: replicas) == true
                })
        }
        let usable = all.filter { $0.grantedBytes > 0 }.count
        for replicas in 1...5 {
            let holders = holding(replicas, largest: 5, damaged)
            #expect(holders == holding(replicas, largest: replicas, damaged))
            #expect(holders.isSubset(of: holding(replicas + 1, largest: 6, damaged)))
            #expect(holders.count >= min(replicas, usable))
            #expect(holding(replicas, largest: 5, []).count == min(replicas, usable))
        }
    }
}
