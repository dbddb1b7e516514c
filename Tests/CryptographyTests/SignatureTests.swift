import BackupFormat
import Cryptography
import TestSupport
import Testing

@Suite("Certificates, snapshot records and forget orders")
struct SignatureTests {
    private let owner = OwnerKey.generate()
    private let node = NodeKey.generate()

    private func record(_ permissions: Permissions = .backup, revision: UInt64 = 0) -> SnapshotRecord {
        var choices = Choices(seed: 5)
        var record = SnapshotRecord(
            owner: owner.id, device: node.id, sequence: 7, sealed: choices.bytes(60), revision: revision,
            pages: (0..<3).map { SnapshotRecord.Page(id: PageID(choices.bytes32()), packCount: $0 + 510) },
            certificate: owner.certify(node, name: "läptop", permissions: permissions, serial: 1))
        signSnapshot(&record, with: node)
        return record
    }

    private func verify(_ bytes: [UInt8]) throws {
        try verifySnapshot(bytes.withUnsafeBytes { try SnapshotRecord(decoding: $0) }, owner: owner.id)
    }

    @Test("accepts a record that its own device signed, and decodes it to what it was")
    func accepts() throws {
        let record = record()
        try verifySnapshot(record, owner: owner.id)
        let decoded = try record.encode().withUnsafeBytes { try SnapshotRecord(decoding: $0) }
        #expect(decoded == record)
        #expect(decoded.id == record.id)
        #expect(record.packCount == 1533)
    }

    @Test("refuses a record with any one byte changed, missing or added")
    func tampering() throws {
        let bytes = record().encode()
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var altered = bytes
                altered[index] ^= 1 << bit
                #expect(throws: (any Error).self, "byte \(index), bit \(bit)") { try verify(altered) }
            }
            #expect(throws: FormatError.self) { try verify(Array(bytes.prefix(index))) }
        }
        #expect(throws: FormatError.self) { try verify(bytes + [0]) }
    }

    @Test("refuses a record of another owner, of a device without permission, and of a device that did not make it")
    func authority() throws {
        #expect(throws: CryptographyError(.mismatched, "accept a snapshot")) {
            try verifySnapshot(record(), owner: OwnerKey.generate().id)
        }
        #expect(throws: CryptographyError(.notPermitted, "accept a snapshot")) {
            try verifySnapshot(record([.restore, .forget]), owner: owner.id)
        }
        let other = NodeKey.generate()
        var stolen = record()
        stolen.certificate = owner.certify(other, name: "", permissions: .all, serial: 2)
        signSnapshot(&stolen, with: other)
        #expect(throws: CryptographyError(.mismatched, "accept a snapshot")) {
            try verifySnapshot(stolen, owner: owner.id)
        }
        var forged = record()
        forged.certificate = OwnerKey.generate().certify(node, name: "", permissions: .all, serial: 2)
        forged.certificate.owner = owner.id
        #expect(throws: CryptographyError(.notAuthentic, "accept a snapshot")) {
            try verifySnapshot(forged, owner: owner.id)
        }
    }

    @Test("lets only a device that may forget give a snapshot a new pack list; the id stays")
    func rewriting() throws {
        #expect(throws: CryptographyError(.notPermitted, "accept a snapshot")) {
            try verifySnapshot(record(.backup, revision: 1), owner: owner.id)
        }
        let other = NodeKey.generate()
        var rewritten = record()
        rewritten.revision = 1
        rewritten.pages.removeLast()
        rewritten.certificate = owner.certify(other, name: "nas", permissions: .forget, serial: 2)
        signSnapshot(&rewritten, with: other)
        try verifySnapshot(rewritten, owner: owner.id)
        #expect(rewritten.id == record().id)
    }

    @Test("accepts an order to forget only from a device that may, and only unaltered")
    func forgetting() throws {
        var choices = Choices(seed: 6)
        let snapshots = (0..<3).map { _ in SnapshotID(choices.bytes32()) }
        let certificate = owner.certify(node, name: "desk", permissions: .forget, serial: 1)
        let order = signForget(snapshots + snapshots, certificate: certificate, with: node)
        #expect(order.snapshots == snapshots.sorted())
        try verifyForget(order, owner: owner.id)
        let bytes = order.encode()
        #expect(try bytes.withUnsafeBytes { try ForgetOrder(decoding: $0) } == order)
        for index in bytes.indices {
            var altered = bytes
            altered[index] ^= 1 << UInt8(choices.below(8))
            #expect(throws: (any Error).self, "byte \(index)") {
                try verifyForget(altered.withUnsafeBytes { try ForgetOrder(decoding: $0) }, owner: owner.id)
            }
        }
        let writeOnly = owner.certify(node, name: "desk", permissions: .backup, serial: 1)
        #expect(throws: CryptographyError(.notPermitted, "forget snapshots")) {
            try verifyForget(signForget(snapshots, certificate: writeOnly, with: node), owner: owner.id)
        }
    }

    @Test("refuses a certificate with any one bit changed or another owner's")
    func certificates() throws {
        let certificate = owner.certify(node, name: String(repeating: "ü", count: 200), permissions: .all, serial: .max)
        #expect(certificate.name.utf8.count == 254)
        try verifyCertificate(certificate, owner: owner.id, permission: [.backup, .forget])
        let bytes = certificate.encode()
        #expect(bytes.count <= Limits.certificateBytesMax)
        #expect(try bytes.withUnsafeBytes { try Certificate(decoding: $0) } == certificate)
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var altered = bytes
                altered[index] ^= 1 << bit
                #expect(throws: (any Error).self) {
                    try verifyCertificate(altered.withUnsafeBytes { try Certificate(decoding: $0) }, owner: owner.id)
                }
            }
            #expect(throws: FormatError.self) { try bytes.prefix(index).withUnsafeBytes { try Certificate(decoding: $0) } }
        }
        #expect(throws: CryptographyError(.mismatched, "accept a certificate")) {
            try verifyCertificate(certificate, owner: OwnerKey.generate().id)
        }
    }

    @Test("names a page by the hash of its bytes")
    func pages() throws {
        let page = try PackListPage(packs: [PackID(.zero)])
        #expect(page.id.value == sha256(page.encode()))
    }
}
