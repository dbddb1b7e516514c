import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import TestSupport
import Testing
import Vault

@Suite("Who may do what to a vault") struct ServeRightsTests {
    private let pack = ServePack(9000, seed: 1)

    private func filled() throws -> (world: ServeWorld, page: PackListPage, record: SnapshotRecord) {
        let world = ServeWorld()
        let page = try PackListPage(packs: [pack.id])
        let record = world.friend.record(1, [page])
        let session = world.session()
        try session.put(pack)
        try session.put(page)
        #expect(try session.commit(record) == .committed)
        session.end()
        return (world, page, record)
    }

    private var every: [Request] {
        let id = ObjectID(pack.id.value)
        return [
            .vault, .have(Have(kind: .pack, ids: [id])), .put(pack.put(0)),
            .get(Get(kind: .pack, id: id, offset: 0, lengthBytes: 1)), .list(List()), .commit(Commit(draft: id)), .forget, .sweep,
            .audit(Audit(seed: .zero, packs: [pack.id])), .reserve(Reserve(bytes: 1)), .unpair,
            .pair(Pair(quotaBytes: 1, device: DeviceID(.zero), name: "x")),
        ]
    }

    @Test("whoever is not paired may ask nothing, whatever certificate he shows")
    func strangers() throws {
        let (world, _, record) = try filled()
        let certified = world.friend.identity()
        let bare = PeerIdentity(agreementKey: .zero, certificate: nil, agent: "test")
        let before = world.disk.operations
        for (peer, trust) in [
            (certified, Trust.stranger), (certified, .invited), (bare, .stranger), (bare, .friend), (certified, .own),
            (world.own.identity(), .friend),
        ] {
            let session = world.service.session(peer: peer, trust: trust, handshakeHash: world.hash)
            for request in every {
                #expect(session.code(request, request == .forget ? world.friend.forget([record.id]) : []) == .notPermitted)
            }
        }
        #expect(world.disk.operations == before)
        #expect(try world.vault().snapshots() == [record.id])
    }

    @Test("a friend sees nothing of another owner's vault")
    func friends() throws {
        let (world, page, record) = try filled()
        let other = ServeOwner()
        world.rules.set { $0.policies[other.key.id] = ServingPolicy(quotaBytes: 1 << 20, mayStore: true) }
        for (peer, trust) in [(other.identity(), Trust.friend), (world.own.identity(), .own)] {
            let session = world.service.session(peer: peer, trust: trust, handshakeHash: world.hash)
            let ids = [pack.object]
            #expect(session.ask(.have(Have(kind: .pack, ids: ids))).answer == .missing(Missing(ids: ids, generation: 0)))
            #expect(session.ask(.list(List())).answer == .listing(Listing(snapshots: [], hasMore: false)))
            for (kind, id) in [(ObjectKind.pack, pack.id.value), (.page, page.id.value), (.snapshot, record.id.value)] {
                let get = Get(kind: kind, id: ObjectID(id), offset: 0, lengthBytes: 100)
                #expect(session.code(.get(get)) == .notFound)
            }
            #expect(session.code(.forget, world.friend.forget([record.id])) == .invalid)
            #expect(session.ask(.audit(Audit(seed: .zero, packs: [pack.id]))).bulk == AuditSample.missing)
            // A record of somebody else may not stand here.
            guard case .rejected = try session.commit(record) else {
                Issue.record("committed")
                continue
            }
        }
        #expect(try world.vault().snapshots() == [record.id])
    }

    @Test("a write-only device backs up and is told what is there, and is given nothing but its own records")
    func writeOnly() throws {
        let (world, page, record) = try filled()
        let session = world.session(.backup)
        for (kind, id) in [(ObjectKind.pack, pack.id.value), (.page, page.id.value)] {
            #expect(session.code(.get(Get(kind: kind, id: ObjectID(id), offset: 0, lengthBytes: 9))) == .notPermitted)
        }
        let get = Get(kind: .snapshot, id: ObjectID(record.id.value), offset: 0, lengthBytes: 1 << 20)
        #expect(session.ask(.get(get)).bulk == record.encode())
        let otherNode = NodeKey.generate()
        let certificate = world.friend.key.certify(otherNode, name: "phone", permissions: .backup, serial: 1)
        let peer = PeerIdentity(agreementKey: otherNode.agreementPublicKey, certificate: certificate, agent: "test")
        let phone = world.service.session(peer: peer, trust: .friend, handshakeHash: world.hash)
        #expect(phone.code(.get(get)) == .notPermitted)
        #expect(phone.code(.sweep) == .notPermitted)
        let order = signForget([record.id], certificate: certificate, with: otherNode).encode()
        #expect(phone.code(.forget, order) == .notPermitted)
        #expect(
            phone.ask(.have(Have(kind: .pack, ids: [pack.object]))).answer == .missing(Missing(ids: [], generation: 0)))
        try phone.put(ServePack(100, seed: 2))
        // An order that a device which may gave goes by way of any.
        #expect(phone.ask(.forget, world.friend.forget([record.id])).answer == .forgotten(Forgotten(count: 1)))
        var forged = world.friend.forget([record.id])
        forged[60] ^= 1
        #expect(phone.code(.forget, forged) == .invalid)
        #expect(phone.code(.forget, [1, 2, 3]) == .invalid)
    }

    @Test("without permission to back up, or where nothing more is taken, nothing is stored; what is there is served")
    func noMore() throws {
        let (world, page, record) = try filled()
        let other = ServePack(500, seed: 4)
        let readOnly = world.session([.restore, .forget])
        #expect(readOnly.code(.put(other.put(0)), other.bytes) == .notPermitted)
        #expect(readOnly.code(.reserve(Reserve(bytes: 1))) == .notPermitted)
        world.setQuota(1 << 30, mayStore: false)
        let session = world.session()
        #expect(session.code(.put(other.put(0)), other.bytes) == .notPermitted)
        #expect(session.code(.commit(Commit(draft: other.object))) == .notPermitted)
        for reader in [readOnly, session] {
            #expect(try reader.got(pack) == pack.bytes)
            #expect(reader.ask(.list(List())).answer == .listing(Listing(snapshots: [record.id], hasMore: false)))
        }
        _ = page
        // Unpaired: not even that, from the next request on.
        let owner = world.friend.key.id
        world.rules.set { $0.policies[owner] = nil }
        for request in every { #expect(session.code(request, []) == .notPermitted) }
    }

    @Test("whoever signs this session with the owner key is given everything of that owner, and may store nothing")
    func recovers() throws {
        let (world, page, record) = try filled()
        let owner = world.friend.key
        world.rules.set { $0.policies[owner.id] = nil }
        let bare = PeerIdentity(agreementKey: .zero, certificate: nil, agent: "test")
        let session = world.service.session(peer: bare, trust: .stranger, handshakeHash: world.hash)
        let otherHash = [UInt8](repeating: 8, count: 64)
        let replayed = Recover(owner: owner.id, signature: owner.signRecovery(handshakeHash: otherHash))
        #expect(session.code(.recover(replayed)) == .notPermitted)
        let foreign = Recover(owner: owner.id, signature: world.own.key.signRecovery(handshakeHash: world.hash))
        #expect(session.code(.recover(foreign)) == .notPermitted)
        for request in every { #expect(session.code(request) == .notPermitted) }
        let nobody = OwnerKey.generate()
        let unknown = Recover(owner: nobody.id, signature: nobody.signRecovery(handshakeHash: world.hash))
        #expect(session.ask(.recover(unknown)).answer == .vault(VaultState(exists: false)))
        #expect(session.code(.vault) == .notPermitted)

        let right = Recover(owner: owner.id, signature: owner.signRecovery(handshakeHash: world.hash))
        guard case .vault(let state) = session.ask(.recover(right)).answer else { throw ServeFailure(answer: .samples) }
        #expect(state.exists && state.snapshots == 1 && state.packs == 1)
        #expect(session.vaultState == state)
        #expect(try session.got(pack) == pack.bytes)
        let get = Get(kind: .page, id: ObjectID(page.id.value), offset: 0, lengthBytes: 1 << 20)
        #expect(session.ask(.get(get)).bulk == page.encode())
        #expect(session.ask(.list(List())).answer == .listing(Listing(snapshots: [record.id], hasMore: false)))
        for request in [Request.put(pack.put(0)), .commit(Commit(draft: pack.object)), .sweep, .reserve(Reserve(bytes: 5))] {
            #expect(session.code(request, []) == .notPermitted)
        }
        session.end()
    }

    @Test("a snapshot that this owner ordered to be forgotten is not taken again from a device that has not heard of it")
    func forgotten() throws {
        let world = ServeWorld()
        let session = world.ownSession()
        let page = try PackListPage(packs: [pack.id])
        try session.put(pack)
        try session.put(page)
        let record = world.own.record(1, [page])
        world.rules.set { $0.forgotten = [record.id] }
        guard case .rejected = try session.commit(record) else { throw ServeFailure(answer: .samples) }
        #expect(try session.commit(world.own.record(2, [page])) == .committed)
        // What a friend forgets is the friend's to say.
        let theirs = world.friend.record(1, [page])
        world.rules.set { $0.forgotten = [theirs.id] }
        let friend = world.session()
        try friend.put(pack)
        try friend.put(page)
        #expect(try friend.commit(theirs) == .committed)
    }
}
