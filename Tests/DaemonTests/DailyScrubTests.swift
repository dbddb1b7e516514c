import BackupFormat
import Daemon
import HostFiles
import Ledger
import PeerProtocol
import TestSupport
import Testing

@Suite("The daily scrub") struct DailyScrubTests {
    @Test("within thirty days every pack is read: parity mends what has decayed, and what is beyond that comes back from a peer")
    func decay() throws {
        let world = try SimulatedHome()
        var choices = Choices(seed: 5)
        try world.backUp(choices.bytes(3_000_000))
        let lines = ConditionLock<[String]>([])
        let core = try world.core { line in lines.withLock { $0.append(line) } }
        let packs = world.disk.files(under: RawPath("/home/vault/\(world.owner.id.hex)/packs"))
        let large = try #require(packs.max { $0.bytes.count < $1.bytes.count })
        func content() -> [UInt8]? { world.disk.files(under: large.path).first?.bytes }
        /// Every share, once; what was said meanwhile.
        func scrub() -> [String] {
            lines.withLock { $0 = [] }
            for share in 0..<DailyScrub.shares { #expect(DailyScrub(core).run(share: share) { _ in }.isComplete) }
            return lines.withLock { $0 }
        }
        #expect(scrub() == [])
        world.disk.damage(large.path) { $0[1_000_000] ^= 1 }
        #expect(scrub() == ["1 pack had decayed on this node's disk, and was mended from parity"])
        #expect(content() == large.bytes)
        world.disk.damage(large.path) { bytes in for index in 0..<2_000_000 { bytes[index] ^= 1 } }
        let alone = scrub()
        #expect(alone.contains { $0.hasPrefix("1 pack decayed on this node's disk beyond repair") }, "\(alone)")
        // A second time it is known already, and is looked at each day.
        #expect(scrub().count == DailyScrub.shares)
        core.finish()
    }

    @Test("shares follow each other, one a day, and what is beyond repair is remembered when the node starts anew")
    func remembered() throws {
        let world = try SimulatedHome()
        var choices = Choices(seed: 7)
        try world.backUp(choices.bytes(3_000_000))
        let packs = world.disk.files(under: RawPath("/home/vault/\(world.owner.id.hex)/packs"))
        let large = try #require(packs.max { $0.bytes.count < $1.bytes.count })
        world.disk.damage(large.path) { bytes in for index in bytes.indices { bytes[index] ^= 1 } }
        func marker() -> [UInt8]? { world.disk.files(under: "/home/ledger/scrubbed").first?.bytes }
        let now = currentTime() / 1_000_000_000
        for day in 0..<DailyScrub.shares {
            world.disk.now = now - 86_400 - 60
            let core = try world.core()
            DailyScrub(core).runIfDue()
            #expect(marker()?.first == UInt8((day + 1) % DailyScrub.shares))
            core.finish()
        }
        let id = try #require(PackID(hex: String(decoding: large.path.bytes.suffix(64), as: UTF8.self)))
        #expect(KnownLosses.read(world.disk, directory: "/home/ledger").packs == [id: .damaged])
        // Each start looks at it, whatever the share; on the same day, nothing is looked at.
        world.disk.now = now
        let lines = ConditionLock<[String]>([])
        let core = try world.core { line in lines.withLock { $0.append(line) } }
        DailyScrub(core).runIfDue()
        DailyScrub(core).runIfDue()
        #expect(lines.withLock { $0.count } == 1)
        core.finish()
    }

    @Test("what a scrub has found beyond repair is stored again by the next backup")
    func storedAgain() throws {
        let world = try SimulatedHome()
        var choices = Choices(seed: 8)
        let content = choices.bytes(3_000_000)
        try world.backUp(content)
        let packs = world.disk.files(under: RawPath("/home/vault/\(world.owner.id.hex)/packs"))
        let large = try #require(packs.max { $0.bytes.count < $1.bytes.count })
        #expect(try world.backUp(content).newBytes < 100_000)
        world.disk.damage(large.path) { bytes in for index in bytes.indices { bytes[index] ^= 1 } }
        // Nobody knows.
        #expect(try world.backUp(content).newBytes < 100_000)
        let id = try #require(PackID(hex: String(decoding: large.path.bytes.suffix(64), as: UTF8.self)))
        let core = try world.core()
        world.disk.now = currentTime() / 1_000_000_000
        // It is the turn of the share that it is in.
        world.disk.now -= 2 * 86_400
        try world.disk.replaceFile("/home/ledger/scrubbed", with: [UInt8(id.value.words.0 % UInt64(DailyScrub.shares))])
        DailyScrub(core).runIfDue()
        core.finish()
        #expect(KnownLosses.read(world.disk, directory: "/home/ledger").packs == [id: .damaged])
        #expect(try world.backUp(content).newBytes >= 3_000_000)
        #expect(try world.backUp(content).newBytes < 100_000)
    }

    @Test("a pack that is beyond repair comes back from a peer that has proven it")
    func fromPeer() throws {
        let world = try SimulatedHome()
        let this = try #require(world.keys.identity.certificate)
        var choices = Choices(seed: 6)
        try world.backUp(choices.bytes(3_000_000))
        let lines = ConditionLock<[String]>([])
        let core = try world.core { line in lines.withLock { $0.append(line) } }
        let service = KeepingPeer.service(of: world.owner.id)
        let (peer, session) = KeepingPeer.begin(world.device("d"), service, core, asker: this)
        #expect(peer.waits { $0.audits > 0 })
        let packs = world.disk.files(under: RawPath("/home/vault/\(world.owner.id.hex)/packs"))
        let large = try #require(packs.max { $0.bytes.count < $1.bytes.count })
        world.disk.damage(large.path) { bytes in for index in bytes.indices { bytes[index] ^= 1 } }
        for share in 0..<DailyScrub.shares { #expect(DailyScrub(core).run(share: share) { _ in }.isComplete) }
        let said = lines.withLock { $0 }
        #expect(said.contains("1 pack had decayed on this node's disk beyond repair, and came back from peers"), "\(said)")
        #expect(world.disk.files(under: large.path).first?.bytes == large.bytes)
        core.stop()
        session.end(PeerProtocolError(.disconnected, "the test is over"))
        core.finish()
    }
}
