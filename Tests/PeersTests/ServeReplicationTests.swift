import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import Replication
import TestSupport
import Testing
import Vault

/// The client side of replication against a real session.
@Suite("Replication to a vault session") struct ServeReplicationTests {
    /// A vault of the friend's own, with some snapshots.
    private struct Source {
        let vault: Vault
        let packs: [ServePack]
        var needs: [SnapshotID: [ServePack]] = [:]

        init(_ owner: ServeOwner) throws {
            vault = try Vault(disk: SimulatedDisk(), directory: "/there/vault", owner: owner.key.id, create: true)
            packs = [3_000_000, 1, 1 << 20, 70_000, 2_500_000, 4096].enumerated().map { ServePack($1, seed: UInt64($0)) }
            for pack in packs { try pack.bytes.withUnsafeBytes { _ = try vault.storeVerified(pack: pack.id, bytes: $0) } }
            let shared = try PackListPage(packs: packs[..<3].map { $0.id })
            for (index, range) in [3..<3, 3..<5, 5..<6].enumerated() {
                var pages = [shared]
                if !range.isEmpty { pages.append(try PackListPage(packs: packs[range].map { $0.id })) }
                for page in pages { try vault.storePage(page.encode()) }
                let record = owner.record(UInt64(index + 1), pages)
                #expect(try vault.commit(record: record.encode()) == .committed)
                needs[record.id] = Array(packs[..<3]) + packs[range]
            }
        }

        func requireAll(in other: Vault) throws {
            #expect(try Set(other.snapshots()) == Set(needs.keys))
            for pack in needs.values.joined() { #expect(try other.holds(pack.id)) }
        }
    }

    @Test("everything comes to the vault, nothing twice, and comes back by way of another session", arguments: [20 << 20, 1])
    func thereAndBack(_ bufferBytes: Int) throws {
        let world = ServeWorld(bufferBytes: bufferBytes)
        let source = try Source(world.friend)
        let link = SessionLink(world.session())
        let report = try SnapshotUpload(from: source.vault, to: link).run()
        #expect(Set(report.committed.keys) == Set(source.needs.keys) && report.refused.isEmpty)
        try source.requireAll(in: world.vault())
        let sent = link.putBytes
        _ = try SnapshotUpload(from: source.vault, to: link).run()
        #expect(link.putBytes == sent)
        link.session.end()

        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: world.friend.key.id, create: true)
        let links = [SessionLink(world.session()), SessionLink(world.session())]
        let back = try SnapshotDownload(into: empty, from: links).run()
        #expect(Set(back.committed) == Set(source.needs.keys) && back.incomplete.isEmpty)
        try source.requireAll(in: empty)
        for link in links { link.session.end() }
        #expect(world.rules.get { $0.log } == [])
    }

    @Test("the owner key alone brings everything back to an empty machine")
    func recovery() throws {
        let world = ServeWorld()
        let source = try Source(world.friend)
        _ = try SnapshotUpload(from: source.vault, to: SessionLink(world.session())).run()
        let bare = PeerIdentity(agreementKey: .zero, certificate: nil, agent: "test")
        let session = world.service.session(peer: bare, trust: .stranger, handshakeHash: world.hash)
        let key = world.friend.key
        _ = session.ask(.recover(Recover(owner: key.id, signature: key.signRecovery(handshakeHash: world.hash))))
        let empty = try Vault(disk: SimulatedDisk(), directory: "/new/vault", owner: key.id, create: true)
        _ = try SnapshotDownload(into: empty, from: [SessionLink(session)]).run()
        try source.requireAll(in: empty)
    }

    @Test("a write-only device replicates its backups, also when it does not know what is there already")
    func writeOnly() throws {
        let world = ServeWorld()
        let source = try Source(world.friend)
        for _ in 0..<2 {
            let report = try SnapshotUpload(from: source.vault, to: SessionLink(world.session(.backup))).run()
            #expect(report.committed.count == 3 && report.refused.isEmpty)
        }
        try source.requireAll(in: world.vault())
    }

    @Test(
        "a connection that breaks at any request is gone on with: no more than a part of a pack is sent again",
        arguments: [20 << 20, 1])
    func breaks(_ bufferBytes: Int) throws {
        let friend = ServeOwner()
        let source = try Source(friend)
        let total = source.packs.reduce(0) { $0 + $1.bytes.count }
        for count in stride(from: 0, to: 36, by: 5) {
            let rules = ServeRules()
            let disk = SimulatedDisk()
            let service = rules.service(disk, own: ServeOwner().key.id, bufferBytes: bufferBytes)
            rules.set { $0.policies[friend.key.id] = ServingPolicy(quotaBytes: 1 << 30, mayStore: true) }
            func link(_ breaksAfter: Int?) -> SessionLink {
                SessionLink(
                    service.session(peer: friend.identity(), trust: .friend, handshakeHash: []), breaksAfter: breaksAfter)
            }
            let first = link(count)
            do { _ = try SnapshotUpload(from: source.vault, to: first).run() } catch {
                #expect(error.code == .cutOff, "after \(count): \(error)")
            }
            first.session.end()
            #expect(service.promisedBytes == (0, 0))
            let second = link(nil)
            _ = try SnapshotUpload(from: source.vault, to: second).run()
            let vault = try Vault(disk: disk, directory: "/home/vault", owner: friend.key.id, create: false)
            try source.requireAll(in: vault)
            #expect(second.putBytes + first.putBytes <= total + (6 << 20), "after \(count)")
            #expect(Int(try #require(second.session.vaultState).usedBytes) == ServeWorld.fileBytes(disk, friend.key.id))
        }
    }

    @Test("an upload over a quota is told so, keeps what it has, and goes on when there is room")
    func fullQuota() throws {
        let world = ServeWorld(quotaBytes: 5_000_000)
        let source = try Source(world.friend)
        do {
            _ = try SnapshotUpload(from: source.vault, to: SessionLink(world.session())).run()
            Issue.record("it fits")
        } catch { #expect(error.code == .noSpace) }
        #expect(world.fileBytes() <= 5_000_000)
        #expect(try world.vault().snapshots().count == 1)
        world.setQuota(50_000_000)
        _ = try SnapshotUpload(from: source.vault, to: SessionLink(world.session())).run()
        try source.requireAll(in: world.vault())
    }

    @Test("a vault whose folder was taken away while it was in use is begun anew, and gets everything again in the same session")
    func vanished() throws {
        let world = ServeWorld()
        let source = try Source(world.friend)
        let link = SessionLink(world.session())
        _ = try SnapshotUpload(from: source.vault, to: link).run()
        try world.disk.rename(RawPath("/home/vault").appending(world.friend.key.id.hex), to: "/home/lost")
        #expect(try PeerVault(link).snapshots() == [])
        #expect(try !PeerVault(link).state().exists)
        #expect(world.service.usage(of: world.friend.key.id) == nil)
        let report = try SnapshotUpload(from: source.vault, to: link).run()
        #expect(Set(report.committed.keys) == Set(source.needs.keys) && report.refused.isEmpty)
        try source.requireAll(in: world.vault())
        #expect(world.service.usage(of: world.friend.key.id)?.usedBytes == UInt64(world.fileBytes()))
        #expect(world.rules.get { $0.log } == [])
    }

    @Test("a write-only device that keeps snapshots of other devices brings its own all the same")
    func writeOnlyKeeper() throws {
        let world = ServeWorld()
        let source = try Source(world.friend)
        let all = SessionLink(world.session())
        _ = try SnapshotUpload(from: source.vault, to: all).run()
        all.session.end()
        // The same vault with a snapshot of a device of its own, which may not read those of the other.
        var writer = ServeOwner()
        writer.node = NodeKey.generate()
        writer.key = world.friend.key
        let pack = ServePack(5000, seed: 99)
        _ = try pack.bytes.withUnsafeBytes { try source.vault.storeVerified(pack: pack.id, bytes: $0) }
        let page = try PackListPage(packs: [pack.id])
        try source.vault.storePage(page.encode())
        let record = writer.record(9, [page])
        #expect(try source.vault.commit(record: record.encode()) == .committed)
        let session = world.service.session(peer: writer.identity([.backup]), trust: .friend, handshakeHash: world.hash)
        let report = try SnapshotUpload(from: source.vault, to: SessionLink(session)).run()
        #expect(Array(report.committed.keys) == [record.id] && report.refused.isEmpty)
        #expect(try world.vault().snapshots().contains(record.id))
    }
}

/// The same on the disk of this machine, which has its own ideas about alignment and caches.
@Test("packs of the greatest length come and go on a real disk, with memory for them and without", arguments: [48 << 20, 1])
func serveOnRealDisk(_ bufferBytes: Int) throws {
    let disk = RealDisk()
    let home = RawPath("/tmp/bakare-serve-\(Bytes32.random().hex.prefix(16))")
    func remove(_ path: RawPath) throws {
        for name in try disk.list(path) {
            let inner = path.appending(name)
            if try disk.status(inner)?.isDirectory == true { try remove(inner) } else { try disk.unlink(inner) }
        }
        try disk.removeDirectory(path)
    }
    try disk.makeDirectory(home)
    defer { try? remove(home) }
    let friend = ServeOwner()
    let service = VaultService(
        disk: disk, directory: home.appending("vault"), own: ServeOwner().key.id, reserveBytes: { 0 },
        policy: { _ in ServingPolicy(quotaBytes: 100 << 20, mayStore: true) }, isForgotten: { _ in false },
        bufferBytes: bufferBytes, trashGraceSeconds: 0, now: { 0 }, log: { Issue.record("\($0)") })
    let session = service.session(peer: friend.identity(), trust: .friend, handshakeHash: [])
    let packs = [Limits.packBytesMax, (5 << 20) + 17, 100].enumerated().map { ServePack($1, seed: UInt64($0)) }
    for pack in packs { try session.put(pack) }
    for pack in packs { #expect(try session.got(pack) == pack.bytes) }
    let vault = try Vault(disk: disk, directory: home.appending("vault"), owner: friend.key.id, create: false)
    #expect(try Int(#require(session.vaultState).usedBytes) == vault.footprint().bytes)
    #expect(try vault.scrub(readData: 1, seed: 0, repair: false).strangers == [])
    session.end()
    #expect(service.freeBufferBytes == bufferBytes)
    try service.remove(friend.key.id)
    #expect(try disk.list(home.appending("vault")) == [])
}
