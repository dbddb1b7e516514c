import BackupFormat
import Cryptography
import HostFiles
import Testing
import Vault

/// What a vault does when nothing goes wrong, and when files decay.
@Suite("Vault") struct VaultTests {
    let world = VaultWorld.shared
    let disk = SimulatedDisk()

    func open(create: Bool = true) throws -> Vault {
        try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: create)
    }

    func path(_ tail: String) -> RawPath { RawPath("/home/vault/\(world.owner.hex)/\(tail)") }
    func packPath(_ pack: VaultWorld.Pack) -> RawPath { path("packs/\(pack.id.hex.prefix(2))/\(pack.id.hex)") }

    @Test("keeps a committed snapshot, through sweeps and another process")
    func commits() throws {
        let vault = try open()
        let page = try world.page([0, 1, 2, 3])
        let record = world.record(1, [page])
        try world.store(vault, [0, 1, 2])
        #expect(try vault.commit(record: record.encode()) == .missing(packs: [], pages: [page.id]))
        #expect(try vault.storePage(page.encode()) == page.id)
        #expect(try vault.commit(record: record.encode()) == .missing(packs: [world.packs[3].id], pages: []))
        #expect(try vault.snapshots() == [] && disk.list(path("pending")).isEmpty)
        try world.store(vault, [3, 4])
        #expect(try vault.commit(record: record.encode()) == .committed)
        #expect(try vault.commit(record: record.encode()) == .committed)
        #expect(try vault.generation == 0)
        let swept = try vault.sweep(grace: 0, now: 0)
        #expect(swept.trashedPacks == 1 && swept.purgedPacks == 1 && swept.generation == 1 && swept.trashedBytes == 24576)
        let other = try open(create: false)
        #expect(try VaultChecker(vault: other).requireWhole() == [record.id])
        #expect(try other.snapshotRecord(record.id) == record)
        #expect(try VaultChecker(vault: other).garbage(disk, "/home/vault") == [])
        #expect(try other.contains(world.packs[0].id) && !other.contains(world.packs[4].id))
        var listed: [PackID] = []
        try other.forEachPack { listed.append($0) }
        #expect(listed.sorted() == page.packs.sorted())
        let usage = try other.usage()
        #expect(usage.packs == 4 && usage.snapshots == 1 && usage.pages == 1 && usage.trashedPacks == 0 && usage.packBytes > 0)
        #expect(try Vault.owners(disk: disk, directory: "/home/vault") == [world.owner])
    }

    @Test("no vault is found where none was made")
    func absent() throws {
        #expect(throws: VaultError.self) { _ = try open(create: false) }
        #expect(try Vault.owners(disk: disk, directory: "/home/vault") == [])
    }

    @Test("what is trashed comes back when a commit needs it, and goes after its grace")
    func trash() throws {
        let vault = try open()
        disk.now = 1000
        let page = try world.page([0, 5])
        try world.store(vault, [0, 5, 6])
        try vault.storePage(page.encode())
        let first = try vault.sweep(grace: 100, now: 1000)
        #expect(first.trashedPacks == 3 && first.purgedPacks == 0)
        #expect(try vault.packBytes(world.packs[5].id) == world.packs[5].bytes.count)
        let record = world.record(2, [page])
        #expect(try vault.commit(record: record.encode()) == .committed)
        #expect(try vault.sweep(grace: 100, now: 1050).purgedPacks == 0)
        let last = try vault.sweep(grace: 100, now: 1100)
        #expect(last.purgedPacks == 1 && last.generation == 1)
        #expect(try VaultChecker(vault: vault).requireWhole() == [record.id])
        #expect(try VaultChecker(vault: vault).garbage(disk, "/home/vault") == [])
    }

    @Test("a sweep brings back from the trash what a snapshot references")
    func restores() throws {
        let vault = try open()
        let page = try world.page([0, 5])
        try world.publish(vault, world.record(2, [page]), [page])
        try disk.makeDirectory(path("trash/7"))
        try disk.rename(packPath(world.packs[5]), to: path("trash/7/\(world.packs[5].id.hex)"))
        try disk.rename(path("pages/\(page.id.hex)"), to: path("trash/7/\(page.id.hex).page"))
        #expect(try VaultChecker(vault: vault).requireWhole().count == 1)
        let report = try vault.sweep(grace: 0, now: 0)
        #expect(report.restored == 2 && report.purgedPacks == 0 && report.generation == 7)
        #expect(try VaultChecker(vault: vault).garbage(disk, "/home/vault") == [])
    }

    @Test("forgetting needs permission, and lets the sweep have the packs")
    func forgets() throws {
        let vault = try open()
        let shared = try world.page([0, 1])
        let own = try world.page([2, 3])
        let first = world.record(1, [shared, own])
        let second = world.record(2, [shared])
        try world.publish(vault, first, [shared, own])
        #expect(try vault.commit(record: second.encode(), basedOn: [first.id]) == .committed)
        let key = OwnerKey.generate()
        let stranger = signForget(
            [first.id], certificate: key.certify(world.node, name: "x", permissions: .all, serial: 1), with: world.node)
        #expect(throws: VaultError.self) { try vault.forget(stranger) }
        #expect(try vault.forget(world.forget([first.id, first.id])) == [first.id])
        #expect(try vault.forget(world.forget([first.id])) == [])
        let report = try vault.sweep(grace: 0, now: 0)
        #expect(report.purgedPacks == 2)
        #expect(try VaultChecker(vault: vault).requireWhole() == [second.id])
        #expect(try VaultChecker(vault: vault).garbage(disk, "/home/vault") == [])
    }

    @Test("a higher revision replaces a pack list, a lower one does not")
    func revisions() throws {
        let vault = try open()
        let wide = try world.page([0, 1, 2])
        let slim = try world.page([1, 2])
        let first = world.record(1, [wide])
        let trimmed = world.record(1, [slim], revision: 1)
        #expect(first.id == trimmed.id)
        try world.publish(vault, first, [wide])
        try world.publish(vault, trimmed, [slim])
        #expect(try vault.sweep(grace: 0, now: 0).purgedPacks == 1)
        guard case .rejected = try vault.commit(record: first.encode()) else {
            Issue.record("an old pack list came back")
            return
        }
        #expect(try VaultChecker(vault: vault).requireWhole() == [first.id])
    }

    @Test("a record that is known is not read again; one that was replaced, also by another process, or is gone shows at once")
    func knownRecords() throws {
        let vault = try open()
        let pages = [try world.page([0, 1, 2]), try world.page([1, 2]), try world.page([2])]
        let (first, second, third) = (
            world.record(1, [pages[0]]), world.record(1, [pages[1]], revision: 1), world.record(1, [pages[2]], revision: 2)
        )
        #expect(throws: VaultError.self) { try vault.knownRecord(first.id) }
        try world.publish(vault, first, [pages[0]])
        #expect(try vault.knownRecord(first.id) == first)
        // Known it is: decay of the file does not show here, and does where it is read.
        let file = try #require(disk.files(under: "/home/vault").first { $0.path.components.last?.description == first.id.hex })
            .path
        let bytes = try #require(disk.files(under: file).first).bytes
        disk.damage(file) { $0 = [UInt8](repeating: 0, count: $0.count) }
        #expect(try vault.knownRecord(first.id) == first)
        #expect(throws: VaultError.self) { try vault.snapshotRecord(first.id) }
        disk.damage(file) { $0 = bytes }
        try world.publish(vault, second, [pages[1]])
        #expect(try vault.knownRecord(first.id) == second)
        let other = try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: false)
        try world.publish(other, third, [pages[2]])
        #expect(try vault.knownRecord(first.id) == third)
        #expect(try other.forget(world.forget([first.id])) == [first.id])
        #expect(throws: VaultError.self) { try vault.knownRecord(first.id) }
    }

    @Test("rejects what is not the owner's, not signed, or not a record")
    func rejects() throws {
        let vault = try open()
        let page = try world.page([0])
        var record = world.record(1, [page])
        record.sequence = 9
        let key = OwnerKey.generate()
        var foreign = world.record(1, [page])
        foreign.owner = key.id
        foreign.certificate = key.certify(world.node, name: "x", permissions: .all, serial: 1)
        signSnapshot(&foreign, with: world.node)
        for bytes in [record.encode(), foreign.encode(), [], [1, 2, 3]] {
            guard case .rejected = try vault.commit(record: bytes) else {
                Issue.record("took what it must not")
                continue
            }
        }
        #expect(throws: VaultError.self) { try vault.storePage([1, 2, 3]) }
        let bytes = world.packs[1].bytes
        bytes.withUnsafeBytes { raw in
            #expect(throws: VaultError.self) { try vault.storeVerified(pack: world.packs[2].id, bytes: raw) }
            #expect(throws: Never.self) { try vault.storeVerified(pack: world.packs[1].id, bytes: raw) }
        }
        let wrong = SnapshotRecord.Page(id: page.id, packCount: 2)
        var miscounted = world.record(3, [page])
        miscounted.pages = [wrong]
        signSnapshot(&miscounted, with: world.node)
        try vault.storePage(page.encode())
        guard case .rejected = try vault.commit(record: miscounted.encode()) else {
            Issue.record("took a wrong count")
            return
        }
        #expect(try disk.list(path("pending")).isEmpty)
    }

    @Test("a scrub that is stopped ends at the next pack, and what it mended stays mended")
    func stoppedScrub() throws {
        let vault = try open()
        let page = try world.page([1, 2, 3, 4, 5])
        try world.publish(vault, world.record(1, [page]), [page])
        for (path, bytes) in disk.files(under: "/home") where !path.description.hasSuffix("reserve") {
            disk.damage(path) { $0[bytes.count / 3] ^= 8 }
        }
        var seen: [Int] = []
        let error = #expect(throws: VaultError.self) {
            _ = try vault.scrub(readData: 1, seed: 1, repair: true) { report in
                seen.append(report.packsRead)
                #expect(report.packsRead == 0 || report.packsToRead == 5)
                return report.packsRead < 2
            }
        }
        #expect(error?.code == .interrupted)
        #expect(seen == [0, 0, 1, 2])
        // The record, the page and two packs are whole.
        #expect(try vault.scrub(readData: 1, seed: 1, repair: false).damagedFiles == 3)
        #expect(try vault.scrub(readData: 1, seed: 1, repair: true).isWhole)
    }

    @Test("a scrub mends what parity can, and names the pack and bytes that it cannot")
    func scrubs() throws {
        let vault = try open()
        let page = try world.page([3, 4, 5])
        let record = world.record(1, [page])
        try world.publish(vault, record, [page])
        #expect(try vault.scrub(readData: 1, seed: 1, repair: false).isWhole)
        let before = disk.files(under: "/home").map { $0.bytes }
        for (path, bytes) in disk.files(under: "/home") where !path.description.hasSuffix("reserve") {
            disk.damage(path) { $0[bytes.count / 3] ^= 8 }
        }
        let seen = try vault.scrub(readData: 1, seed: 1, repair: false)
        #expect(seen.damagedFiles == 5 && seen.repairedFiles == 0 && seen.isWhole)
        let mended = try vault.scrub(readData: 1, seed: 1, repair: true)
        #expect(mended.damagedFiles == 5 && mended.repairedFiles == 5 && mended.isWhole)
        #expect(disk.files(under: "/home").map { $0.bytes } == before)

        // Pack 5 has three data blocks in one stripe: 9005 bytes.
        disk.damage(packPath(world.packs[5])) { bytes in for block in 1...3 { bytes[block * 4096 + 5] ^= 1 } }
        try disk.unlink(packPath(world.packs[4]))
        for name in ["packs/zz", "snapshots/abc", "note"] {
            _ = try disk.createExclusively(path(name), expectedBytes: 0)
        }
        let report = try vault.scrub(readData: 1, seed: 1, repair: true)
        #expect(report.damagedPacks.map { $0.id } == [world.packs[5].id])
        #expect(report.damagedPacks.first?.lost == [0..<9005])
        #expect(report.missingPacks == [world.packs[4].id])
        #expect(report.incompleteSnapshots == [record.id] && !report.isWhole)
        #expect(report.strangers == [path("note"), path("snapshots/abc"), path("packs/zz")])
        #expect(try vault.scrub(readData: 0, seed: 1, repair: false).missingPacks == [world.packs[4].id])

        // Storing them again makes it whole.
        for index in [4, 5] {
            try world.packs[index].bytes.withPackBytes {
                try vault.store(pack: world.packs[index].id, bytes: $0, replacing: true)
            }
        }
        #expect(try vault.scrub(readData: 1, seed: 1, repair: true).isWhole)
    }

    @Test("wrong bytes under right checksums are found by the pack's name")
    func impostor() throws {
        let vault = try open()
        let page = try world.page([3])
        try world.publish(vault, world.record(1, [page]), [page])
        try disk.unlink(packPath(world.packs[3]))
        try ProtectedFile.write(world.packs[4].bytes, disk, packPath(world.packs[3]))
        let report = try vault.scrub(readData: 1, seed: 1, repair: true)
        #expect(report.damagedPacks.map { $0.id } == [world.packs[3].id] && !report.isWhole)
    }

    @Test("another file's block over one of a small file's two copies loses nothing: names tell which is right")
    func misdirectedBlock() throws {
        let vault = try open()
        let (page, other) = (try world.page([3, 4]), try world.page([5]))
        let (record, later) = (world.record(1, [page]), world.record(2, [other]))
        try world.publish(vault, record, [page])
        try world.publish(vault, later, [other])
        func put(_ from: String, over to: String) throws {
            let block = try #require(disk.files(under: path(from)).first).bytes.prefix(4096)
            disk.damage(path(to)) { $0.replaceSubrange(0..<4096, with: block) }
        }
        try put("pages/\(other.id.hex)", over: "pages/\(page.id.hex)")
        try put("snapshots/\(later.id.hex)", over: "snapshots/\(record.id.hex)")
        #expect(try vault.page(page.id) == page)
        #expect(try vault.snapshotRecord(record.id) == record)
        _ = try vault.sweep(grace: 0, now: 0)
        let report = try vault.scrub(readData: 1, seed: 1, repair: true)
        #expect(report.isWhole && report.repairedFiles == 2)
        #expect(try vault.scrub(readData: 1, seed: 1, repair: false).damagedFiles == 0)
    }

    @Test("a damaged snapshot or page stops the sweep before it removes anything")
    func refusesToSweep() throws {
        let vault = try open()
        let page = try world.page([3, 4])
        let record = world.record(1, [page])
        try world.publish(vault, record, [page])
        try world.store(vault, [7])
        let pagePath = path("pages/\(page.id.hex)")
        let original = disk.files(under: pagePath).first?.bytes ?? []
        disk.damage(pagePath) { bytes in for index in bytes.indices { bytes[index] = 7 } }
        #expect(throws: VaultError.self) { try vault.sweep(grace: 0, now: 0) }
        #expect(try vault.contains(world.packs[3].id) && vault.contains(world.packs[7].id))
        #expect(try vault.scrub(readData: 0, seed: 0, repair: true).lostPages == [page.id])
        // Storing the page again mends it.
        try vault.storePage(page.encode())
        #expect(disk.files(under: pagePath).first?.bytes == original)
        #expect(try vault.sweep(grace: 0, now: 0).purgedPacks == 1)
        disk.damage(path("snapshots/\(record.id.hex)")) { bytes in for index in bytes.indices { bytes[index] = 7 } }
        #expect(throws: VaultError.self) { try vault.sweep(grace: 0, now: 0) }
        #expect(try vault.scrub(readData: 0, seed: 0, repair: true).lostSnapshots == [record.id])
        #expect(try vault.commit(record: record.encode()) == .committed)
        #expect(try VaultChecker(vault: vault).requireWhole() == [record.id])
    }

    @Test("reads parts of packs, mending what it finds damaged")
    func reads() throws {
        let vault = try open()
        let pack = world.packs[5]
        try world.store(vault, [5])
        var buffer = [UInt8](repeating: 0, count: 5000)
        try buffer.withUnsafeMutableBytes { try vault.readPack(pack.id, 3000..<8000, into: $0) }
        #expect(buffer.elementsEqual(pack.bytes[3000..<8000]))
        let original = disk.files(under: packPath(pack)).first?.bytes
        disk.damage(packPath(pack)) { $0[4096 + 3500] ^= 1 }
        let damaged = try buffer.withUnsafeMutableBytes { try vault.readPackChecked(pack.id, 3000..<8000, into: $0) }
        #expect(damaged && buffer.elementsEqual(pack.bytes[3000..<8000]))
        #expect(disk.files(under: packPath(pack)).first?.bytes == original)
        #expect(throws: VaultError.self) { try vault.packBytes(world.packs[6].id) }
    }
}
