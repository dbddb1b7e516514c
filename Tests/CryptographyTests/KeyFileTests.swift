import BackupFormat
import Cryptography
import Testing

@Suite("Key files")
struct KeyFileTests {
    @Test("reads back what it wrote")
    func roundTrip() throws {
        let owner = OwnerKey.generate()
        #expect(try OwnerKey(decoding: owner.encode()).seedBytes == owner.seedBytes)
        let keys = try PublisherKeys(decoding: owner.publisherKeys.encode())
        #expect(keys.owner == owner.id && keys.sealingPublicKey == owner.publisherKeys.sealingPublicKey)
        #expect(keys.dedupSecret == owner.publisherKeys.dedupSecret && keys.footerKey == owner.publisherKeys.footerKey)
        let node = NodeKey.generate()
        for certificate in [nil, owner.certify(node, name: "box", permissions: .all, serial: 3)] {
            let identity = try NodeIdentity(decoding: NodeIdentity(key: node, certificate: certificate).encode())
            #expect(identity.key.id == node.id && identity.certificate == certificate)
        }
    }

    @Test("refuses contents with any one bit changed, cut short, longer, or of another kind")
    func tampering() throws {
        let owner = OwnerKey.generate()
        let node = NodeKey.generate()
        let identity = NodeIdentity(key: node, certificate: owner.certify(node, name: "", permissions: .backup, serial: 1))
        let readers: [([UInt8]) throws -> Void] = [
            { _ = try OwnerKey(decoding: $0) }, { _ = try PublisherKeys(decoding: $0) }, { _ = try NodeIdentity(decoding: $0) },
        ]
        for (kind, bytes) in [owner.encode(), owner.publisherKeys.encode(), identity.encode()].enumerated() {
            try readers[kind](bytes)
            for index in bytes.indices {
                for bit in 0..<8 as Range<UInt8> {
                    var altered = bytes
                    altered[index] ^= 1 << bit
                    #expect(throws: FormatError.self) { try readers[kind](altered) }
                }
                #expect(throws: FormatError.self) { try readers[kind](Array(bytes.prefix(index))) }
            }
            #expect(throws: FormatError.self) { try readers[kind](bytes + [0]) }
            for other in readers.indices where other != kind {
                #expect(throws: FormatError.self) { try readers[other](bytes) }
            }
        }
    }

    @Test("refuses a node key with another node's certificate")
    func othersCertificate() {
        let certificate = OwnerKey.generate().certify(.generate(), name: "", permissions: .backup, serial: 1)
        let contents = NodeIdentity(key: .generate(), certificate: certificate).encode()
        #expect(throws: FormatError(.inconsistent, "node key")) { try NodeIdentity(decoding: contents) }
    }
}
