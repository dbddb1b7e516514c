import BackupFormat
import Testing

/// What the decoders of outer records must refuse before anything is checked by cryptography.
@Suite("Outer records")
struct RecordTests {
    private func identifier(_ number: Int) -> Bytes32 { Bytes32(words: (UInt64(number), 0, 0, 0)) }

    private func certificate() -> Certificate {
        Certificate(owner: OwnerID(.zero), device: DeviceID(.zero), agreementKey: .zero, permissions: .all, serial: 1, name: "x")
    }

    private func record(_ pages: [SnapshotRecord.Page], sealedBytes: Int = 10) -> SnapshotRecord {
        SnapshotRecord(
            owner: OwnerID(.zero), device: DeviceID(.zero), sequence: 1, sealed: Array(repeating: 1, count: sealedBytes),
            pages: pages, certificate: certificate())
    }

    private func decode(_ record: SnapshotRecord) throws -> SnapshotRecord {
        try record.encode().withUnsafeBytes { try SnapshotRecord(decoding: $0) }
    }

    @Test("reads a snapshot record of no pages, and one of the most pages allowed")
    func pageCounts() throws {
        for count in [0, 1, Limits.snapshotPagesMax] {
            let record = record((0..<count).map { SnapshotRecord.Page(id: PageID(identifier($0)), packCount: 512) })
            #expect(try decode(record) == record)
        }
    }

    @Test("refuses a snapshot record with too many pages, an empty or overfull page, a repeated page, or too long a sealed part")
    func recordLimits() {
        let page = SnapshotRecord.Page(id: PageID(.zero), packCount: 1)
        #expect(throws: FormatError.self) { try decode(record([page, page])) }
        for packCount in [0, Limits.pagePacksMax + 1] {
            #expect(throws: FormatError.self) {
                try decode(record([SnapshotRecord.Page(id: PageID(.zero), packCount: packCount)]))
            }
        }
        #expect(throws: FormatError.self) {
            try decode(
                record((0...Limits.snapshotPagesMax).map { SnapshotRecord.Page(id: PageID(identifier($0)), packCount: 1) }))
        }
        #expect(throws: FormatError.self) { try decode(record([], sealedBytes: Limits.snapshotSealedBytesMax + 1)) }
    }

    @Test("keeps the core, and so the id, when only the placement changes")
    func coreApart() {
        var changed = record([])
        changed.revision = 9
        changed.pages = [SnapshotRecord.Page(id: PageID(.zero), packCount: 1)]
        #expect(changed.coreBytes == record([]).coreBytes)
        #expect(changed.placementBytes != record([]).placementBytes)
    }

    @Test("reads a page of one pack and a full one; refuses an empty, overfull, repeating, cut or overlong one")
    func pages() throws {
        for count in [1, Limits.pagePacksMax] {
            let page = try PackListPage(packs: (0..<count).map { PackID(identifier(count - $0)) })
            let bytes = page.encode()
            #expect(try bytes.withUnsafeBytes { try PackListPage(decoding: $0) } == page)
            #expect(throws: FormatError.self) { try (bytes + [0]).withUnsafeBytes { try PackListPage(decoding: $0) } }
            for length in stride(from: 0, to: bytes.count, by: 7) {
                #expect(throws: FormatError.self) {
                    try bytes.prefix(length).withUnsafeBytes { try PackListPage(decoding: $0) }
                }
            }
        }
        #expect(throws: FormatError.self) { try PackListPage(packs: []) }
        #expect(throws: FormatError.self) { try PackListPage(packs: [PackID(.zero), PackID(.zero)]) }
        #expect(throws: FormatError.self) {
            try PackListPage(packs: (0...Limits.pagePacksMax).map { PackID(identifier($0)) })
        }
    }

    @Test("refuses a forget order whose snapshots are unsorted, repeated or none")
    func forgetOrders() throws {
        var order = ForgetOrder(
            owner: OwnerID(.zero), device: DeviceID(.zero), nonce: .zero,
            snapshots: [SnapshotID(identifier(2)), SnapshotID(identifier(1))], certificate: certificate())
        #expect(try order.encode().withUnsafeBytes { try ForgetOrder(decoding: $0) } == order)
        for snapshots in [[2, 1], [1, 1], []] {
            order.snapshots = snapshots.map { SnapshotID(identifier($0)) }
            #expect(throws: FormatError.self) { try order.encode().withUnsafeBytes { try ForgetOrder(decoding: $0) } }
        }
    }

    @Test("refuses a certificate with a permission it does not know or a name that is not UTF-8")
    func certificates() throws {
        var bytes = certificate().encode()
        let permissions = 8 + 1 + 96
        #expect(bytes[permissions] == Permissions.all.rawValue)
        bytes[permissions] = 8
        #expect(throws: FormatError.self) { try bytes.withUnsafeBytes { try Certificate(decoding: $0) } }
        bytes[permissions] = 1
        bytes[permissions + 10] = 0xff
        #expect(throws: FormatError.self) { try bytes.withUnsafeBytes { try Certificate(decoding: $0) } }
    }

    @Test("never traps on a record with random changes", arguments: 0..<20 as Range<UInt64>)
    func randomChanges(seed: UInt64) {
        var state = seed &+ 1
        func below(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        let valid = record((0..<20).map { SnapshotRecord.Page(id: PageID(identifier($0)), packCount: 3) }).encode()
        for _ in 0..<1000 {
            var bytes = valid
            for _ in 0...below(4) { bytes[below(bytes.count)] = UInt8(below(256)) }
            bytes.removeLast(below(4))
            bytes.withUnsafeBytes { buffer in
                _ = try? SnapshotRecord(decoding: buffer)
                _ = try? PackListPage(decoding: buffer)
                _ = try? ForgetOrder(decoding: buffer)
                _ = try? Certificate(decoding: buffer)
            }
        }
    }
}
