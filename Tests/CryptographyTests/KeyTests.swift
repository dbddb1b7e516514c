import BackupFormat
import Cryptography
import TestSupport
import Testing

/// The values were computed with Python's BLAKE2b and libsodium, without the project's code.
@Suite("Keys")
struct KeyTests {
    private func seed() throws -> Bytes32 { try #require(Bytes32(bytes: Array(0..<32))) }

    @Test("secrets that stand side by side stay apart, and what one was is zero before another has its place")
    func secretMemory() throws {
        func filled(_ byte: UInt8) -> SecretBytes {
            SecretBytes(count: 64) { buffer in
                // Never used, or zeroed when it was given back.
                #expect(buffer.allSatisfy { $0 == 0 })
                buffer.initializeMemory(as: UInt8.self, repeating: byte)
            }
        }
        for _ in 0..<3 {
            let a = filled(1)
            let b = filled(2)
            let c = filled(3)
            #expect(a.withBytes { $0.allSatisfy { $0 == 1 } } && b.withBytes { $0.allSatisfy { $0 == 2 } })
            #expect(c.withBytes { $0.allSatisfy { $0 == 3 } } && c.count == 64)
        }
        // One that is longer has memory of its own.
        let long = SecretBytes(count: 1000) { $0.initializeMemory(as: UInt8.self, repeating: 9) }
        #expect(long.withBytes { $0.count == 1000 && $0.allSatisfy { $0 == 9 } })
    }

    @Test("derives the owner's keys as the format gives them")
    func ownerVector() throws {
        let keys = OwnerKey(seed: try seed()).publisherKeys
        #expect(keys.owner.hex == "c64c3d840d193472163b867436e289e39c022c9af6a289c0b623afbaf0ef9c5a")
        #expect(keys.sealingPublicKey.hex == "bda3f3cfff800c7b6af98f478cfcd8f92e5ed9c90e87e99fcc0fe475e8ac7f37")
        #expect(keys.dedupSecret.hex == "cf1fbfb0947a70f29e8746099a44bf0ffa3a7c68cc8dd680aad639fbea9cbce8")
        #expect(keys.footerKey.hex == "475bfb24eb46889b9aaac395ee8d9b957fe23e2ff0730da94eb2591ae94c139b")
    }

    @Test("derives a node's keys as the format gives them")
    func nodeVector() throws {
        let node = NodeKey(seed: try seed())
        #expect(node.id.hex == "c189c6ed0464a4a9052e258fd552b9c391be192ad69132237f34d4dd783d77bb")
        #expect(node.agreementPublicKey.hex == "0e58e27c6d2b0fc59e14fb55c8ee5e119fa6ccdff7c1c74e468e5b0950a96b1c")
        #expect(node.seedBytes == (try seed()))
    }

    @Test("derives secrets and the gear table from the dedup secret as the format gives them")
    func derivationVector() throws {
        let keys = OwnerKey(seed: try seed()).publisherKeys
        #expect(keys.derive(domain: "test").hex == "4a7834de775d5eea870519d66ece453f99ea6bbe671442b9ab91745f9b381b4b")
        #expect(keys.derive(domain: "test") != keys.derive(domain: "test2"))
        let table = keys.gearTable()
        #expect(table.count == 256)
        #expect(table.first == 0x7308_e0ba_f013_5ab0 && table.last == 0xe5a7_1658_0078_8940)
        let bytes = table.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64($0 * 8)) } }
        #expect(sha256(bytes).hex == "0062752ba093f5210bef3a9c9d4823d285f2c87997342226a4216ec692f57d43")
    }

    @Test("generates another owner and node each time")
    func generation() {
        #expect(Set((0..<20).map { _ in OwnerKey.generate().id }).count == 20)
        #expect(Set((0..<20).map { _ in NodeKey.generate().id }).count == 20)
    }

    @Test("opens with the owner key alone what a device sealed, and nothing altered or another's")
    func sealing() throws {
        var choices = Choices(seed: 4)
        let owner = OwnerKey.generate()
        for count in [0, 1, 200] {
            let plain = choices.bytes(count)
            let sealed = try owner.publisherKeys.seal(plain)
            #expect(sealed.count == count + 48)
            #expect(try owner.open(sealed) == plain)
            #expect(throws: CryptographyError.self) { try OwnerKey.generate().open(sealed) }
            for index in sealed.indices {
                var altered = sealed
                altered[index] ^= 1
                #expect(throws: CryptographyError.self) { try owner.open(altered) }
                #expect(throws: CryptographyError.self) { try owner.open(Array(sealed.prefix(index))) }
            }
        }
    }

    @Test("refuses to seal to a public key that yields no secret")
    func weakPublicKey() throws {
        let keys = PublisherKeys(owner: OwnerID(.zero), sealingPublicKey: .zero, dedupSecret: .zero, footerKey: .zero)
        #expect(throws: CryptographyError.self) { try keys.seal([1, 2, 3]) }
    }
}
