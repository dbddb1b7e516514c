import BackupFormat
import HostFiles
import Ledger
import TestSupport
import Testing

private func id(_ number: Int) -> Bytes32 { Bytes32(words: (UInt64(number), 7, 7, 7)) }

private func table(_ choices: inout Choices) -> ReplicaTable {
    var table = ReplicaTable()
    for peer in 0..<choices.below(6) {
        var replica = Replica(device: DeviceID(id(peer)))
        replica.grantedBytes = choices.next()
        replica.usedBytes = choices.next()
        replica.packs = choices.next()
        replica.generation = choices.next()
        replica.lastSeen = Int64(bitPattern: choices.next())
        replica.lastProven = Int64(choices.below(1000))
        replica.isDamaged = choices.below(2) == 1
        for snapshot in 0..<choices.below(5) { replica.snapshots[SnapshotID(id(snapshot))] = UInt64(choices.below(9)) }
        for order in 0..<choices.below(3) { replica.ordersDelivered.insert(id(order)) }
        table[replica.device] = replica
    }
    return table
}

@Suite("Replica table") struct ReplicaTableTests {
    @Test("what a peer has only said, and nobody proven, is forgotten; what is proven stays, and so does what it has granted")
    func hearsay() {
        var table = ReplicaTable()
        for (peer, lastProven) in [(1, 0), (2, 5)] {
            var replica = Replica(device: DeviceID(id(peer)))
            replica.snapshots = [SnapshotID(id(9)): 0]
            replica.grantedBytes = 7
            replica.lastProven = Int64(lastProven)
            table[replica.device] = replica
        }
        table.forgetUnproven()
        #expect(table[DeviceID(id(1))].snapshots.isEmpty && table[DeviceID(id(1))].grantedBytes == 7)
        #expect(table[DeviceID(id(2))].snapshots == [SnapshotID(id(9)): 0])
    }

    @Test(
        "any table is read back as it was, and any change of a byte, or cut, gives no trap and no memory without bound",
        arguments: 0..<20)
    func codec(_ seed: Int) throws {
        var choices = Choices(seed: UInt64(seed))
        let table = table(&choices)
        let bytes = table.encode()
        #expect(try ReplicaTable(decoding: bytes) == table)
        for _ in 0..<200 {
            var other = bytes
            other[choices.below(other.count)] ^= UInt8(1 << choices.below(8))
            if let read = try? ReplicaTable(decoding: other) {
                for replica in read.replicas.values { _ = replica.state(now: 1000) }
            }
            #expect(throws: FormatError.self) { try ReplicaTable(decoding: Array(bytes.prefix(choices.below(bytes.count)))) }
        }
    }

    @Test(
        "a copy counts while its proof is fresh, its peer was heard of, nothing of it is lost, and its list of packs is not older"
    )
    func counting() {
        let day: Int64 = 86_400
        let now = 1000 * day
        let snapshot = SnapshotID(id(1))
        var table = ReplicaTable()
        func add(_ peer: Int, _ change: (inout Replica) -> Void) {
            var replica = Replica(device: DeviceID(id(peer)))
            replica.lastSeen = now - day
            replica.lastProven = now - day
            replica.snapshots[snapshot] = 3
            change(&replica)
            table[replica.device] = replica
        }
        add(1) { _ in }
        #expect(table.proven(snapshot, revision: 3, now: now) == 1)
        #expect(table.proven(snapshot, revision: 4, now: now) == 0)
        #expect(table.proven(SnapshotID(id(2)), revision: 0, now: now) == 0)
        add(2) { $0.lastProven = now - 15 * day }
        add(3) { $0.isDamaged = true }
        add(4) { $0.lastSeen = now - 15 * day }
        #expect(table.proven(snapshot, revision: 3, now: now) == 1)
        let states = (1...4).map { table[DeviceID(id($0))].state(now: now) }
        #expect(states == [.proven, .unproven, .damaged, .offline])
        add(5) { $0.snapshots[snapshot] = 8 }
        #expect(table.proven(snapshot, revision: 3, now: now) == 2)
    }

    @Test("a table that is damaged or gone is an empty one")
    func damaged() throws {
        let disk = SimulatedDisk()
        try disk.makeDirectories("ledger")
        #expect(ReplicaTable.read(disk, directory: "ledger") == ReplicaTable())
        var choices = Choices(seed: 3)
        let table = table(&choices)
        try table.write(disk, directory: "ledger")
        #expect(ReplicaTable.read(disk, directory: "ledger") == table)
        let file = try disk.openForUpdating("ledger/replicas")
        try file.truncate(to: 5)
        #expect(ReplicaTable.read(disk, directory: "ledger") == ReplicaTable())
    }

    @Test("copies with those who are no peers any more do not count")
    func keep() {
        var table = ReplicaTable()
        for peer in 0..<3 {
            var replica = Replica(device: DeviceID(id(peer)))
            replica.lastSeen = 1000
            replica.lastProven = 1000
            replica.snapshots[SnapshotID(id(9))] = 1
            table[replica.device] = replica
        }
        #expect(table.proven(SnapshotID(id(9)), revision: 1, now: 1000) == 3)
        table.keep([DeviceID(id(1)), DeviceID(id(7))])
        #expect(table.replicas.keys.sorted() == [DeviceID(id(1))])
        #expect(table.proven(SnapshotID(id(9)), revision: 1, now: 1000) == 1)
    }

    @Test("once a clock that was fast is right again, a peer that is gone counts for the grace from then, and no longer")
    func fastClock() {
        var table = ReplicaTable()
        let now: Int64 = 1_700_000_000
        for (peer, ahead) in [(1, 35 * 86_400), (2, -3600)] {
            var replica = Replica(device: DeviceID(id(peer)))
            replica.lastSeen = now + Int64(ahead)
            replica.lastProven = now + Int64(ahead) - 60
            replica.snapshots[SnapshotID(id(9))] = 1
            table[replica.device] = replica
        }
        let before = table[DeviceID(id(2))]
        table.correct(now: now)
        #expect(table[DeviceID(id(2))] == before)
        #expect(table.proven(SnapshotID(id(9)), revision: 1, now: now) == 2)
        #expect(table[DeviceID(id(1))].state(now: now + Replica.graceSeconds) == .proven)
        #expect(table[DeviceID(id(1))].state(now: now + Replica.graceSeconds + 1) == .offline)
        let corrected = table
        table.correct(now: now)
        #expect(table == corrected)
    }
}
