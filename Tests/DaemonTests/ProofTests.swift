import BackupFormat
import Daemon
import Ledger
import Testing

@Suite("When a peer is to prove what it keeps") struct ProofTests {
    private let day: Int64 = 86_400

    private func replica(provenAt: Int64, snapshots: [UInt64] = [1]) -> Replica {
        var replica = Replica(device: DeviceID(.zero))
        replica.lastProven = provenAt
        replica.generation = 5
        for number in snapshots { replica.snapshots[SnapshotID(Bytes32(words: (number, 0, 0, 0)))] = 0 }
        return replica
    }

    @Test("all of it at first, once a day, after a sweep, after losses, and when the clock went back")
    func whole() {
        let fresh = replica(provenAt: 10 * day)
        func due(_ before: Replica, _ after: Replica, _ generation: UInt64 = 5, now: Int64) -> Proof {
            Proof.due(before: before, after: after, generation: generation, now: now)
        }
        let never = replica(provenAt: 0)
        #expect(due(never, never, now: 10 * day) == .whole)
        #expect(due(fresh, fresh, now: 11 * day) == .none)
        #expect(due(fresh, fresh, now: 11 * day + 1) == .whole)
        #expect(due(fresh, fresh, now: 10 * day - 1) == .whole)
        #expect(due(fresh, fresh, 6, now: 10 * day) == .whole)
        var damaged = fresh
        damaged.isDamaged = true
        #expect(due(fresh, damaged, now: 10 * day) == .whole)
        // A time that no clock shows.
        #expect(due(fresh, replica(provenAt: .min), now: 10 * day) == .whole)
    }

    @Test("a few packs after a commit, and never so that the daily proof is put off")
    func sample() {
        let (before, after) = (replica(provenAt: 10 * day), replica(provenAt: 10 * day, snapshots: [1, 2]))
        #expect(Proof.due(before: before, after: after, generation: 5, now: 10 * day + 60) == .sample)
        #expect(Proof.due(before: before, after: after, generation: 5, now: 11 * day + 1) == .whole)
        var later = before
        for id in before.snapshots.keys { later.snapshots[id] = 1 }
        #expect(Proof.due(before: before, after: later, generation: 5, now: 10 * day + 60) == .sample)
    }
}
