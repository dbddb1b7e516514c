import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import TestSupport
import Testing
import Vault

@Suite("Vaults as peers use them") struct VaultServiceTests {
    @Test("a pack comes in parts, is durable with the last of them, and is given back byte for byte")
    func thereAndBack() throws {
        let world = ServeWorld()
        let session = world.session()
        #expect(session.vaultState == VaultState(exists: false))
        for (seed, count) in [1, 4096, 5000, 1 << 20, (1 << 20) + 1, 3_000_000, 5 << 20].enumerated() {
            let pack = ServePack(count, seed: UInt64(seed))
            try session.put(pack)
            #expect(try session.got(pack) == pack.bytes)
            #expect(try session.stored(pack.put(0), []).isDurable)
            #expect(try session.stored(pack.put(0), pack.bytes.prefix(1 << 20)).isDurable)
            #expect(session.code(.get(Get(kind: .pack, id: pack.object, offset: count, lengthBytes: 1))) == .invalid)
        }
        let state = try #require(session.vaultState)
        #expect(state.exists && state.packs == 7 && Int(state.usedBytes) == world.fileBytes())
        world.disk.restart(seed: 1)
        #expect(try world.vault().usage().packs == 7)
        #expect(world.rules.get { $0.log } == [])
    }

    @Test(
        "a part that does not begin where the last ended changes nothing, and is told where to go on",
        arguments: 0..<6 as Range<UInt64>)
    func disorder(_ seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let world = ServeWorld(bufferBytes: seed % 2 == 0 ? 20 << 20 : 1)
        let sessions = [world.session(), world.session()]
        let pack = ServePack(20_000 + choices.below(50_000), seed: seed)
        var received = 0
        while received < pack.bytes.count {
            let isRight = choices.below(3) == 0
            let offset = isRight ? received : choices.below(pack.bytes.count)
            let end = min(pack.bytes.count, offset + 1 + choices.below(9000))
            let answer = try sessions[choices.below(2)].stored(pack.put(offset), pack.bytes[offset..<end])
            if offset == received { received = end }
            #expect(answer.receivedBytes == received)
        }
        #expect(try sessions[0].got(pack) == pack.bytes)
        #expect(world.fileBytes() == Int(try #require(sessions[0].vaultState).usedBytes))
    }

    @Test("an upload that was cut off goes on in another session, and in another process", arguments: [20 << 20, 1])
    func goesOn(_ bufferBytes: Int) throws {
        var world = ServeWorld(bufferBytes: bufferBytes)
        let pack = ServePack(3 << 20, seed: 1)
        let first = world.session()
        _ = try first.stored(pack.put(0), pack.bytes[..<(1 << 20)])
        first.end()
        #expect(world.service.promisedBytes == (0, 0))
        #expect(first.code(.vault) == .busy)
        let second = world.session()
        #expect(try second.stored(pack.put(0), []).receivedBytes == 1 << 20)
        #expect(try second.stored(pack.put(1 << 20), pack.bytes[(1 << 20)..<(2 << 20)]).receivedBytes == 2 << 20)
        second.end()
        world.service = world.rules.service(world.disk, own: world.own.key.id)
        let third = world.session()
        #expect(Int(try #require(third.vaultState).usedBytes) == world.fileBytes())
        #expect(try third.stored(pack.put(0), pack.bytes[..<(1 << 20)]).receivedBytes == 2 << 20)
        #expect(try third.stored(pack.put(2 << 20), pack.bytes[(2 << 20)...]).isDurable)
        #expect(try third.got(pack) == pack.bytes)
        #expect(Int(try #require(third.vaultState).usedBytes) == world.fileBytes())
        let root = RawPath("/home/vault").appending(world.friend.key.id.hex)
        #expect(world.disk.files(under: root.appending("incoming")).isEmpty)
        #expect(world.disk.files(under: root.appending("tmp")).isEmpty)
    }

    @Test(
        "bytes that are not what their name says are refused; what another session began is sent again", arguments: [20 << 20, 1])
    func wrongBytes(_ bufferBytes: Int) throws {
        let world = ServeWorld(bufferBytes: bufferBytes)
        let pack = ServePack(100_000, seed: 1)
        var wrong = pack.bytes
        wrong[70_000] ^= 1
        let liar = world.session()
        #expect(liar.code(.put(pack.put(0)), wrong) == .invalid)
        _ = try liar.stored(pack.put(0), wrong[..<60_000])
        #expect(liar.code(.put(pack.put(60_000)), Array(wrong[60_000...])) == .invalid)
        _ = try liar.stored(pack.put(0), wrong[..<80_000])
        liar.end()
        let honest = world.session()
        #expect(try honest.stored(pack.put(80_000), pack.bytes[80_000...]).receivedBytes == 0)
        try honest.put(pack)
        #expect(try honest.got(pack) == pack.bytes)
        // A name that is said to be of another length.
        let short = Put(kind: .pack, id: pack.object, totalBytes: 50_000, offset: 0)
        #expect(honest.code(.put(short), Array(pack.bytes[..<50_000])) == .invalid)
        let other = world.session()
        #expect(other.code(.put(short), Array(pack.bytes[..<50_000])) == .invalid)
        let page = try PackListPage(packs: [pack.id]).encode()
        let put = Put(kind: .page, id: pack.object, totalBytes: page.count, offset: 0)
        #expect(other.code(.put(put), page) == .invalid)
        let draft = Put(kind: .draft, id: pack.object, totalBytes: page.count, offset: 0)
        #expect(other.code(.put(draft), page) == .invalid)
        #expect(world.service.promisedBytes == (0, 0))
        #expect(Int(try #require(other.vaultState).usedBytes) == world.fileBytes())
    }

    @Test("a put of a pack that is there mends it, or takes it anew where it is beyond repair")
    func damagedPacks() throws {
        let world = ServeWorld()
        let pack = ServePack(600_000, seed: 1)
        try world.session().put(pack)
        world.damage(pack, beyondRepair: false)
        let session = world.session()
        #expect(try session.stored(pack.put(0), []).isDurable)
        #expect(try world.vault().scrub(readData: 1, seed: 0, repair: false).damagedFiles == 0)
        world.damage(pack, beyondRepair: true)
        let other = world.session()
        let part = Get(kind: .pack, id: pack.object, offset: 0, lengthBytes: 100)
        #expect(other.code(.get(part)) == .damaged)
        try other.put(pack, partBytes: 200_000)
        #expect(try other.got(pack) == pack.bytes)
        #expect(Int(try #require(other.vaultState).usedBytes) == world.fileBytes())
        #expect(other.vaultState?.packs == 1)
    }

    @Test("a snapshot is committed when all of it is there, its packs are brought back from the trash, and forgetting frees them")
    func commits() throws {
        let world = ServeWorld()
        let session = world.session()
        let packs = (0..<4).map { ServePack(9000 + $0, seed: UInt64($0)) }
        let pages = try [PackListPage(packs: packs[..<2].map { $0.id }), PackListPage(packs: packs[2...].map { $0.id })]
        let record = world.friend.record(1, pages)
        #expect(session.code(.commit(Commit(draft: ObjectID(record.id.value)))) == .notFound)
        #expect(try session.commit(record) == .missing(packs: [], pages: pages.map { $0.id }))
        for page in pages { try session.put(page) }
        for pack in packs[1...] { try session.put(pack) }
        #expect(try session.commit(record) == .missing(packs: [packs[0].id], pages: []))
        #expect(world.rules.get { $0.changes } == [])
        // Swept meanwhile: they come back from the trash.
        guard case .swept(let swept) = session.ask(.sweep).answer else { throw ServeFailure(answer: .samples) }
        #expect(swept.trashedPacks == 3 && swept.generation == 1)
        try session.put(packs[0])
        #expect(try session.commit(record) == .committed)
        #expect(try session.commit(record) == .committed)
        #expect(world.rules.get { $0.changes.first } == .committed(world.friend.key.id, record.id))
        #expect(session.vaultState?.packs == 4 && session.vaultState?.snapshots == 1)
        #expect(session.ask(.list(List())).answer == .listing(Listing(snapshots: [record.id], hasMore: false)))
        #expect(session.ask(.list(List(after: record.id))).answer == .listing(Listing(snapshots: [], hasMore: false)))
        let ids = packs.map { $0.object } + [ObjectID(record.id.value)]
        #expect(
            session.ask(.have(Have(kind: .pack, ids: ids))).answer == .missing(Missing(ids: Array(ids[4...]), generation: 1)))
        let bytes = record.encode()
        let get = Get(kind: .snapshot, id: ids[4], offset: 3, lengthBytes: Limits.bulkBytesMax)
        #expect(session.ask(.get(get)).bulk == Array(bytes[3...]))
        let page = Get(kind: .page, id: ObjectID(pages[0].id.value), offset: 0, lengthBytes: 5)
        #expect(session.ask(.get(page)).bulk == Array(pages[0].encode()[..<5]))
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())

        let order = world.friend.forget([record.id])
        #expect(session.ask(.forget, order).answer == .forgotten(Forgotten(count: 1)))
        #expect(session.ask(.forget, order).answer == .forgotten(Forgotten(count: 0)))
        #expect(world.rules.get { $0.changes.last } == .forgotten(world.friend.key.id, order))
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())
        _ = try world.service.sweep(world.friend.key.id, now: 1000)
        _ = try world.service.sweep(world.friend.key.id, now: 2000)
        #expect(session.vaultState?.packs == 0)
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())
        #expect(world.fileBytes() == Vault.reserveBytes)
    }

    @Test("drafts are few, the oldest go first, and none stays longer than a day")
    func drafts() throws {
        let world = ServeWorld()
        let session = world.session()
        let page = try PackListPage(packs: [ServePack(1, seed: 1).id])
        var drafts: [ObjectID] = []
        for sequence in 1...40 as ClosedRange<UInt64> {
            world.disk.now = Int64(sequence)
            drafts.append(try session.put(world.friend.record(sequence, [page])))
        }
        let incoming = RawPath("/home/vault").appending(world.friend.key.id.hex).appending("incoming")
        #expect(world.disk.files(under: incoming).count == 32)
        #expect(session.code(.commit(Commit(draft: drafts[0]))) == .notFound)
        #expect(session.code(.commit(Commit(draft: drafts[39]))) == nil)
        let long = world.friend.record(41, [page], sealed: [UInt8](repeating: 5, count: 4 << 20))
        let bytes = long.encode()
        let id = ObjectID(sha256(bytes))
        for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
            let end = min(start + (1 << 20), bytes.count)
            let put = Put(kind: .draft, id: id, totalBytes: bytes.count, offset: start)
            #expect(try session.stored(put, bytes[start..<end]).receivedBytes == end)
        }
        #expect(session.code(.commit(Commit(draft: id))) == nil)
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())
        world.disk.now = 50
        _ = try world.service.sweep(world.friend.key.id, now: 86_450)
        #expect(world.disk.files(under: incoming).isEmpty)
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())
    }

    @Test(
        "a peer that begins many uploads and ends none holds little, and what it goes on with is whole", arguments: [20 << 20, 1])
    func begunOnly(_ bufferBytes: Int) throws {
        let world = ServeWorld(bufferBytes: bufferBytes)
        let incoming = RawPath("/home/vault").appending(world.friend.key.id.hex).appending("incoming")
        let packs = (0..<300).map { ServePack(5000, seed: UInt64($0)) }
        let session = world.session()
        for pack in packs {
            _ = try session.stored(pack.put(0), pack.bytes[..<2000])
            #expect(world.service.promisedBytes.claimed <= 65 * ProtectedFile.fileBytes(contentBytes: 5000))
        }
        #expect(world.disk.files(under: incoming).count <= 256)
        #expect(Int(try #require(session.vaultState).usedBytes) == world.fileBytes())
        session.end()
        #expect(world.service.promisedBytes == (0, 0) && world.service.freeBufferBytes == bufferBytes)
        #expect(world.disk.files(under: incoming).count <= 256)
        let other = world.session()
        var keptBytes = 0
        for pack in packs[200...] {
            keptBytes += try other.stored(pack.put(0), []).receivedBytes
            try other.put(pack)
        }
        #expect(keptBytes >= 60 * 2000)
        #expect(Int(try #require(other.vaultState).usedBytes) == world.fileBytes())
        other.end()
        // The rest is too old after a day, also where nobody sweeps.
        world.rules.now += 2 * 86_400
        let totals = try #require(world.service.usage(of: world.friend.key.id))
        #expect(world.disk.files(under: incoming).isEmpty)
        #expect(totals.packs == 100 && Int(totals.usedBytes) == world.fileBytes())
    }

    @Test("another process may write to this node's own vault meanwhile, and a count finds what it did")
    func otherProcess() throws {
        let world = ServeWorld()
        let own = world.own.key.id
        let session = world.ownSession()
        let pack = ServePack(5000, seed: 1)
        try session.put(pack)
        let beside = try Vault(disk: world.disk, directory: "/home/vault", owner: own, create: true)
        let other = ServePack(70_000, seed: 2)
        try other.bytes.withUnsafeBytes { _ = try beside.store(pack: other.id, bytes: $0) }
        #expect(
            session.ask(.have(Have(kind: .pack, ids: [other.object, pack.object]))).answer
                == .missing(Missing(ids: [], generation: 0)))
        #expect(try session.got(other) == other.bytes)
        world.rules.now += 1000
        let totals = try #require(world.service.usage(of: own))
        #expect(totals.packs == 2 && Int(totals.usedBytes) == ServeWorld.fileBytes(world.disk, own))
        // A commit is seen sooner than that.
        world.rules.now += 10
        world.disk.now = world.rules.now
        let page = try PackListPage(packs: [other.id])
        try beside.storePage(page.encode())
        let record = world.own.record(1, [page])
        #expect(try beside.commit(record: record.encode()) == .committed)
        let soon = try #require(world.service.usage(of: own))
        #expect(soon.snapshots == 1 && Int(soon.usedBytes) == ServeWorld.fileBytes(world.disk, own))
        #expect(try beside.forget(signForget([record.id], certificate: record.certificate, with: world.own.node)) == [record.id])
        _ = try beside.sweep(grace: 0, now: 5000)
        #expect(try !session.stored(pack.put(0), []).isDurable)
        try session.put(pack)
        #expect(try session.got(pack) == pack.bytes)
    }

    @Test("an unpaired friend's vault goes as a whole: a crash leaves it, or nothing", arguments: 0..<3 as Range<UInt64>)
    func removed(_ seed: UInt64) throws {
        let world = ServeWorld()
        let session = world.session()
        let pack = ServePack(9000, seed: 1)
        let page = try PackListPage(packs: [pack.id])
        try session.put(pack)
        try session.put(page)
        #expect(try session.commit(world.friend.record(1, [page])) == .committed)
        _ = try session.stored(ServePack(9000, seed: 2).put(0), [1, 2, 3])
        session.end()
        let owner = world.friend.key.id
        let whole = SimulatedDisk(copying: world.disk)
        try world.service.remove(owner)
        #expect(world.disk.files(under: "/home").isEmpty && world.service.usage(of: owner) == nil)
        try world.service.remove(owner)
        try world.session().put(pack)
        for operation in 0..<60 {
            let disk = SimulatedDisk(copying: whole)
            disk.faults.crashAtOperation = disk.operations + operation
            let service = world.rules.service(disk, own: world.own.key.id)
            do { try service.remove(owner) } catch {}
            disk.restart(seed: seed &* 100 &+ UInt64(operation))
            if let vault = try? Vault(disk: disk, directory: "/home/vault", owner: owner, create: false) {
                #expect(try vault.snapshots().count == 1 && vault.scrub(readData: 1, seed: 0, repair: false).isWhole)
            }
            try world.rules.service(disk, own: world.own.key.id).remove(owner)
            #expect(disk.files(under: "/home").isEmpty, "crash at \(operation)")
        }
        #expect(try world.service.owners() == [owner])
    }
}
