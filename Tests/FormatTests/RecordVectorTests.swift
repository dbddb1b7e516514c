import BackupFormat
import Chunking
import Cryptography
import FuzzTargets
import Testing

/// Bytes that an independent program computed, and the same values here: equal in both directions.
@Suite("Vectors: keys, packs and records")
struct RecordVectorTests {
    private let certificate = owner.certify(node, name: "läptop", permissions: .all, serial: 1)

    private func decode<Value>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try bytes.withUnsafeBytes { try body($0) }
    }

    @Test("every key, and a chunk's key and id, come from the seeds as the format says")
    func keyDerivation() throws {
        let publisher = owner.publisherKeys
        let cipher = publisher.chunkCipher()
        let chunkKey = Array("some plaintext".utf8).withUnsafeBytes { cipher.key(of: $0) }
        let gear = publisher.gearTable().flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } }
        let found: [(String, [UInt8])] = [
            ("owner", owner.id.value.bytes), ("sealing-public-key", publisher.sealingPublicKey.bytes),
            ("dedup-secret", publisher.dedupSecret.bytes), ("footer-key", publisher.footerKey.bytes),
            ("device", node.id.value.bytes), ("agreement-public-key", node.agreementPublicKey.bytes), ("gear-table", gear),
            ("chunk-key", chunkKey.value.bytes), ("chunk-id", cipher.id(of: chunkKey).value.bytes),
        ]
        let vectors = try Vectors.read("keys")
        #expect(found.map(\.0) == vectors.map(\.name))
        for ((name, bytes), right) in zip(found, vectors) { #expect(bytes == right.bytes, "\(name)") }
    }

    @Test("key files hold what their vectors hold")
    func keyFiles() throws {
        #expect(try OwnerKey(decoding: vector("key-files", "owner")).seedBytes == owner.seedBytes)
        #expect(owner.encode() == (try vector("key-files", "owner")))
        let publisher = try PublisherKeys(decoding: vector("key-files", "publisher"))
        #expect(publisher.owner == owner.id && publisher.dedupSecret == owner.publisherKeys.dedupSecret)
        #expect(publisher.footerKey == owner.publisherKeys.footerKey)
        #expect(owner.publisherKeys.encode() == (try vector("key-files", "publisher")))
        for (name, certificate) in [("node", certificate), ("node-without-certificate", nil)] as [(String, Certificate?)] {
            let identity = try NodeIdentity(decoding: vector("key-files", name))
            #expect(identity.key.id == node.id && identity.certificate == certificate)
            #expect(NodeIdentity(key: node, certificate: certificate).encode() == (try vector("key-files", name)))
        }
    }

    @Test("certificates are signed and encoded as their vectors are")
    func certificates() throws {
        let all: [(String, Certificate)] = [
            ("all-permissions", certificate),
            ("write-only", owner.certify(node, name: "", permissions: .backup, serial: .max)),
            ("longest-name", owner.certify(node, name: String(repeating: "n", count: 255), permissions: [], serial: 0)),
        ]
        #expect(try Vectors.read("certificates").map(\.name) == all.map(\.0))
        for (name, certificate) in all {
            let bytes = try vector("certificates", name)
            #expect(certificate.encode() == bytes, "\(name)")
            #expect(try decode(bytes) { try Certificate(decoding: $0) } == certificate)
            try verifyCertificate(certificate, owner: owner.id)
        }
    }

    @Test("pack list pages, and their ids")
    func pages() throws {
        for (name, numbers) in [("three", 10...12), ("full", 1000...1511)] as [(String, ClosedRange<UInt32>)] {
            let page = try PackListPage(packs: numbers.map { PackID(identifier($0)) })
            let bytes = try vector("pack-lists", name)
            #expect(page.encode() == bytes)
            #expect(try decode(bytes) { try PackListPage(decoding: $0) } == page)
            #expect(page.id.value.bytes == (try vector("pack-lists", name + "-id")))
        }
    }

    private func contents() -> SnapshotContents {
        typealias Name = SnapshotContents.OwnerName
        return SnapshotContents(
            root: keys(0, 20, 21), host: "höst", time: 1_700_000_000_123_456_789,
            paths: ["/home", RawPath(bytes: Array("/srv/".utf8) + [0xff])], tags: ["weekly", "ä"], files: 3_065_438,
            directories: 400_000, bytes: 545_000_000_000,
            users: [
                Name(number: 0, name: Array("root".utf8)), Name(number: 1000, name: Array("alice".utf8)),
                Name(number: .max, name: []),
            ],
            groups: [Name(number: 0, name: Array("root".utf8)), Name(number: 100, name: Array("users".utf8))], problemCount: 2,
            problems: keys(0, 22))
    }

    @Test("a snapshot's contents, sealed by another program, open and encode to the same bytes")
    func snapshotContents() throws {
        let bytes = try vector("snapshots", "contents")
        #expect(contents().encode() == bytes)
        #expect(try decode(bytes) { try SnapshotContents(decoding: $0) } == contents())
        #expect(try owner.open(vector("snapshots", "sealed-contents")) == bytes)
        let least = SnapshotContents(
            root: .empty, host: "", time: -1, paths: [], tags: [], files: 0, directories: 0, bytes: 0, users: [], groups: [],
            problemCount: 0, problems: .empty)
        #expect(least.encode() == (try vector("snapshots", "least-contents")))
        #expect(try decode(least.encode()) { try SnapshotContents(decoding: $0) } == least)
    }

    @Test("snapshot records are signed, named and encoded as their vectors are; a new pack list keeps the id")
    func snapshotRecords() throws {
        func page(_ name: String, _ count: Int) throws -> SnapshotRecord.Page {
            SnapshotRecord.Page(
                id: PageID(try #require(Bytes32(bytes: try vector("pack-lists", name + "-id")))), packCount: count)
        }
        let sealed = try vector("snapshots", "sealed-contents")
        for (name, revision, pages) in [
            ("record", 0, [try page("full", 512), try page("three", 3)]), ("rewritten-record", 2, [try page("three", 3)]),
        ] as [(String, UInt64, [SnapshotRecord.Page])] {
            var record = SnapshotRecord(
                owner: owner.id, device: node.id, sequence: 7, sealed: sealed, revision: revision, pages: pages,
                certificate: certificate)
            signSnapshot(&record, with: node)
            let bytes = try vector("snapshots", name)
            #expect(record.encode() == bytes, "\(name)")
            #expect(try decode(bytes) { try SnapshotRecord(decoding: $0) } == record)
            #expect(record.id.value.bytes == (try vector("snapshots", "id")))
            try verifySnapshot(record, owner: owner.id)
        }
        let empty = try decode(try vector("snapshots", "record-without-packs")) { try SnapshotRecord(decoding: $0) }
        try verifySnapshot(empty, owner: owner.id)
        #expect(empty.sequence == .max && empty.pages.isEmpty)
    }

    @Test("an order to forget")
    func forgetOrders() throws {
        let bytes = try vector("forget-orders", "three")
        let order = try decode(bytes) { try ForgetOrder(decoding: $0) }
        #expect(order.encode() == bytes)
        #expect(order.nonce.bytes == pattern(32, 12) && order.certificate == certificate)
        #expect(order.snapshots == (30...32).map { SnapshotID(identifier($0)) }.sorted())
        try verifyForget(order, owner: owner.id)
    }

    @Test("packs that another program sealed: each chunk opens to its plaintext", arguments: ["data", "tree", "empty"])
    func packs(name: String) throws {
        let plains = [Array("some plaintext".utf8), [UInt8](repeating: 0, count: 300), pattern(5000, 5)]
        let bytes = try vector("packs", name)
        let kind = try decode(bytes) { try PackFrame.kind(ofHeader: $0) }
        #expect(kind == (name == "tree" ? .tree : .data))
        let trailer = Array(bytes.suffix(PackFrame.trailerBytes))
        let footerBytes = try decode(trailer) { try PackFrame.sealedFooterBytes(ofTrailer: $0, packBytes: bytes.count) }
        #expect(PackFrame.trailer(sealedFooterBytes: footerBytes) == trailer)
        let end = bytes.count - PackFrame.trailerBytes - footerBytes
        let header = Array(bytes.prefix(PackFrame.headerBytes))
        #expect(PackFrame.header(kind) == header)
        let footer = try decode(Array(bytes[end..<end + footerBytes])) { sealed in
            try decode(header) { try owner.publisherKeys.footerCipher().open(sealed, associated: $0) }
        }
        let (footerKind, entries) = try decode(footer) {
            try PackFrame.decodeFooter($0, chunkBytes: end - PackFrame.headerBytes)
        }
        #expect(PackFrame.encodeFooter(kind: footerKind, entries: entries) == footer && footerKind == kind)
        #expect(entries.count == ["data": 3, "tree": 1, "empty": 0][name])
        let cipher = owner.publisherKeys.chunkCipher()
        for (entry, plain) in zip(entries, plains) {
            let key = decode(plain) { cipher.key(of: $0) }
            #expect(entry.id == cipher.id(of: key) && Int(entry.plainBytes) == plain.count)
            let sealed = Array(bytes[Int(entry.offset)..<Int(entry.offset + entry.sealedBytes)])
            var opened = [UInt8](repeating: 0, count: sealed.count - ChunkCipher.sealBytes)
            let length = try opened.withUnsafeMutableBytes { output in
                try decode(sealed) { try cipher.open(sealed: $0, key: key, id: entry.id, into: output) }
            }
            #expect(length == opened.count)
            let payload = Array(opened.dropFirst())
            switch try #require(CompressionMethod(rawValue: opened[0])) {
            case .stored: #expect(payload == plain)
            case .zstd:
                var output = [UInt8](repeating: 1, count: plain.count)
                let decompressor = try #require(Decompressor())
                let count = try output.withUnsafeMutableBytes { output in
                    try decode(payload) { try decompressor.decompress($0, into: output) }
                }
                #expect(count == plain.count && output == plain)
            }
        }
    }
}
