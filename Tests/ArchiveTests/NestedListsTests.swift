import Archive
import BackupFormat
import HostFiles
import TestSupport
import Testing
import Vault

/// Content of more chunks than one list of keys may name. With two keys a list, a few megabytes are such content.
@Suite("Nested lists of keys") struct NestedListsTests {
    private let world = StoreWorld()
    private static let listKeysMax = 2
    private static let fileBytes = 12_000_000
    private static let entryCount = 8_000

    private func backUp(_ store: ArchiveStore, at seconds: Int64) throws -> SnapshotID {
        var request = BackupRequest(
            paths: [world.source], exclusions: Exclusions(), host: "laptop", time: seconds * 1_000_000_000)
        request.listKeysMax = NestedListsTests.listKeysMax
        let report = try store.backUp(request, progress: Progress()) { _ in }
        #expect(report.errorCount == 0)
        return try #require(report.snapshot)
    }

    private func name(_ number: Int) -> String {
        "many/entry number \(number) with a name of some length, of which few have the like"
    }

    /// Lists of lists of lists: with two keys each, twelve chunks take three levels above them.
    @Test("a file and a folder of more chunks than a list names restore, also after an edit, a sweep, and a ledger that is lost")
    func restores() throws {
        var big = noise(NestedListsTests.fileBytes, 1)
        world.folder.write("s/big", big)
        world.folder.makeFolder("s/many")
        for number in 0..<NestedListsTests.entryCount { world.folder.write("s/" + name(number), []) }
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        let first = try backUp(store, at: 1)
        let before = ["big": big, name(7): [], name(NestedListsTests.entryCount - 1): []]

        big.replaceSubrange(4_000_000..<4_000_010, with: [UInt8](repeating: 7, count: 1_000))
        world.folder.write("s/big", big)
        world.folder.write("s/" + name(7), [1, 2, 3])
        let second = try backUp(store, at: 100)
        let after = ["big": big, name(7): [1, 2, 3], name(NestedListsTests.entryCount - 1): []]
        #expect(try backUp(store, at: 200) != second)

        _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        for path in disk.files(under: "/home/ledger").map(\.path) { try disk.unlink(path) }
        let anew = try world.open(disk)
        try world.requireRestores(anew, first, "before the edit", files: before)
        try world.requireRestores(anew, second, "after the edit", files: after)
    }
}
