import BackupFormat
import Cryptography
import HostFiles
import TestSupport
import Testing
import Vault

/// What somebody may have put on the vault's disk: no trap, no memory without bound, nothing lost.
@Suite("Vault against who writes to its disk") struct VaultHostileTests {
    let world = VaultWorld.shared
    let disk = SimulatedDisk()

    private func open() throws -> Vault {
        try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: true)
    }

    private func path(_ tail: String) -> RawPath { RawPath("/home/vault/\(world.owner.hex)/\(tail)") }

    @Test("a sweep ends with an error where the trash has the last generation that there can be")
    func lastGeneration() throws {
        let vault = try open()
        let page = try world.page([0, 1])
        try world.publish(vault, world.record(1, [page]), [page])
        try world.store(vault, [2])
        try disk.makeDirectory(path("trash/\(UInt64.max)"))
        #expect(throws: VaultError.self) { _ = try vault.sweep(grace: 0, now: 0) }
        #expect(try VaultChecker(vault: vault).requireWhole().count == 1)
        try disk.removeDirectory(path("trash/\(UInt64.max)"))
        #expect(try vault.sweep(grace: 0, now: 0).purgedPacks == 1)
    }

    @Test("files of any time are swept, the oldest as old, the latest as new", arguments: [Int64.min, Int64.max])
    func anyTime(_ time: Int64) throws {
        let vault = try open()
        disk.now = time
        try world.store(vault, [2])
        _ = try disk.createExclusively(path("tmp/left"), expectedBytes: 0)
        let purged = try vault.sweep(grace: Int64.max, now: 10).purgedPacks + vault.sweep(grace: 100, now: 10).purgedPacks
        #expect(purged == (time < 0 ? 1 : 0))
        #expect(try disk.status(path("tmp/left")) == nil || time > 0)
    }

    @Test("a pack that is longer than a pack may be is damaged, and not read into memory")
    func longPack() throws {
        let vault = try open()
        try world.store(vault, [2])
        let pack = world.packs[2].id
        let home = path("packs/\(pack.hex.prefix(2))/\(pack.hex)")
        try disk.unlink(home)
        try ProtectedFile.write([UInt8](repeating: 7, count: Limits.packBytesMax + 1), disk, home)
        #expect { _ = try vault.packBytes(pack) } throws: { ($0 as? VaultError)?.code == .damaged }
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect {
            try bytes.withUnsafeMutableBytes { _ = try vault.readPackChecked(pack, 0..<8, into: $0) }
        } throws: { ($0 as? VaultError)?.code == .damaged }
    }

    @Test("a vault whose folders a killed process made keeps what is committed when the power goes")
    func unsyncedFolders() throws {
        let page = try world.page([0, 1, 2])
        let record = world.record(1, [page])
        for seed in 0..<20 as Range<UInt64> {
            let disk = SimulatedDisk()
            try disk.makeDirectory("/home")
            try disk.syncDirectory("/")
            for folder in ["", "/\(world.owner.hex)", "/\(world.owner.hex)/packs", "/\(world.owner.hex)/snapshots"] {
                try disk.makeDirectory(RawPath("/home/vault" + folder))
            }
            let vault = try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: true)
            try world.publish(vault, record, [page])
            disk.restart(seed: seed)
            let later = try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: true)
            #expect(try VaultChecker(vault: later).requireWhole() == [record.id], "seed \(seed)")
        }
    }

    @Test("a sweep of many pages that name the same packs keeps each that any of them names")
    func manyPages() throws {
        let vault = try open()
        var random = Choices(seed: 9)
        var named: Set<Int> = []
        for sequence in 1...200 as ClosedRange<UInt64> {
            let indices = (0..<8).map { _ in Int(random.next() % 10) }
            let page = try world.page(Array(Set(indices)).sorted())
            named.formUnion(indices)
            try world.publish(vault, world.record(sequence, [page]), [page])
        }
        try world.store(vault, [10, 11])
        #expect(try vault.sweep(grace: 0, now: 0).purgedPacks == 2)
        #expect(named.count == 10)
        #expect(try VaultChecker(vault: vault).requireWhole().count == 200)
    }
}
