import Archive
import BackupFormat
import HostFiles
import Testing
import Vault

/// What a repair does to lists of packs when something is lost for good.
@Suite("A repair after a loss") struct RepairListsTests {
    let world = StoreWorld()

    /// A store with one snapshot, of which the largest pack is gone, or has lost its first blocks.
    private func begin(isGone: Bool) throws -> (disk: SimulatedDisk, snapshot: SnapshotID, pack: PackID) {
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        world.folder.write("s/a", noise(900_000, 1))
        let snapshot = try #require(try world.backUp(store, at: 1).snapshot)
        var largest: (pack: PackID, bytes: Int)?
        try store.vault.forEachPack { pack throws(VaultError) in
            let bytes = try store.vault.packBytes(pack)
            if bytes > largest?.bytes ?? 0 { largest = (pack, bytes) }
        }
        let pack = try #require(largest?.pack)
        let path = try #require(disk.files(under: "/").map(\.path).first { $0.components.last?.description == pack.hex })
        if isGone {
            try disk.unlink(path)
        } else {
            disk.damage(path) { bytes in for index in 100..<min(200_000, bytes.count) { bytes[index] ^= 0x5a } }
        }
        return (disk, snapshot, pack)
    }

    private func list(_ vault: Vault, _ id: SnapshotID) throws -> (revision: UInt64, packs: [PackID]) {
        let record = try vault.snapshotRecord(id)
        return (record.revision, try record.pages.flatMap { try vault.page($0.id).packs })
    }

    @Test(
        "a repair takes nothing off lists that peers may hold, and the next backup stores again what is lost",
        arguments: [true, false])
    func keepsLists(isGone: Bool) throws {
        let (disk, snapshot, pack) = try begin(isGone: isGone)
        let store = try world.open(disk)
        let before = try list(store.vault, snapshot)
        let report = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress(), peersMayHold: true)
        #expect(report.lost.contains { $0.contains("peers may have what is lost") })
        let after = try list(store.vault, snapshot)
        #expect(after.revision == before.revision && after.packs == before.packs && after.packs.contains(pack))
        // By a process that comes later.
        let later = try world.open(disk)
        let again = try #require(try world.backUp(later, at: 100).snapshot)
        #expect(try !list(later.vault, again).packs.contains(pack))
        #expect(try later.vault.missingPacks(of: again).isEmpty)
    }

    @Test(
        "a pack that was lost before anybody else had it goes off the lists of snapshots that need it no more, as a new revision",
        arguments: [true, false])
    func leavesOut(isGone: Bool) throws {
        let (disk, snapshot, pack) = try begin(isGone: isGone)
        let store = try world.open(disk)
        let before = try list(store.vault, snapshot)
        _ = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress(), peersMayHold: true)
        // What it held is in another pack again: stored anew by a backup here, as packs that come from peers are.
        _ = try world.backUp(store, at: 100)
        let report = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress(), peersMayHold: true)
        #expect(report.repaired.contains { $0.contains("made anew without what is lost") }, "\(report)")
        #expect(report.lost == [])
        let after = try list(store.vault, snapshot)
        #expect(after.revision > before.revision && !after.packs.contains(pack))
        #expect(try store.vault.missingPacks(of: snapshot).isEmpty)
        #expect(try store.check(readDataFraction: 1, repair: false, nowSeconds: 0, progress: Progress()).lost == [])
    }

    @Test("two lists that are made of one get different numbers, as after a power cut that a peer did not notice")
    func numbers() throws {
        let (disk, snapshot, _) = try begin(isGone: true)
        let revisions = try (0..<2).map { _ in
            let store = try world.open(SimulatedDisk(copying: disk))
            _ = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress())
            return try list(store.vault, snapshot).revision
        }
        #expect(revisions.allSatisfy { $0 > 0 } && revisions[0] != revisions[1], "\(revisions)")
    }

    @Test("where no peer can hold it, what is lost is taken off the lists")
    func givesUp() throws {
        let (disk, snapshot, pack) = try begin(isGone: true)
        let store = try world.open(disk)
        _ = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress())
        #expect(try !list(store.vault, snapshot).packs.contains(pack))
    }
}
