import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import TestSupport
import Testing
import Vault

/// The most that was seen on a disk at any of its operations.
private final class Peak: Sendable {
    private let bytes = ConditionLock(0)
    func see(_ now: Int) { bytes.withLock { $0 = max($0, now) } }
    var value: Int { bytes.withLock { $0 } }
}

@Suite("Quotas and reserves") struct ServeQuotaTests {
    /// A service over a disk that is looked at after each operation.
    private func watched(_ world: ServeWorld, _ peak: Peak, bufferBytes: Int) -> VaultService {
        let (disk, owner) = (world.disk, world.friend.key.id)
        let hooked = HookedDisk(disk: disk, after: { _ in peak.see(ServeWorld.fileBytes(disk, owner)) })
        return world.rules.service(hooked, own: world.own.key.id, bufferBytes: bufferBytes)
    }

    @Test(
        "whatever sessions do, an owner's files never exceed the quota by a byte, and what was acknowledged stays",
        arguments: 0..<12 as Range<UInt64>)
    func neverExceeded(_ seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let quota = Vault.reserveBytes + 60_000 + choices.below(400_000)
        var world = ServeWorld(quotaBytes: UInt64(quota))
        let peak = Peak()
        let bufferBytes = [1, 60_000, 20 << 20][choices.below(3)]
        world.service = watched(world, peak, bufferBytes: bufferBytes)
        let packs = (0..<24).map { ServePack(1 + choices.below($0 % 3 == 0 ? 4000 : 40_000), seed: seed &* 100 &+ UInt64($0)) }
        var sessions = (0..<3).map { _ in world.session() }
        var durable: Set<Int> = []
        var committed: [SnapshotID: [Int]] = [:]
        var received = [Int](repeating: 0, count: packs.count)
        var sequence: UInt64 = 0
        for step in 0..<150 {
            let place = choices.below(3)
            let session = sessions[place]
            switch choices.below(15) {
            case 0...6:
                let index = choices.below(packs.count)
                let pack = packs[index]
                let offset = choices.below(5) == 0 ? choices.below(pack.bytes.count) : received[index]
                let end = min(pack.bytes.count, offset + 1 + choices.below(30_000))
                let answer = session.ask(.put(pack.put(offset)), Array(pack.bytes[offset..<end])).answer
                if case .stored(let stored) = answer {
                    received[index] = stored.isDurable ? 0 : stored.receivedBytes
                    if stored.isDurable { durable.insert(index) }
                } else if case .failed(let failed) = answer {
                    #expect(failed.code == .noSpace, "seed \(seed), step \(step): \(failed)")
                }
            case 7, 8:
                let needs = durable.sorted().filter { _ in choices.below(2) == 0 }
                guard !needs.isEmpty else { break }
                let page = try PackListPage(packs: needs.map { packs[$0].id })
                sequence += 1
                let record = world.friend.record(sequence, [page])
                // Each of these may find the quota full.
                do {
                    try session.put(page)
                    if try session.commit(record) == .committed { committed[record.id] = needs }
                } catch let failure as ServeFailure {
                    guard case .failed(let failed) = failure.answer else { throw failure }
                    #expect(failed.code == .noSpace, "seed \(seed), step \(step): \(failed)")
                }
            case 9:
                guard let id = committed.keys.sorted().first else { break }
                if case .forgotten = session.ask(.forget, world.friend.forget([id])).answer { committed[id] = nil }
            case 10:
                world.rules.now += 60
                world.disk.now += 60
                _ = session.ask(.sweep)
                // What nothing references is not relied on any more.
                let needed = Set(committed.values.flatMap { $0 })
                durable.formIntersection(needed)
            case 11:
                session.end()
                sessions[place] = world.session()
            case 12: _ = session.ask(.reserve(Reserve(bytes: UInt64(choices.below(100_000)))))
            case 13:
                // What was removed before must not come back beside what took its place.
                world.disk.cutPower()
                for session in sessions { session.end() }
                world.disk.restart(seed: seed &* 1000 &+ UInt64(step))
                peak.see(world.fileBytes())
                #expect(peak.value <= quota, "seed \(seed), step \(step): after a power cut")
                received = received.map { _ in 0 }
                world.service = watched(world, peak, bufferBytes: bufferBytes)
                sessions = (0..<3).map { _ in world.session() }
            default:
                for session in sessions { session.end() }
                #expect(world.service.promisedBytes == (0, 0), "seed \(seed), step \(step)")
                world.service = watched(world, peak, bufferBytes: bufferBytes)
                sessions = (0..<3).map { _ in world.session() }
            }
            #expect(peak.value <= quota, "seed \(seed), step \(step)")
            let used = Int(sessions[0].vaultState?.usedBytes ?? 0)
            #expect(used == world.fileBytes(), "seed \(seed), step \(step)")
        }
        for index in durable { #expect(try sessions[1].got(packs[index]) == packs[index].bytes, "seed \(seed)") }
        let vault = try? world.vault()
        #expect(try Set(vault?.snapshots() ?? []) == Set(committed.keys), "seed \(seed)")
        #expect(try vault?.scrub(readData: 1, seed: 0, repair: false).isWhole != false, "seed \(seed)")
        #expect(try vault?.scrub(readData: 1, seed: 0, repair: false).strangers.isEmpty != false)
        for session in sessions { session.end() }
        #expect(world.service.promisedBytes == (0, 0) && world.service.freeBufferBytes == bufferBytes)
    }

    @Test("a quota is used to its last byte, and what does not fit is refused before a byte of it is written")
    func toTheByte() throws {
        let pack = ServePack(100_000, seed: 1)
        let needed = Vault.reserveBytes + ProtectedFile.fileBytes(contentBytes: 100_000)
        let world = ServeWorld(quotaBytes: UInt64(needed - 1))
        let session = world.session()
        let before = world.disk.operations
        #expect(session.code(.put(pack.put(0)), Array(pack.bytes[..<10])) == .noSpace)
        let root = RawPath("/home/vault").appending(world.friend.key.id.hex)
        #expect(world.disk.files(under: root.appending("incoming")).isEmpty && world.disk.operations > before)
        world.setQuota(UInt64(needed))
        try session.put(pack, partBytes: 30_000)
        #expect(world.fileBytes() == needed)
        #expect(session.code(.put(ServePack(1, seed: 2).put(0)), [1]) == .noSpace)
        // A repeat needs no room.
        #expect(try world.session().stored(pack.put(0), pack.bytes).isDurable)
        world.setQuota(10)
        #expect(session.code(.put(ServePack(1, seed: 2).put(0)), [1]) == .noSpace)
        #expect(try session.got(pack) == pack.bytes)
    }

    @Test("what one session reserves no other takes, until it ends")
    func reservations() throws {
        let packBytes = ProtectedFile.fileBytes(contentBytes: 50_000)
        let world = ServeWorld(quotaBytes: UInt64(Vault.reserveBytes + 2 * packBytes))
        let (a, b) = (world.session(), world.session())
        let packs = (0..<3).map { ServePack(50_000, seed: UInt64($0)) }
        #expect(a.ask(.reserve(Reserve(bytes: .max))).answer == .reserved(Reserved(bytes: UInt64(2 * packBytes))))
        #expect(b.ask(.reserve(Reserve(bytes: 5))).answer == .reserved(Reserved(bytes: 0)))
        #expect(b.code(.put(packs[0].put(0)), packs[0].bytes) == .noSpace)
        try a.put(packs[1])
        #expect(a.ask(.reserve(Reserve(bytes: 10))).answer == .reserved(Reserved(bytes: 10)))
        #expect(b.code(.put(packs[0].put(0)), packs[0].bytes) == .noSpace)
        #expect(a.ask(.reserve(Reserve(bytes: 0))).answer == .reserved(Reserved(bytes: 0)))
        #expect(a.ask(.reserve(Reserve(bytes: UInt64(packBytes)))).answer == .reserved(Reserved(bytes: UInt64(packBytes))))
        a.end()
        try b.put(packs[0])
        #expect(b.code(.put(packs[2].put(0)), packs[2].bytes) == .noSpace)
        #expect(world.service.promisedBytes == (0, 0))
    }

    @Test("the disk keeps its reserve, whoever's quota would allow more")
    func reserveOfTheDisk() throws {
        let world = ServeWorld(quotaBytes: 1 << 30)
        world.disk.faults.capacityBytes = 1 << 20
        world.rules.set { $0.reserveBytes = 300_000 }
        let session = world.session()
        let ownSession = world.ownSession()
        var stored = 0
        for seed in 0..<40 as Range<UInt64> {
            let pack = ServePack(40_000, seed: seed)
            let code = (seed % 2 == 0 ? session : ownSession).code(.put(pack.put(0)), pack.bytes)
            #expect(code == nil || code == .noSpace)
            if code == nil { stored += 1 }
            #expect(try world.disk.freeBytes("/") >= 300_000)
        }
        #expect(stored >= 10)
        let answer = session.ask(.reserve(Reserve(bytes: .max))).answer
        #expect(answer == .reserved(Reserved(bytes: UInt64(try world.disk.freeBytes("/") - 300_000))))
        #expect(ownSession.code(.put(ServePack(10, seed: 99).put(0)), ServePack(10, seed: 99).bytes) == .noSpace)
    }
}
