import BackupFormat
import Cryptography
import HostFiles
import Testing
import Vault

/// The same life of a vault, cut off or out of space at each of its operations.
@Suite("Vault on failing disks") struct VaultCrashTests {
    /// What the life was told was done.
    struct Told {
        var committed: [SnapshotID] = []
        /// Asked to go: may be there or not.
        var forgetting: [SnapshotID] = []
    }

    struct Life {
        let world = VaultWorld.shared
        let a: PackListPage
        let b: PackListPage
        let c: PackListPage
        let records: [SnapshotRecord]

        init() throws {
            a = try world.page([0, 1, 5])
            b = try world.page([2, 4])
            c = try world.page([1, 3])
            records = [
                world.record(1, [a]), world.record(2, [a, b]), world.record(3, [b]), world.record(2, [c], revision: 1),
                world.record(4, [b, c]),
            ]
        }

        func open(_ disk: SimulatedDisk) throws -> Vault {
            try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: true)
        }

        /// Commits, forgets, rewrites and sweeps, so that packs are shared, trashed and needed again.
        func live(_ disk: SimulatedDisk, _ told: inout Told) throws {
            let vault = try open(disk)
            try world.store(vault, [0, 1, 5, 8])
            try vault.storePage(a.encode())
            try commit(vault, 0, &told)
            try world.store(vault, [2, 4])
            try vault.storePage(b.encode())
            try commit(vault, 1, &told)
            told.forgetting.append(records[0].id)
            try vault.forget(world.forget([records[0].id]))
            _ = try vault.sweep(grace: 100, now: 0)
            try commit(vault, 3, &told)
            _ = try vault.sweep(grace: 100, now: 0)
            try commit(vault, 2, &told)
            told.forgetting.append(records[2].id)
            try vault.forget(world.forget([records[2].id]))
            _ = try vault.sweep(grace: 100, now: 50)
            _ = try vault.sweep(grace: 0, now: 50)
            try commit(vault, 4, &told)
        }

        private func commit(_ vault: Vault, _ index: Int, _ told: inout Told) throws {
            try world.publish(vault, records[index], [a, b, c])
            told.committed.append(records[index].id)
        }

        /// What must hold after anything: checks, goes on living, sweeps.
        func requireSound(_ disk: SimulatedDisk, _ told: Told, _ what: String) throws {
            let vault = try open(disk)
            let found = Set(try VaultChecker(vault: vault).requireWhole())
            for id in told.committed where !told.forgetting.contains(id) { #expect(found.contains(id), "\(what): lost \(id)") }
            #expect(try vault.scrub(readData: 1, seed: 0, repair: false).isWhole, "\(what)")
            let generation = try vault.generation
            _ = try vault.sweep(grace: 0, now: 0)
            #expect(try vault.generation >= generation, "\(what)")
            #expect(try VaultChecker(vault: vault).garbage(disk, "/home/vault") == [], "\(what)")
            #expect(Set(try VaultChecker(vault: vault).requireWhole()) == found, "\(what)")
            var again = Told()
            try live(disk, &again)
            #expect(try VaultChecker(vault: vault).requireWhole().contains(records[4].id), "\(what)")
        }
    }

    @Test("a crash at any operation loses nothing that was committed", arguments: 0..<4 as Range<UInt64>)
    func crashes(_ seed: UInt64) throws {
        let life = try Life()
        let whole = SimulatedDisk()
        var told = Told()
        try life.live(whole, &told)
        let operations = whole.operations
        #expect(operations > 100)
        for operation in 0..<operations {
            let disk = SimulatedDisk()
            disk.faults.crashAtOperation = operation
            var told = Told()
            #expect(throws: (any Error).self) { try life.live(disk, &told) }
            disk.restart(seed: seed &* 1000 &+ UInt64(operation))
            try life.requireSound(disk, told, "crash at \(operation), seed \(seed): \(whole.log[operation])")
        }
    }

    @Test("a full disk is a clean error at any operation, and nothing is lost")
    func full() throws {
        let life = try Life()
        let whole = SimulatedDisk()
        var told = Told()
        try life.live(whole, &told)
        for operation in 0..<whole.operations {
            let disk = SimulatedDisk()
            disk.faults.fullFromOperation = operation
            var told = Told()
            do { try life.live(disk, &told) } catch let error as VaultError {
                #expect(error.code == .noSpace, "\(error)")
            }
            disk.faults = SimulatedDisk.Faults()
            try life.requireSound(disk, told, "full at \(operation)")
        }
    }

    @Test("a sweep begins on a disk that is full to the last byte")
    func sweepsWhenFull() throws {
        let life = try Life()
        let disk = SimulatedDisk()
        let vault = try life.open(disk)
        try life.world.store(vault, [0, 1, 2, 3, 4, 5])
        disk.faults.capacityBytes = disk.usedBytes
        #expect(throws: VaultError.self) { try life.world.store(vault, [6]) }
        #expect(try vault.sweep(grace: 0, now: 0).purgedPacks == 6)
        disk.faults.capacityBytes = 1 << 20
        try life.world.store(vault, [6])
    }

    @Test("a snapshot whose removal was not synced does not come back without its packs")
    func unsyncedRemoval() throws {
        let life = try Life()
        let model = SimulatedDisk()
        let vault = try life.open(model)
        try life.world.publish(vault, life.records[0], [life.a])
        try vault.sync()
        try model.unlink(RawPath("/home/vault/\(life.world.owner.hex)/snapshots/\(life.records[0].id.hex)"))
        for operation in 0..<40 {
            for seed in 0..<6 as Range<UInt64> {
                let disk = SimulatedDisk(copying: model)
                disk.faults.crashAtOperation = disk.operations + operation
                _ = try? life.open(disk).sweep(grace: 0, now: 0)
                disk.restart(seed: seed &* 100 &+ UInt64(operation))
                do {
                    _ = try VaultChecker(vault: try life.open(disk)).requireWhole()
                } catch { Issue.record("crash at \(operation), seed \(seed): \(error)") }
            }
        }
    }
}
