import BackupFormat
import HostFiles
import PeerProtocol
import Replication
import Synchronization
import Testing
import Vault

/// A peer of which some answers are others than its own.
private final class TwistedPeer: PeerLink {
    private let peer: VaultPeer
    private let twist: @Sendable (Request) -> Failed?

    init(_ peer: VaultPeer, _ twist: @escaping @Sendable (Request) -> Failed?) {
        self.peer = peer
        self.twist = twist
    }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping @Sendable (Result<PeerReply, PeerProtocolError>) -> Void
    ) throws(PeerProtocolError) {
        if let failed = twist(request) { return then(.success(PeerReply(.failed(failed)))) }
        try peer.submit(request, bulk: bulk, then: then)
    }
}

@Suite("Replication of what is damaged somewhere") struct ReplicationDamageTests {
    @Test("a pack that is lost here keeps back the snapshot that needs it, and no other")
    func lostHere() throws {
        var world = try ReplicationWorld()
        let packs = try (0..<3).map { try world.pack(5000 + $0) }
        let records = try packs.map { try world.snapshot([[$0]]) }
        let files = world.disk.files(under: "/here/vault").map(\.path)
        for path in files where path.description.hasSuffix(packs[0].hex) { try world.disk.unlink(path) }
        let peer = try world.peer()
        let report = try SnapshotUpload(from: world.vault, to: peer).run()
        #expect(Set(report.committed.keys) == Set(records[1...].map(\.id)))
        #expect(Array(report.refused.keys) == [records[0].id])
        #expect(try Set(peer.vault.snapshots()) == Set(records[1...].map(\.id)))
    }

    @Test("a pack whose bytes are another's here keeps back the snapshot that needs it, and no other")
    func anotherHere() throws {
        var world = try ReplicationWorld()
        let packs = try (0..<3).map { _ in try world.pack(5000) }
        let records = try packs.map { try world.snapshot([[$0]]) }
        let files = world.disk.files(under: "/here/vault")
        let other = try #require(files.first { $0.path.description.hasSuffix(packs[1].hex) }).bytes
        // As after a write that went into the wrong file: the file is whole by its own checksums.
        for file in files where file.path.description.hasSuffix(packs[0].hex) { world.disk.damage(file.path) { $0 = other } }
        let peer = try world.peer()
        let report = try SnapshotUpload(from: world.vault, to: peer).run()
        #expect(Set(report.committed.keys) == Set(records[1...].map(\.id)))
        #expect(report.refused[records[0].id]?.contains("check --read-data --repair") == true)
        #expect(try Set(peer.vault.snapshots()) == Set(records[1...].map(\.id)))
    }

    @Test(
        "where a merged pack was lost before anybody else had it, the packs that were merged come back from whoever holds the list of before"
    )
    func mergedPackLost() throws {
        var world = try ReplicationWorld()
        let small = try (0..<3).map { try world.pack(500 + $0) }
        let before = try world.snapshot([small])
        let peer = try world.peer()
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let merged = try world.pack(2000)
        let after = try world.snapshot([[merged]], revision: 1, replacing: before)
        let gone = Set([merged] + small)
        for path in world.disk.files(under: "/here/vault").map(\.path)
        where gone.contains(where: { path.description.hasSuffix($0.hex) }) {
            try world.disk.unlink(path)
        }
        let report = try SnapshotDownload(into: world.vault, from: [peer]).run()
        #expect(report.committed == [])
        #expect(report.incomplete[after.id]?.contains("check --repair") == true)
        for pack in small { #expect(try world.vault.holds(pack)) }
        #expect(try !world.vault.contains(merged))
        // The later list stands: it is not the download's to change.
        #expect(try world.vault.snapshotRecord(after.id) == after)
    }

    @Test("a snapshot whose record is damaged at the only peer is told, not passed over in silence")
    func unreadRecord() throws {
        var world = try ReplicationWorld()
        let pack = try world.pack(5000)
        let records = try (0..<3).map { _ in try world.snapshot([[pack]]) }
        let peer = try world.peer()
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let bad = ObjectID(records[1].id.value)
        let link = TwistedPeer(peer) { request in
            if case .get(let get) = request, get.id == bad { Failed(.damaged) } else { nil }
        }
        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        let report = try SnapshotDownload(into: empty, from: [link]).run()
        #expect(Set(report.committed) == [records[0].id, records[2].id])
        #expect(Array(report.incomplete.keys) == [records[1].id])
        // Whoever has it elsewhere misses nothing.
        let both = try SnapshotDownload(into: empty, from: [link, peer]).run()
        #expect(both.incomplete.isEmpty && both.unheard == nil)
        #expect(try Set(empty.snapshots()) == Set(records.map(\.id)))
    }

    @Test("a peer that says to have committed, and does not hand out the record or a list of packs, is found out")
    func unreadable() throws {
        var world = try ReplicationWorld()
        let pack = try world.pack(5000)
        let records = try (0..<3).map { _ in try world.snapshot([[pack]]) }
        let peer = try world.peer()
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let ids = records.map(\.id)
        func unreadable(_ lacking: ObjectID?, _ code: Failed.Code = .notFound) throws -> [SnapshotID] {
            let link = TwistedPeer(peer) { request in
                if case .get(let get) = request, get.id == lacking { Failed(code) } else { nil }
            }
            return try ReplicaCheck(of: world.vault, at: link).readBack(ids).unreadable
        }
        #expect(try unreadable(nil) == [])
        #expect(try unreadable(ObjectID(records[1].id.value)) == [records[1].id])
        let page = try #require(records[0].pages.first)
        let shared = records.filter { $0.pages.contains { $0.id == page.id } }.map(\.id)
        #expect(try Set(unreadable(ObjectID(page.id.value))) == Set(shared))
        // A write-only device may not look at what others have made, and learns nothing by it.
        #expect(try unreadable(ObjectID(records[1].id.value), .notPermitted) == [])
        #expect(try unreadable(ObjectID(page.id.value), .notPermitted) == [])
    }

    @Test("a peer that has committed a later list of packs than is here is asked for the packs of its own list too")
    func laterListThere() throws {
        var world = try ReplicationWorld()
        let small = try (0..<3).map { try world.pack(500 + $0) }
        let before = try world.snapshot([small])
        let disk = SimulatedDisk()
        let peer = try world.peer(on: disk)
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let mine = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        _ = try SnapshotDownload(into: mine, from: [peer]).run()
        let check = ReplicaCheck(of: mine, at: peer)
        #expect(try check.readBack([before.id]) == ReplicaCheck.Readings())
        // Another device has merged the packs.
        let merged = try world.pack(2000)
        _ = try world.snapshot([[merged]], revision: 1, replacing: before)
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let readings = try check.readBack([before.id])
        #expect(readings.unreadable.isEmpty && Array(readings.pages.values) == [[merged]])
        // Its own list counts, and not the one that is here.
        #expect(check.packs(of: [before.id], by: readings).packs == [merged])
        #expect(try check.missing(of: [merged]).packs == [])
        for path in disk.files(under: "/").map(\.path) where path.description.hasSuffix(merged.hex) { try disk.unlink(path) }
        // All that is on the list here is there still.
        #expect(try check.missing(of: check.packs(of: [before.id]).packs).packs == [])
        #expect(try check.missing(of: check.packs(of: [before.id], by: check.readBack([before.id])).packs).packs == [merged])
        #expect(check.snapshots([before.id], needing: [merged], by: readings) == [before.id])
        #expect(check.snapshots([before.id], needing: Set(small), by: readings) == [])
        #expect(check.snapshots([before.id], needing: [small[1]]) == [before.id])
    }

    @Test("a pack that is not here any more is asked for at the peer all the same")
    func lostHereAndThere() throws {
        var world = try ReplicationWorld()
        let (first, second) = (try world.pack(5000), try world.pack(6000))
        let lost = try world.snapshot([[first]])
        let whole = try world.snapshot([[second]])
        let disk = SimulatedDisk()
        let peer = try world.peer(on: disk)
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        for path in world.disk.files(under: "/").map(\.path) where path.description.hasSuffix(first.hex) {
            try world.disk.unlink(path)
        }
        let check = ReplicaCheck(of: world.vault, at: peer)
        let ids = [lost.id, whole.id]
        #expect(Set(check.packs(of: ids).packs) == [first, second])
        #expect(try check.sendable([first, second]) == [second])
        #expect(try check.missing(of: check.packs(of: ids).packs).packs == [])
        for path in disk.files(under: "/").map(\.path) where path.description.hasSuffix(first.hex) { try disk.unlink(path) }
        #expect(try check.missing(of: check.packs(of: ids).packs).packs == [first])
        #expect(check.snapshots(ids, needing: [first]) == [lost.id])
    }

    @Test("a page of a list of packs that has another's bytes at a peer is sent again")
    func pageLostThere() throws {
        var world = try ReplicationWorld()
        let pack = try world.pack(5000)
        let record = try world.snapshot([[pack]])
        let disk = SimulatedDisk()
        let peer = try world.peer(on: disk)
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let page = try #require(record.pages.first).id
        // As after a write that went into the wrong file: the file is whole by its own checksums.
        let other = try #require(disk.files(under: "/").first { $0.path.description.hasSuffix(record.id.hex) }).bytes
        for file in disk.files(under: "/") where file.path.description.hasSuffix(page.hex) {
            disk.damage(file.path) { $0 = other }
        }
        #expect((try? peer.vault.page(page)) == nil)
        // The peer says that it has the snapshot in this revision, so that no commit would ask for the page.
        #expect(try SnapshotUpload(from: world.vault, to: peer).run().committed == [record.id: record.revision])
        #expect(try ReplicaCheck(of: world.vault, at: peer).readBack([record.id]) == ReplicaCheck.Readings())
        #expect(try peer.vault.page(page) == world.vault.page(page))
    }

    @Test("a peer that is cut off while it says what it has is told of, since it may have more than the others")
    func unheard() throws {
        var world = try ReplicationWorld()
        let pack = try world.pack(5000)
        try world.snapshot([[pack]])
        let other = try world.peer()
        _ = try SnapshotUpload(from: world.vault, to: other).run()
        try world.snapshot([[pack]])
        let all = try world.peer(on: SimulatedDisk())
        _ = try SnapshotUpload(from: world.vault, to: all).run()
        let silent = TwistedPeer(all) { request in if case .list = request { Failed(.internalError) } else { nil } }
        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        let report = try SnapshotDownload(into: empty, from: [other, silent]).run()
        #expect(report.committed.count == 1)
        #expect(report.unheard?.code == .cutOff)
    }
}
