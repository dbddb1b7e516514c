import Archive
import BackupFormat
import Cryptography
import Glibc
import HostFiles
import Testing
import Vault

/// A peer's vault, read as a ``PackSource`` is.
private final class PeerSource: PackSource {
    struct State {
        /// The first answer for each pack is wrong.
        var liesFirst = false
        var isAway = false
        var expected: [PackID] = []
        var readBytes = 0
        var lied: Set<PackID> = []
    }

    let vault: Vault
    let state = ConditionLock(State())

    init(_ vault: Vault) { self.vault = vault }

    func expect(_ packs: [PackID]) { state.withLock { $0.expected = packs } }

    func read(
        _ pack: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, isAgain: Bool
    ) throws(ArchiveError) {
        let (isAway, lies) = state.withLock { state in
            state.readBytes += range.count
            return (state.isAway, state.liesFirst && !isAgain && state.lied.insert(pack).inserted)
        }
        if isAway { throw ArchiveError(.unreachable, "read from peers", "none is reached") }
        do { try vault.readPackChecked(pack, range, into: buffer) } catch { throw ArchiveError(.damaged, "read", "\(error)") }
        if lies { buffer[range.count / 2] ^= 1 }
    }
}

/// Backups of which the data is with peers only.
@Suite("Data that only peers have") struct ElsewhereTests {
    let world = StoreWorld()
    let first = ["a": noise(3_000_000, 1), "b": noise(2_000, 2), "old": noise(900_000, 6)]
    let second = ["a": noise(3_000_000, 1), "b": noise(2_500, 4), "c": noise(700_000, 5)]

    private func write(_ files: [String: [UInt8]]) {
        for name in ["a", "b", "c", "old"] { unlink(world.folder.path + "/s/" + name) }
        for (name, content) in files { world.folder.write("s/" + name, content) }
    }

    private func packs(_ vault: Vault) throws -> [PackID] {
        var packs: [PackID] = []
        try vault.forEachPack { packs.append($0) }
        return packs.sorted()
    }

    /// Two snapshots, the peer that has all of them, and a disk on which only stubs are left of the data.
    private func begin() throws -> (disk: SimulatedDisk, peer: PeerSource, ids: [SnapshotID], given: [PackID]) {
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        write(first)
        let one = try #require(try world.backUp(store, at: 1).snapshot)
        write(second)
        let two = try #require(try world.backUp(store, at: 100).snapshot)
        let peer = try world.open(SimulatedDisk(copying: disk)).vault
        let given = try store.vault.replaceByStubs(try packs(store.vault))
        #expect(given.count >= 2)
        return (disk, PeerSource(peer), [one, two], given)
    }

    @Test("is read from them, whatever they say; nothing of it is stored again, and a check knows where it is")
    func reads() throws {
        let (disk, peer, ids, given) = try begin()
        let store = try world.open(disk)
        let again = try world.backUp(store, at: 200)
        // Folders above may have changed meanwhile, and no more.
        #expect(again.newBytes < 10_000 && again.errorCount == 0)
        let checked = try store.check(readDataFraction: 1, repair: true, nowSeconds: 0, progress: Progress())
        #expect(checked.isClean && checked.elsewherePacks == given.count && checked.repaired.isEmpty)

        let target = TestFolder()
        let alone = try store.restore(
            RestoreRequest(snapshot: ids[0], target: target.target), progress: Progress(), report: { _ in })
        #expect(!alone.errors.isEmpty)
        store.readElsewhere(from: peer)
        peer.state.withLock { $0.liesFirst = true }
        try world.requireRestores(store, ids[0], "from the peer", files: first)
        try world.requireRestores(store, ids[1], "from the peer", files: second)
        let expected = peer.state.withLock { $0.expected }
        #expect(!expected.isEmpty && Set(expected).isSubset(of: Set(given)))
        peer.state.withLock { $0.isAway = true }
        let error = #expect(throws: ArchiveError.self) {
            let request = RestoreRequest(snapshot: ids[0], target: TestFolder().target)
            _ = try store.restore(request, progress: Progress(), report: { _ in })
        }
        #expect(error?.code == .unreachable)
    }

    @Test("a sweep lets go of what no snapshot needs, and rewrites nothing of the rest")
    func sweeps() throws {
        let (disk, peer, ids, given) = try begin()
        let store = try world.open(disk)
        try store.forget([ids[0]])
        let report = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        #expect(report.rewrittenPacks == 0)
        let left = try given.filter { try store.vault.knows($0) }
        #expect(!left.isEmpty && peer.state.withLock { $0.readBytes } == 0)
        let other = try world.open(disk)
        other.readElsewhere(from: peer)
        try world.requireRestores(other, ids[1], "after a sweep", files: second)
        try other.forget([ids[1]])
        _ = try other.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        #expect(try !given.contains { try other.vault.knows($0) })
        // What nobody keeps any more is stored again.
        let again = try world.backUp(try world.open(disk), at: 300)
        #expect(again.newBytes > 3_000_000)
    }

    @Test("a stub of a snapshot that was forgotten while a backup ran is not counted on")
    func forgottenMeanwhile() throws {
        let (disk, _, ids, given) = try begin()
        let store = try world.open(disk)
        // The store believes in the packs still; nobody has swept yet.
        try store.forget(ids)
        let again = try world.backUp(store, at: 300)
        #expect(again.errorCount == 0 && again.newBytes > 3_000_000)
        #expect(try !given.contains { try store.vault.isElsewhere($0) })
        try world.requireRestores(try world.open(disk), again.snapshot, "from here", files: second)
    }

    @Test("a stub that a peer has shown says where to read, and never that something is stored")
    func hints() throws {
        let (disk, peer, ids, given) = try begin()
        let vault = try world.open(disk).vault
        for pack in given {
            let stub = try vault.stub(pack)
            try vault.removeStub(of: pack)
            try vault.store(
                stub: PackStub(packBytes: stub.packBytes, header: stub.header, tail: stub.tail, isProven: false), of: pack)
        }
        // A new ledger, as after a recovery.
        for file in disk.files(under: "/home/ledger") { try disk.unlink(file.path) }
        let store = try world.open(disk)
        store.readElsewhere(from: peer)
        try world.requireRestores(store, ids[0], "by hints", files: first)
        #expect(try store.check(readDataFraction: 0, repair: false, nowSeconds: 0, progress: Progress()).isClean)
        let again = try world.backUp(store, at: 300)
        #expect(again.newBytes > 3_000_000 && again.errorCount == 0)
        // A proven one takes its place.
        for pack in given {
            let stub = try vault.stub(pack)
            try vault.store(
                stub: PackStub(packBytes: stub.packBytes, header: stub.header, tail: stub.tail, isProven: true), of: pack)
            #expect(try vault.stub(pack).isProven)
            try vault.store(stub: stub, of: pack)
            #expect(try vault.stub(pack).isProven)
        }
    }
}
