import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import Replication
import TestSupport
import Testing
import Vault

@Suite("Many sessions at once") struct ServeSessionsTests {
    /// Stops the thread that comes to a certain operation, until it is let go.
    private final class Barrier: Sendable {
        private struct State {
            var word: String?
            var isHeld = false
        }
        private let state = ConditionLock(State())

        func hold(at word: String) { state.withLock { $0.word = word } }
        func pass(_ operation: String) {
            let holds = state.withLock { state in
                guard let word = state.word, operation.contains(word) else { return false }
                state.word = nil
                state.isHeld = true
                return true
            }
            if holds { _ = state.wait { $0.isHeld ? nil : true } }
        }
        func waitUntilHeld() { _ = state.wait { $0.isHeld ? true : nil } }
        func letGo() { state.withLock { $0.isHeld = false } }
    }

    private func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
        let threads = (0..<count).compactMap { index in
            WorkerThread(name: "peer \(index)") {
                do { try body(index) } catch { Issue.record("\(index): \(error)") }
            }
        }
        #expect(threads.count == count)
        for thread in threads { thread.join() }
    }

    @Test("twenty peers upload at once through two buffers; all arrives, and no peer waits for a slow one")
    func twenty() throws {
        let packs = (0..<20).map { index in (0..<3).map { ServePack(300_000 + index, seed: UInt64(index * 10 + $0)) } }
        let owners = (0..<20).map { _ in ServeOwner() }
        let rules = ServeRules()
        for owner in owners { rules.set { $0.policies[owner.key.id] = ServingPolicy(quotaBytes: 10 << 20, mayStore: true) } }
        let disk = SimulatedDisk()
        let bufferBytes = (16 << 20) + 700_000
        let service = rules.service(disk, own: ServeOwner().key.id, bufferBytes: bufferBytes)
        // Two that begin and bring nothing more hold all of the memory at first.
        let slow = (0..<2).map { service.session(peer: owners[$0].identity(), trust: .friend, handshakeHash: []) }
        for (index, session) in slow.enumerated() {
            _ = try session.stored(packs[index][0].put(0), packs[index][0].bytes[..<1000])
        }
        #expect(service.freeBufferBytes < bufferBytes - 600_000)
        inParallel(20) { index in
            let session = service.session(peer: owners[index].identity(), trust: .friend, handshakeHash: [])
            for pack in index < 2 ? packs[index][1...] : packs[index][...] { try session.put(pack, partBytes: 50_000) }
            session.end()
        }
        // They stood still, so their memory went to others; they go on all the same.
        for (index, session) in slow.enumerated() {
            let pack = packs[index][0]
            #expect(try session.stored(pack.put(1000), pack.bytes[1000...]).isDurable)
            session.end()
        }
        #expect(service.freeBufferBytes == bufferBytes && service.promisedBytes == (0, 0))
        for (index, owner) in owners.enumerated() {
            let session = service.session(peer: owner.identity(), trust: .friend, handshakeHash: [])
            for pack in packs[index] { #expect(try session.got(pack) == pack.bytes) }
            #expect(Int(try #require(session.vaultState).usedBytes) == ServeWorld.fileBytes(disk, owner.key.id))
        }
        #expect(rules.get { $0.log } == [])
    }

    @Test(
        "sessions of one owner upload the same at once, while it is swept; whatever is acknowledged is there",
        arguments: 0..<4 as Range<UInt64>)
    func sameOwner(_ seed: UInt64) throws {
        let world = ServeWorld(quotaBytes: 100 << 20, bufferBytes: seed % 2 == 0 ? 20 << 20 : 1)
        let packs = (0..<8).map { ServePack(20_000 + $0, seed: UInt64($0)) }
        let page = try PackListPage(packs: packs.map { $0.id })
        let done = ConditionLock(false)
        let sweeper = WorkerThread(name: "sweeper") {
            while !done.withLock({ $0 }) {
                do throws(VaultError) { _ = try world.service.sweep(world.friend.key.id, now: 0) } catch {
                    if error.code != .notFound { Issue.record("\(error)") }
                }
            }
        }
        inParallel(5) { index in
            var choices = Choices(seed: seed &* 100 &+ UInt64(index))
            let session = world.session()
            let record = world.friend.record(UInt64(index), [page])
            for _ in 0..<200 {
                switch try session.commit(record) {
                case .committed:
                    session.end()
                    return
                case .rejected(let reason):
                    Issue.record("\(reason)")
                    return
                case .missing(let missing, let pages):
                    if !pages.isEmpty { try session.put(page) }
                    for pack in packs.shuffled(using: &choices) where missing.contains(pack.id) {
                        var offset = 0
                        while offset < pack.bytes.count {
                            let end = min(offset + 7000, pack.bytes.count)
                            let stored = try session.stored(pack.put(offset), pack.bytes[offset..<end])
                            offset = stored.receivedBytes
                        }
                    }
                }
            }
            Issue.record("never committed")
        }
        done.withLock { $0 = true }
        sweeper?.join()
        let vault = try world.vault()
        #expect(try vault.snapshots().count == 5 && vault.scrub(readData: 1, seed: 0, repair: false).isWhole)
        #expect(world.service.promisedBytes == (0, 0))
        _ = try world.service.sweep(world.friend.key.id, now: 0)
        #expect(Int(try #require(world.service.usage(of: world.friend.key.id)).usedBytes) == world.fileBytes())
    }

    @Test("a session that ends while a request is answered keeps nothing, and its request is carried out or not at all")
    func endsInBetween() throws {
        for word in ["write", "sync", "rename"] {
            var world = ServeWorld()
            let barrier = Barrier()
            let hooked = HookedDisk(disk: world.disk, before: { barrier.pass($0) })
            world.service = world.rules.service(hooked, own: world.own.key.id)
            let (service, session) = (world.service, world.session())
            let packs = (0..<2).map { ServePack(50_000, seed: UInt64($0)) }
            try session.put(packs[0])
            #expect(session.ask(.reserve(Reserve(bytes: 100_000))).answer == .reserved(Reserved(bytes: 100_000)))
            _ = try session.stored(packs[1].put(0), packs[1].bytes[..<20_000])
            barrier.hold(at: word)
            let thread = WorkerThread(name: "answers") {
                let stored = try? session.stored(packs[1].put(20_000), packs[1].bytes[20_000...])
                #expect(stored?.isDurable == true)
            }
            barrier.waitUntilHeld()
            session.end()
            #expect(session.code(.vault) == .busy)
            barrier.letGo()
            thread?.join()
            #expect(service.promisedBytes == (0, 0) && service.freeBufferBytes == 20 << 20, "\(word)")
            #expect(try world.session().got(packs[1]) == packs[1].bytes)
        }
    }

    @Test("the next pack comes in while one goes to the disk")
    func twoAtOnce() throws {
        var world = ServeWorld()
        let barrier = Barrier()
        let hooked = HookedDisk(disk: world.disk, before: { barrier.pass($0) })
        world.service = world.rules.service(hooked, own: world.own.key.id)
        let session = world.session()
        let packs = (0..<2).map { ServePack(50_000, seed: UInt64($0)) }
        // The vault is there from then on: making it keeps everybody else out.
        try session.put(ServePack(1000, seed: 9))
        barrier.hold(at: "sync")
        let thread = WorkerThread(name: "stores") {
            let stored = try? session.stored(packs[0].put(0), packs[0].bytes[...])
            #expect(stored?.isDurable == true)
        }
        barrier.waitUntilHeld()
        #expect(try session.stored(packs[1].put(0), packs[1].bytes[..<20_000]).receivedBytes == 20_000)
        barrier.letGo()
        thread?.join()
        barrier.hold(at: "sync")
        let last = WorkerThread(name: "stores") {
            let stored = try? session.stored(packs[1].put(20_000), packs[1].bytes[20_000...])
            #expect(stored?.isDurable == true)
        }
        barrier.waitUntilHeld()
        session.end()
        #expect(session.code(.vault) == .busy)
        barrier.letGo()
        last?.join()
        #expect(world.service.promisedBytes == (0, 0) && world.service.freeBufferBytes == 20 << 20)
        for pack in packs { #expect(try world.session().got(pack) == pack.bytes) }
    }

    @Test("names are durable before any of those who wait for them goes on", arguments: 0..<6 as Range<UInt64>)
    func syncsTogether(_ seed: UInt64) throws {
        let disk = SimulatedDisk()
        let owner = ServeOwner()
        let barrier = Barrier()
        let vault = try Vault(
            disk: HookedDisk(disk: disk, before: { barrier.pass($0) }), directory: "/home/vault", owner: owner.key.id,
            create: true)
        let packs = (0..<4).map { ServePack(5000, seed: UInt64($0)) }
        for pack in packs { try pack.bytes.withUnsafeBytes { _ = try vault.store(pack: pack.id, bytes: $0) } }
        // One thread is at it; another, which finds nothing left to do, must not say that all is done.
        barrier.hold(at: "sync")
        let isDone = ConditionLock(0)
        let first = WorkerThread(name: "first") {
            try? vault.sync()
            isDone.withLock { $0 += 1 }
        }
        barrier.waitUntilHeld()
        let second = WorkerThread(name: "second") {
            try? vault.sync()
            isDone.withLock { $0 += 1 }
        }
        #expect(isDone.wait(milliseconds: 50) { $0 > 0 ? true : nil } == nil)
        barrier.letGo()
        first?.join()
        second?.join()
        disk.restart(seed: seed)
        let after = try Vault(disk: disk, directory: "/home/vault", owner: owner.key.id, create: false)
        for pack in packs { #expect(try after.contains(pack.id)) }
    }
}
