import Archive
import BackupFormat
import Cryptography
import Glibc
import HostFiles
import Ledger
import Testing
import Vault

/// An owner with a device, and files to back up into a vault on a simulated disk.
struct StoreWorld {
    let owner = OwnerKey.generate()
    let node = NodeKey.generate()
    let identity: ArchiveIdentity
    let folder = TestFolder()

    init() {
        let certificate = owner.certify(node, name: "laptop", permissions: .all, serial: 1)
        identity = ArchiveIdentity(keys: owner.publisherKeys, owner: owner, node: node, certificate: certificate)
        folder.makeFolder("s")
    }

    var source: RawPath { RawPath(folder.path + "/s") }

    func open(_ disk: any Disk) throws -> ArchiveStore {
        let vault = try Vault(disk: disk, directory: "/home/vault", owner: owner.id, create: true)
        return try ArchiveStore(
            vault: vault, disk: disk, ledgerDirectory: "/home/ledger", scratchDirectory: RawPath(folder.path), identity: identity,
            plan: MemoryPlan(memoryBytes: MemoryPlan.memoryBytesMin, processors: 2))
    }

    @discardableResult
    func backUp(
        _ store: ArchiveStore, at seconds: Int64, paths: [RawPath]? = nil, progress: Progress = Progress()
    ) throws -> BackupReport {
        let request = BackupRequest(
            paths: paths ?? [source], exclusions: Exclusions(), host: "laptop", time: seconds * 1_000_000_000)
        return try store.backUp(request, progress: progress) { _ in }
    }

    /// Restores a snapshot, and compares the files of the source with what came.
    func requireRestores(_ store: ArchiveStore, _ snapshot: SnapshotID?, _ what: String, files: [String: [UInt8]]) throws {
        let id = try #require(snapshot)
        let target = TestFolder()
        let report = try store.restore(
            RestoreRequest(snapshot: id, target: target.target), progress: Progress(), report: { _ in })
        #expect(report.errors.isEmpty, "\(what): \(report.errors)")
        for (name, content) in files {
            #expect(target.read("t" + source.description + "/" + name) == content, "\(what): \(name)")
        }
    }
}

/// A backup's way through a vault whose disk fails, with the same store or another one afterwards.
@Suite("A store") struct StoreTests {
    let world = StoreWorld()

    private func write(_ files: [String: [UInt8]]) {
        for (name, content) in files { world.folder.write("s/" + name, content) }
    }

    @Test("a backup after one that the disk stopped, through the same store, holds all that it names")
    func againThroughTheSameStore() throws {
        let files = ["one": noise(5_000_000, 1), "two": noise(3_000, 2), "three": noise(700_000, 3)]
        write(files)
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        disk.faults.capacityBytes = 1 << 20
        #expect(throws: ArchiveError.self) { try world.backUp(store, at: 1) }
        disk.faults.capacityBytes = nil
        let report = try world.backUp(store, at: 2)
        try world.requireRestores(try world.open(disk), report.snapshot, "after a full disk", files: files)
    }

    @Test("two backups at once through one store each list all the packs that they need")
    func twoAtOnce() throws {
        let files = ["one": noise(3_000_000, 1), "two": noise(300_000, 2)]
        write(files)
        for _ in 0..<4 {
            let disk = SimulatedDisk()
            let store = try world.open(disk)
            let made = ConditionLock<[SnapshotID]>([])
            let world = world
            let threads = (0..<2).compactMap { index in
                WorkerThread(name: "backup \(index)") {
                    guard let id = try? world.backUp(store, at: Int64(1 + index)).snapshot else { return }
                    made.withLock { $0.append(id) }
                }
            }
            for thread in threads { thread.join() }
            let ids = made.withLock { $0 }
            #expect(ids.count == 2)
            for id in ids {
                let copy = SimulatedDisk(copying: disk)
                let alone = try world.open(copy)
                try alone.forget(ids.filter { $0 != id })
                _ = try alone.vault.sweep(grace: 0, now: 0)
                try world.requireRestores(try world.open(copy), id, "alone", files: files)
            }
        }
    }

    @Test("a crash at any operation of backups and a sweep loses no committed snapshot", arguments: 0..<2 as Range<UInt64>)
    func crashes(_ seed: UInt64) throws {
        let first = ["a": noise(300_000, 1), "b": noise(2_000, 2)]
        let second = ["a": noise(300_000, 1), "b": noise(2_500, 4), "c": noise(400_000, 5)]
        struct Told {
            var first: SnapshotID?
            var second: SnapshotID?
        }
        func live(_ disk: SimulatedDisk, _ told: inout Told) throws {
            let store = try world.open(disk)
            write(first)
            told.first = try world.backUp(store, at: 1).snapshot
            write(second)
            told.second = try world.backUp(store, at: 100).snapshot
            _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
        }
        let whole = SimulatedDisk()
        var told = Told()
        try live(whole, &told)
        let operations = whole.operations
        #expect(operations > 40)
        for operation in stride(from: Int(seed), to: operations, by: 2) {
            let disk = SimulatedDisk()
            disk.faults.crashAtOperation = operation
            var told = Told()
            do { try live(disk, &told) } catch is ArchiveError {} catch is VaultError {}
            disk.restart(seed: seed &* 1000 &+ UInt64(operation))
            let store = try world.open(disk)
            let what = "crash at \(operation), seed \(seed)"
            if told.first != nil { try world.requireRestores(store, told.first, what, files: first) }
            if told.second != nil { try world.requireRestores(store, told.second, what, files: second) }
            write(second)
            let again = try world.backUp(store, at: 200)
            #expect(again.errorCount == 0, "\(what)")
            _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
            try world.requireRestores(try world.open(disk), again.snapshot, what, files: second)
            if told.first != nil { try world.requireRestores(store, told.first, what, files: first) }
        }
    }
}
