import Archive
import BackupFormat
import Testing

@Suite("Whose turn it is to rewrite a pack") struct PackKeeperTests {
    private let now: Int64 = 1_800_000_000_000_000_000
    private let day: Int64 = 86_400_000_000_000

    private func device(_ number: UInt64) -> DeviceID { DeviceID(Bytes32(words: (number, 0, 0, 0))) }
    private func page(_ number: UInt64) -> PageID { PageID(Bytes32(words: (number, 0, 0, 0))) }

    private func record(
        _ maker: UInt64, pages: [UInt64], signedBy signer: UInt64? = nil, permissions: Permissions = .all
    ) -> SnapshotRecord {
        SnapshotRecord(
            owner: OwnerID(.zero), device: device(maker), sequence: 1, sealed: [],
            pages: pages.map { SnapshotRecord.Page(id: page($0), packCount: 1) },
            certificate: Certificate(
                owner: OwnerID(.zero), device: device(signer ?? maker), agreementKey: .zero, permissions: permissions,
                serial: 1, name: "x"))
    }

    /// For each of packs 1 to 3, the devices among 1 to 4 whose turn it is. Page n lists pack n.
    private func turns(_ snapshots: [(SnapshotRecord, time: Int64)]) -> [[UInt64]] {
        var result: [[UInt64]] = [[], [], []]
        for this: UInt64 in 1...4 {
            var keepers = PackKeepers(this: device(this), now: now)
            for (record, time) in snapshots { keepers.add(record, time: time) }
            keepers.settle { page in (1...3).filter { self.page(UInt64($0)) == page } }
            for pack: UInt32 in 1...3 where keepers.isTurn(pack) { result[Int(pack) - 1].append(this) }
        }
        return result
    }

    @Test("it is one device's turn, the same by everybody's reckoning")
    func one() {
        let all = turns([(record(2, pages: [1, 2]), now - day), (record(3, pages: [2, 3]), now - 2 * day)])
        #expect(all == [[2], [2], [3]])
    }

    @Test("a device that made no snapshot for a month leaves its packs to others; what nobody lists is anybody's")
    func absent() {
        let all = turns([(record(2, pages: [1, 2]), now - 31 * day), (record(3, pages: [2]), now - day)])
        #expect(all == [[1, 2, 3, 4], [3], [1, 2, 3, 4]])
    }

    @Test("a device that may not forget has no turn")
    func writeOnly() {
        let all = turns([
            (record(1, pages: [1, 2], permissions: [.backup]), now - day), (record(3, pages: [2]), now - day),
        ])
        #expect(all == [[1, 2, 3, 4], [3], [1, 2, 3, 4]])
    }

    @Test("who wrote the last list changes nothing: a list goes to and fro between no two devices")
    func revised() {
        let all = turns([(record(2, pages: [1], signedBy: 4), now - day), (record(4, pages: [3]), now - day)])
        #expect(all == [[2], [1, 2, 3, 4], [4]])
    }
}
