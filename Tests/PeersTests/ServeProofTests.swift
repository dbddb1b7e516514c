import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import TestSupport
import Testing

extension ServeWorld {
    func damage(_ pack: ServePack, beyondRepair: Bool) {
        damage(pack) { bytes in
            if beyondRepair {
                for index in bytes.indices { bytes[index] ^= 0x55 }
            } else {
                bytes[bytes.count / 2] ^= 1
            }
        }
    }

    func damage(_ pack: ServePack, by change: (inout [UInt8]) -> Void) {
        let path = RawPath("/home/vault/\(friend.key.id.hex)/packs/\(pack.id.hex.prefix(2))/\(pack.id.hex)")
        disk.damage(path, change)
    }
}

@Suite("Vaults that prove what they keep") struct ServeProofTests {
    @Test("an audit proves what is whole, and nothing else")
    func audits() throws {
        let world = ServeWorld()
        let session = world.session()
        let packs = [1, 4096, 4097, 1_100_000, 2 << 20].enumerated().map { ServePack($1, seed: UInt64($0)) }
        let missing = ServePack(10, seed: 99)
        var choices = Choices(seed: 3)
        #expect(session.ask(.audit(Audit(seed: .zero, packs: [missing.id]))).bulk == AuditSample.missing)
        for pack in packs { try session.put(pack) }
        for round in 0..<6 {
            let audit = Audit(seed: choices.bytes32(), packs: [missing.id] + packs.map { $0.id })
            let verdicts = try audit.verdicts(of: session.ask(.audit(audit)).bulk)
            #expect(verdicts == [.missing] + packs.map { _ in .proven }, "round \(round)")
        }
        world.damage(packs[3], beyondRepair: true)
        world.damage(packs[4], beyondRepair: false)
        let audit = Audit(seed: choices.bytes32(), packs: packs.map { $0.id })
        #expect(
            try audit.verdicts(of: session.ask(.audit(audit)).bulk) == [.proven, .proven, .proven, .missing, .proven])
    }

    @Test("of a pack that has just come, the first question reads a piece, and the next one all of it")
    func firstAudit() throws {
        let world = ServeWorld()
        let session = world.session()
        let pack = ServePack(5 << 20, seed: 1)
        var choices = Choices(seed: 4)
        /// What an audit that asks for a leaf in this MiB of the pack shows.
        func verdict(_ piece: Int) throws -> Audit.Verdict {
            while true {
                let audit = Audit(seed: choices.bytes32(), packs: [pack.id])
                guard audit.leaf(of: pack.id, leafCount: 5 * 256) / 256 == piece else { continue }
                return try #require(try audit.verdicts(of: session.ask(.audit(audit)).bulk).first)
            }
        }
        /// More than parity mends, in the first MiB and no other.
        func damageFirst() {
            world.damage(pack) { bytes in for index in 0..<(1 << 20) { bytes[index] ^= 0x55 } }
        }
        try session.put(pack)
        damageFirst()
        #expect(try verdict(3) == .proven)
        #expect(try verdict(3) == .missing)
        // It is taken anew, and is new again.
        try session.put(pack)
        #expect(try verdict(0) == .proven)
        #expect(try verdict(0) == .proven)
        try session.put(ServePack(5 << 20, seed: 2))
        damageFirst()
        #expect(try verdict(4) == .missing)
        try session.put(pack)
        damageFirst()
        #expect(try verdict(0) == .missing)
    }

    @Test("a scrub mends what parity can, and what it cannot counts as missing until it is put again")
    func scrub() throws {
        let world = ServeWorld()
        let session = world.session()
        let packs = (0..<3).map { ServePack(1_500_000, seed: UInt64($0)) }
        for pack in packs { try session.put(pack) }
        let owner = world.friend.key.id
        func scrub(_ chosen: (PackID) -> Bool = { _ in true }) -> ScrubFindings {
            world.service.scrub(owner, chosen: chosen) { _ in true }
        }
        func missing() -> [ObjectID] {
            guard case .missing(let found) = session.ask(.have(Have(kind: .pack, ids: packs.map(\.object)))).answer else {
                return []
            }
            return found.ids
        }
        #expect(scrub().read == 3 && scrub { $0 == packs[0].id }.read == 1)
        world.damage(packs[1], beyondRepair: true)
        world.damage(packs[2], beyondRepair: false)
        var found = scrub { $0 == packs[0].id }
        #expect(found.mended == 0 && found.beyondRepair == [])
        found = scrub()
        #expect(found.mended == 1 && found.beyondRepair == [packs[1].id] && found.isComplete)
        #expect(missing() == [packs[1].object])
        // It stays known, also where others are chosen.
        #expect(scrub { $0 == packs[0].id }.beyondRepair == [packs[1].id])
        let again = world.session()
        try again.put(packs[1])
        #expect(missing() == [])
        found = scrub()
        #expect(found.mended == 0 && found.beyondRepair == [])
        #expect(!world.service.scrub(owner, chosen: { _ in true }, goesOn: { _ in false }).isComplete)
    }
}
