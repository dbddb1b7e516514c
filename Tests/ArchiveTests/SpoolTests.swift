import Archive
import BackupFormat
import HostFiles
import Testing
import Vault

/// Backups that wait for peers.
@Suite("A bounded spool") struct SpoolTests {
    let world = StoreWorld()

    private func dataBytes(_ vault: Vault) throws -> Int {
        var data = DataPacks()
        return try data.list(vault).reduce(0) { $0 + $1.fileBytes }
    }

    private func backUp(
        _ store: ArchiveStore, at seconds: Int64, _ spool: Spool?, progress: Progress = Progress()
    ) throws -> BackupReport {
        var request = BackupRequest(
            paths: [world.source], exclusions: Exclusions(), host: "laptop", time: seconds * 1_000_000_000)
        request.spool = spool
        return try store.backUp(request, progress: progress) { _ in }
    }

    @Test("a backup stores no more than it may before peers have taken it, and is whole in the end")
    func waits() throws {
        let files = ["a": noise(14_000_000, 1), "b": noise(9_000_000, 2)]
        for (name, content) in files { world.folder.write("s/" + name, content) }
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        let peerDisk = SimulatedDisk()
        let peer = try world.open(peerDisk).vault
        let progress = Progress()
        struct Seen {
            var most = 0
            var waited = false
            var taken = 0
        }
        let seen = ConditionLock(Seen())
        // Takes what committed snapshots need, as peers and the running node do.
        let spool = Spool(limitBytes: 8 << 20, stepBytes: 3 << 20) {
            let vault = store.vault
            let bytes = (try? dataBytes(vault)) ?? .max
            let waits = progress.isWaitingForPeers.load(ordering: .relaxed)
            seen.withLock { seen in
                seen.most = max(seen.most, bytes)
                seen.waited = seen.waited || waits
            }
            guard waits, let listed = try? vault.committedPacks() else { return true }
            var taken: [PackID] = []
            try? vault.forEachPack { pack in
                guard listed.contains(pack), let count = try? vault.packBytes(pack) else { return }
                var bytes = [UInt8](repeating: 0, count: count)
                _ = try? bytes.withUnsafeMutableBytes { _ = try vault.readPackChecked(pack, 0..<count, into: $0) }
                _ = try? bytes.withUnsafeBytes { try peer.store(pack: pack, bytes: $0) }
                taken.append(pack)
            }
            let removed = (try? vault.replaceByStubs(taken))?.count ?? 0
            seen.withLock { $0.taken += removed }
            return true
        }
        let report = try backUp(store, at: 1, spool, progress: progress)
        let found = seen.withLock { $0 }
        #expect(found.waited && found.taken > 1 && found.most < 25 << 20, "\(found)")
        #expect(try dataBytes(store.vault) < 25 << 20 && !progress.isWaitingForPeers.load(ordering: .relaxed))
        // What stood for it meanwhile is not shown, and serves for nothing.
        #expect(try store.catalog().snapshots.map(\.id) == [report.snapshot])
        let unfinished = try store.unfinishedSnapshots()
        #expect(unfinished.count == 1)
        let again = try backUp(store, at: 100, nil)
        // Folders above may have changed meanwhile, and no more.
        #expect(again.newBytes < 10_000 && again.errorCount == 0)
        try store.forget(unfinished)
        _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        let last = try world.open(disk)
        last.readElsewhere(from: VaultSource(peer))
        try world.requireRestores(last, report.snapshot, "from here and the peer", files: files)
        #expect(try last.check(readDataFraction: 0, repair: false, nowSeconds: 0, progress: Progress()).isClean)
    }

    @Test(
        "one that nobody takes from ends with what to do; what it stored stays through a sweep, and the next goes on from there")
    func endsAlone() throws {
        let files = ["a": noise(20_000_000, 1)]
        for (name, content) in files { world.folder.write("s/" + name, content) }
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        let spool = Spool(limitBytes: 6 << 20, stepBytes: 100 << 20, patienceSeconds: 1) { false }
        let error = #expect(throws: ArchiveError.self) { _ = try backUp(store, at: 1, spool) }
        #expect(error?.code == .storage && error?.message.contains("bakare-node start") == true)
        #expect(try store.catalog().snapshots.isEmpty)
        let stored = try dataBytes(store.vault)
        #expect(stored > 6 << 20)
        _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        #expect(try dataBytes(store.vault) == stored)
        let next = try world.open(disk)
        let report = try backUp(next, at: 2, Spool(limitBytes: 1 << 30, stepBytes: 1 << 20) { true })
        #expect(report.storedBytes < 20_000_000 - stored / 2)
        #expect(try next.unfinishedSnapshots().count == 1)
        try next.forget(try next.unfinishedSnapshots())
        _ = try next.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        try world.requireRestores(try world.open(disk), report.snapshot, "after all", files: files)
    }

    @Test("one that waits is stopped at once")
    func stops() throws {
        world.folder.write("s/a", noise(12_000_000, 1))
        let store = try world.open(SimulatedDisk())
        let progress = Progress()
        let spool = Spool(limitBytes: 1 << 20, stepBytes: 1 << 20, patienceSeconds: 60) {
            if progress.isWaitingForPeers.load(ordering: .relaxed) { progress.stop() }
            return true
        }
        let error = #expect(throws: ArchiveError.self) { _ = try backUp(store, at: 1, spool, progress: progress) }
        #expect(error?.code == .interrupted)
    }
}

private struct VaultSource: PackSource {
    let vault: Vault
    init(_ vault: Vault) { self.vault = vault }
    func expect(_ packs: [PackID]) {}
    func read(
        _ pack: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, isAgain: Bool
    ) throws(ArchiveError) {
        do { try vault.readPackChecked(pack, range, into: buffer) } catch { throw ArchiveError(.damaged, "read", "\(error)") }
    }
}
