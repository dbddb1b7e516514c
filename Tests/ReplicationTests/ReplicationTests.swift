import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Replication
import TestSupport
import Testing
import Vault

/// An owner's device with a vault full of snapshots, on a simulated disk.
struct ReplicationWorld {
    let key = OwnerKey.generate()
    let node = NodeKey.generate()
    let disk = SimulatedDisk()
    let vault: Vault
    var sequence: UInt64 = 0
    /// What each snapshot needs.
    var needs: [SnapshotID: [PackID]] = [:]
    private var random = Choices(seed: 7)

    init() throws { vault = try Vault(disk: disk, directory: "/here/vault", owner: key.id, create: true) }

    var certificate: Certificate { key.certify(node, name: "laptop", permissions: .all, serial: 1) }

    func peer(on disk: SimulatedDisk = SimulatedDisk()) throws -> VaultPeer {
        VaultPeer(try Vault(disk: disk, directory: "/there/vault", owner: key.id, create: true))
    }

    /// A pack of random bytes in this vault.
    mutating func pack(_ bytes: Int) throws -> PackID {
        let content = random.bytes(bytes)
        return try content.withUnsafeBytes { buffer in
            let id = MerkleTree(hashing: buffer).packID
            try vault.store(pack: id, bytes: buffer)
            return id
        }
    }

    /// Commits a snapshot that needs these packs, one page for each list.
    @discardableResult
    mutating func snapshot(_ lists: [[PackID]], revision: UInt64 = 0, replacing old: SnapshotRecord? = nil) throws
        -> SnapshotRecord
    {
        if old == nil { sequence += 1 }
        let pages = try lists.map { try PackListPage(packs: $0) }
        for page in pages { _ = try vault.storePage(page.encode()) }
        var record = SnapshotRecord(
            owner: key.id, device: node.id, sequence: old?.sequence ?? sequence, sealed: [1, 2, 3], revision: revision,
            pages: pages.map { SnapshotRecord.Page(id: PageID(sha256($0.encode())), packCount: $0.packs.count) },
            certificate: certificate)
        signSnapshot(&record, with: node)
        #expect(try vault.commit(record: record.encode(), replacing: old != nil) == .committed)
        needs[record.id] = lists.flatMap { $0 }
        return record
    }

    /// Every snapshot is there with everything it needs.
    func requireAll(in other: Vault, _ comment: Comment? = nil) throws {
        #expect(try Set(other.snapshots()) == Set(needs.keys), comment)
        for (id, packs) in needs {
            #expect(try other.snapshotRecord(id) == vault.snapshotRecord(id), comment)
            for pack in packs {
                var there = [UInt8](repeating: 0, count: try other.packBytes(pack))
                let count = there.count
                try there.withUnsafeMutableBytes { _ = try other.readPackChecked(pack, 0..<count, into: $0) }
                #expect(there.withUnsafeBytes { MerkleTree(hashing: $0).packID } == pack, comment)
            }
        }
    }
}

@Suite("Snapshots to peers and back") struct ReplicationTests {
    private func filled() throws -> ReplicationWorld {
        var world = try ReplicationWorld()
        let shared = try [world.pack(3_000_000), world.pack(1), world.pack(1 << 20)]
        try world.snapshot([shared])
        try world.snapshot([shared, [world.pack(70_000), world.pack(2_500_000)]])
        try world.snapshot([shared, [world.pack(4096)]])
        return world
    }

    @Test("everything comes to a peer, nothing twice, and comes back to an empty vault")
    func thereAndBack() throws {
        var world = try filled()
        let peer = try world.peer()
        let report = try SnapshotUpload(from: world.vault, to: peer).run()
        #expect(Set(report.committed.keys) == Set(world.needs.keys) && report.refused.isEmpty)
        try world.requireAll(in: peer.vault)
        let sent = peer.putBytes
        _ = try SnapshotUpload(from: world.vault, to: peer).run(known: report.committed)
        #expect(peer.putBytes == sent)
        try world.snapshot([[world.pack(10)]])
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        #expect(peer.putBytes == sent + 10)

        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        let back = try SnapshotDownload(into: empty, from: [peer]).run()
        #expect(Set(back.committed) == Set(world.needs.keys) && back.incomplete.isEmpty)
        try world.requireAll(in: empty)
        #expect(try SnapshotDownload(into: empty, from: [peer]).run().committed == [])
    }

    @Test("a changed list of packs takes the place of the earlier one at the peer")
    func replaced() throws {
        var world = try ReplicationWorld()
        let first = try world.snapshot([[world.pack(100), world.pack(200)]])
        let peer = try world.peer()
        let known = try SnapshotUpload(from: world.vault, to: peer).run().committed
        try world.snapshot([[world.pack(300)]], revision: 1, replacing: first)
        let report = try SnapshotUpload(from: world.vault, to: peer).run(known: known)
        #expect(report.committed == [first.id: 1] && report.refused.isEmpty)
        try world.requireAll(in: peer.vault)
        // What the peer has is not made older by one who has not seen the new list.
        let old = try Vault(disk: SimulatedDisk(), directory: "/old", owner: world.key.id, create: true)
        _ = try SnapshotDownload(into: old, from: [peer]).run()
        try world.requireAll(in: old)
    }

    @Test("a connection that breaks at any request is gone on with, and what was committed stays")
    func breaks() throws {
        let world = try filled()
        for count in stride(from: 0, to: 40, by: 3) {
            let peer = try world.peer()
            peer.faults.breaksAfter = count
            do {
                _ = try SnapshotUpload(from: world.vault, to: peer).run()
            } catch {
                #expect(error.code == .cutOff, "after \(count): \(error)")
            }
            for id in try peer.vault.snapshots() {
                for pack in world.needs[id] ?? [] { #expect(try peer.vault.contains(pack)) }
            }
            peer.faults.breaksAfter = nil
            let before = peer.putBytes
            _ = try SnapshotUpload(from: world.vault, to: peer).run()
            try world.requireAll(in: peer.vault, "after \(count)")
            // A part of a megabyte at most is sent again for each pack that was under way.
            let total = 3_000_000 + 1 + (1 << 20) + 70_000 + 2_500_000 + 4096
            #expect(peer.putBytes <= total + 4 * Limits.bulkBytesMax, "after \(count), where \(before) had come")
        }
    }

    @Test("a download whose connections break goes on over those that stand, and over new ones")
    func breaksOnTheWayBack() throws {
        let world = try filled()
        let (first, second) = (try world.peer(), try world.peer())
        for peer in [first, second] { _ = try SnapshotUpload(from: world.vault, to: peer).run() }
        for count in stride(from: 0, to: 30, by: 4) {
            let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
            first.faults.breaksAfter = count
            _ = try? SnapshotDownload(into: empty, from: [first]).run()
            first.faults.breaksAfter = count
            _ = try SnapshotDownload(into: empty, from: [first, second]).run()
            try world.requireAll(in: empty, "after \(count)")
        }
    }

    /// A peer that answers no question for a pack until it is asked for another one, the first time.
    private final class TwoAtOncePeer: PeerLink {
        private let peer: VaultPeer
        let begun = ConditionLock<[ObjectID]>([])
        init(_ peer: VaultPeer) { self.peer = peer }

        func submit(
            _ request: Request, bulk: ArraySlice<UInt8>,
            then: @escaping @Sendable (Result<PeerReply, PeerProtocolError>) -> Void
        ) throws(PeerProtocolError) {
            if case .get(let get) = request, get.kind == .pack, get.offset == 0 {
                begun.withLock { $0.append(get.id) }
                if begun.wait(milliseconds: 20_000, for: { $0.count > 1 ? true : nil }) == nil {
                    throw PeerProtocolError(.silent, "nothing else is asked for")
                }
            }
            try peer.submit(request, bulk: bulk, then: then)
        }
    }

    @Test("one peer is asked for two packs at once, and for none twice")
    func twoAtOnce() throws {
        let world = try filled()
        let peer = try world.peer()
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        let link = TwoAtOncePeer(peer)
        let back = try Vault(disk: SimulatedDisk(), directory: "/back/vault", owner: world.key.id, create: true)
        #expect(try SnapshotDownload(into: back, from: [link]).run().incomplete.isEmpty)
        try world.requireAll(in: back)
        let asked = link.begun.withLock { $0 }
        #expect(Set(asked).count == asked.count)
    }

    @Test("a peer that gives other bytes than asked for is done without, and nothing of it is stored")
    func garbage() throws {
        let world = try filled()
        let (liar, honest) = (try world.peer(), try world.peer())
        for peer in [liar, honest] { _ = try SnapshotUpload(from: world.vault, to: peer).run() }
        liar.faults.givesGarbage = true
        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        let alone = try SnapshotDownload(into: empty, from: [liar]).run()
        #expect(alone.committed.isEmpty)
        #expect(try empty.snapshots().isEmpty)
        _ = try SnapshotDownload(into: empty, from: [liar, honest]).run()
        try world.requireAll(in: empty)
    }

    @Test("a peer that lost a pack is helped out by another; what nobody has is named, and all else comes back")
    func lostPack() throws {
        let world = try filled()
        let disks = [SimulatedDisk(), SimulatedDisk()]
        let peers = try disks.map { try world.peer(on: $0) }
        for peer in peers { _ = try SnapshotUpload(from: world.vault, to: peer).run() }
        let largest = try #require(world.needs.max { $0.value.count < $1.value.count })
        let lost = try #require(largest.value.last)
        let place = RawPath("/there/vault/\(world.key.id.hex)/packs/\(lost.hex.prefix(2))/\(lost.hex)")
        try disks[0].unlink(place)
        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        _ = try SnapshotDownload(into: empty, from: peers).run()
        try world.requireAll(in: empty)
        try disks[1].unlink(place)
        let other = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.key.id, create: true)
        let report = try SnapshotDownload(into: other, from: peers).run()
        #expect(Set(report.incomplete.keys) == [largest.key])
        #expect(report.incomplete[largest.key]?.contains("\(lost)") == true)
        #expect(try other.snapshots().count == world.needs.count - 1)
    }

    @Test("a full peer says so, a peer that throws packs away is found out, and neither has a snapshot that it cannot give")
    func fullOrFalse() throws {
        let world = try filled()
        let full = try world.peer()
        full.faults.roomBytes = 5_000_000
        #expect { _ = try SnapshotUpload(from: world.vault, to: full).run() } throws: {
            ($0 as? ReplicationError)?.code == .noSpace
        }
        #expect(try full.vault.snapshots().count == 1)
        let forgetful = try world.peer()
        forgetful.faults.dropsPacks = true
        #expect { _ = try SnapshotUpload(from: world.vault, to: forgetful).run() } throws: {
            ($0 as? ReplicationError)?.code == .untrue
        }
        #expect(try forgetful.vault.snapshots() == [])
    }

    @Test("a stopped upload ends at the next step, and the next one goes on")
    func stopped() throws {
        let world = try filled()
        let peer = try world.peer()
        let progress = ReplicationProgress()
        progress.stop()
        #expect { _ = try SnapshotUpload(from: world.vault, to: peer, progress: progress).run() } throws: {
            ($0 as? ReplicationError)?.code == .stopped
        }
        _ = try SnapshotUpload(from: world.vault, to: peer).run()
        try world.requireAll(in: peer.vault)
    }
}
