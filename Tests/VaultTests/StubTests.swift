import BackupFormat
import Cryptography
import HostFiles
import TestSupport
import Testing
import Vault

/// Packs that only peers have, and what stands for them.
@Suite("Stubs of packs") struct StubTests {
    let world = VaultWorld.shared
    let disk = SimulatedDisk()
    private static let directory: RawPath = "/home/vault"

    private func open(_ disk: SimulatedDisk) throws -> Vault {
        try Vault(disk: disk, directory: StubTests.directory, owner: world.owner, create: true)
    }

    private func ids(_ indices: [Int]) -> [PackID] { indices.map { world.packs[$0].id } }
    private func stubPath(_ pack: PackID) -> RawPath {
        RawPath("/home/vault/\(world.owner.hex)/stubs/\(pack.hex.prefix(2))/\(pack.hex)")
    }

    /// A vault with a snapshot that needs the packs 12 to 15 and 17, of which 12 to 14 are with peers only.
    private func begin(_ disk: SimulatedDisk) throws -> (vault: Vault, record: SnapshotRecord, page: PackListPage) {
        let vault = try open(disk)
        let page = try world.page([12, 13, 14, 15, 17])
        let record = world.record(1, [page])
        try world.publish(vault, record, [page])
        #expect(try vault.replaceByStubs(ids([12, 13, 14, 17, 16, 3])) == ids([12, 13, 14]))
        return (vault, record, page)
    }

    private func code(_ body: () throws -> Void) -> VaultError.Code? {
        do { try body() } catch { return (error as? VaultError)?.code }
        return nil
    }

    @Test("a stub is small, says what the pack was, and is no pack; packs of trees and what is no pack stay")
    func replaces() throws {
        let (_, record, _) = try begin(disk)
        for vault in [try open(disk), try open(disk)] {
            for pack in ids([12, 13, 14]) {
                try VaultChecker(vault: vault).requireRight(try vault.stub(pack), of: pack)
                #expect(try vault.isElsewhere(pack) && vault.knows(pack) && !vault.contains(pack))
                #expect(try !vault.holds(pack) && vault.fileBytes(pack) == nil)
                #expect(code { _ = try vault.packBytes(pack) } == .elsewhere)
                #expect(code { _ = try vault.tree(of: pack) } == .elsewhere)
            }
            #expect(try vault.contains(world.packs[17].id) && !vault.isElsewhere(world.packs[17].id))
            #expect(try vault.missingPacks(of: record.id) == [])
            let usage = try vault.usage()
            #expect(usage.packs == 2 && usage.stubs == 3 && usage.stubBytes > 0)
            let report = try vault.scrub(readData: 1, seed: 0, repair: false)
            #expect(report.isWhole && report.packs == 5 && report.elsewhere == 3 && report.packsRead == 2)
            #expect(report.strangers == [])
        }
        try disk.unlink(stubPath(world.packs[13].id))
        #expect(try open(disk).missingPacks(of: record.id) == ids([13]))
        #expect(try open(disk).scrub(readData: 0, seed: 0, repair: true).missingPacks == ids([13]))
    }

    @Test("a pack that comes back is one again, and can be given away again")
    func comesBack() throws {
        let (vault, _, _) = try begin(disk)
        try world.store(vault, [12])
        #expect(try vault.contains(world.packs[12].id) && !vault.isElsewhere(world.packs[12].id))
        #expect(try vault.scrub(readData: 1, seed: 0, repair: false).elsewhere == 2)
        #expect(try vault.replaceByStubs(ids([12])) == ids([12]))
        #expect(try vault.isElsewhere(world.packs[12].id))
        try world.store(vault, [12])
        try vault.removeStub(of: world.packs[12].id)
        #expect(try vault.contains(world.packs[12].id))
        #expect(code { _ = try vault.stub(world.packs[12].id) } == .notFound)
    }

    @Test("a backup may count on a stub that a committed snapshot needs; a peer's snapshot on none")
    func commits() throws {
        let (vault, record, page) = try begin(disk)
        let other = try world.page([12, 15])
        try vault.storePage(other.encode())
        let second = world.record(2, [other]).encode()
        #expect(try vault.commit(record: second, stubs: .none) == .missing(packs: ids([12]), pages: []))
        // Neither by the pages that it shares, nor by being there already.
        let shared = world.record(3, [page]).encode()
        #expect(try vault.commit(record: shared, stubs: .none) == .missing(packs: ids([12, 13, 14]), pages: []))
        #expect(try vault.commit(record: record.encode(), stubs: .none) == .missing(packs: ids([12, 13, 14]), pages: []))
        #expect(try vault.commit(record: second) == .committed)
        #expect(try vault.commit(record: shared) == .committed)
        try vault.forget(world.forget(try vault.snapshots()))
        // Peers let go of what nobody needs: a stub proves nothing any more.
        #expect(try vault.commit(record: second) == .missing(packs: ids([12]), pages: []))
        #expect(try vault.commit(record: second, stubs: .any) == .committed)
        try world.store(vault, [12])
        #expect(try vault.commit(record: second, stubs: .none) == .committed)
    }

    @Test("a sweep takes away the stubs that nothing needs; a commit brings them back from the trash")
    func sweeps() throws {
        let (vault, record, _) = try begin(disk)
        let kept = try world.page([12, 15])
        try vault.storePage(kept.encode())
        #expect(try vault.commit(record: world.record(2, [kept]).encode()) == .committed)
        try vault.forget(world.forget([record.id]))
        _ = try vault.sweep(grace: 100, now: 0)
        #expect(try vault.knows(world.packs[12].id) && !vault.knows(world.packs[13].id))
        #expect(try vault.commit(record: record.encode(), stubs: .any) == .committed)
        #expect(try vault.isElsewhere(world.packs[13].id) && vault.isElsewhere(world.packs[14].id))
        try vault.forget(world.forget([record.id]))
        _ = try vault.sweep(grace: 0, now: 0)
        #expect(try VaultChecker(vault: vault).garbage(disk, StubTests.directory) == [])
    }

    @Test("any damaged byte of a stub is mended; a stub beyond that is a missing pack")
    func decay() throws {
        let (vault, _, _) = try begin(disk)
        for index in [12, 14] {
            let pack = world.packs[index].id
            let size = try #require(try disk.status(stubPath(pack))).size
            let path = stubPath(pack)
            // The whole of a small one, which is written twice.
            for at in stride(from: 0, to: size, by: index == 12 ? 3 : 41) {
                disk.damage(path) { $0[at] ^= 0x20 }
                try VaultChecker(vault: vault).requireRight(try vault.stub(pack), of: pack)
                if at % 41 == 0 {
                    #expect(try vault.scrub(readData: 0, seed: 0, repair: true).isWhole, "byte \(at)")
                    #expect(try vault.scrub(readData: 0, seed: 0, repair: false).damagedFiles == 0, "byte \(at)")
                } else {
                    disk.damage(path) { $0[at] ^= 0x20 }
                }
            }
        }
        let pack = world.packs[13].id
        let size = try #require(try disk.status(stubPath(pack))).size
        try disk.openForUpdating(stubPath(pack)).write(at: 0, [UInt8](repeating: 7, count: size))
        #expect(code { _ = try vault.stub(pack) } == .damaged)
        #expect(try vault.scrub(readData: 0, seed: 0, repair: true).missingPacks == [pack])
    }

    @Test("a damaged pack is not given away")
    func damagedPackStays() throws {
        let vault = try open(disk)
        try world.store(vault, [13, 14])
        let path = RawPath("/home/vault/\(world.owner.hex)/packs/\(ids([14])[0].hex.prefix(2))/\(ids([14])[0].hex)")
        let size = try #require(try disk.status(path)).size
        try disk.openForUpdating(path).write(at: 0, [UInt8](repeating: 7, count: size))
        #expect(try vault.replaceByStubs(ids([13, 14])) == ids([13]))
        #expect(try vault.contains(world.packs[14].id) && !vault.isElsewhere(world.packs[14].id))
    }

    /// Packs are given away, come back, are swept and needed again.
    private func live(_ disk: SimulatedDisk, _ committed: inout Set<SnapshotID>) throws {
        let vault = try open(disk)
        let (a, b) = (try world.page([12, 13, 17]), try world.page([13, 14]))
        let (first, second, third) = (world.record(1, [a]), world.record(2, [a, b]), world.record(3, [b]))
        try world.publish(vault, first, [a])
        committed.insert(first.id)
        _ = try vault.replaceByStubs(ids([12, 13]))
        try world.store(vault, [14])
        try vault.storePage(b.encode())
        guard try vault.commit(record: second.encode()) == .committed else { throw VaultWorld.Failure(text: "not committed") }
        committed.insert(second.id)
        try world.store(vault, [12])
        _ = try vault.replaceByStubs(ids([12, 14]))
        committed.remove(first.id)
        try vault.forget(world.forget([first.id]))
        _ = try vault.sweep(grace: 100, now: 0)
        guard try vault.commit(record: third.encode()) == .committed else { throw VaultWorld.Failure(text: "not committed") }
        committed.insert(third.id)
        committed.remove(second.id)
        try vault.forget(world.forget([second.id]))
        _ = try vault.sweep(grace: 0, now: 0)
        // A sweep may end with what need not succeed.
        try vault.sync()
        _ = try vault.snapshots()
    }

    @Test("a crash at any operation leaves the pack or its stub of all that is committed", arguments: 0..<4 as Range<UInt64>)
    func crashes(_ seed: UInt64) throws {
        let whole = SimulatedDisk()
        var committed: Set<SnapshotID> = []
        try live(whole, &committed)
        #expect(whole.operations > 100)
        for operation in 0..<whole.operations {
            let disk = SimulatedDisk()
            disk.faults.crashAtOperation = operation
            var committed: Set<SnapshotID> = []
            #expect(throws: (any Error).self) { try live(disk, &committed) }
            disk.restart(seed: seed &* 1000 &+ UInt64(operation))
            let what = "crash at \(operation), seed \(seed): \(whole.log[operation])"
            do {
                let vault = try open(disk)
                let found = Set(try VaultChecker(vault: vault).requireWhole(allowsStubs: true))
                #expect(found.isSuperset(of: committed), "\(what)")
                #expect(try vault.scrub(readData: 1, seed: 0, repair: false).isWhole, "\(what)")
                _ = try vault.sweep(grace: 0, now: 0)
                #expect(try VaultChecker(vault: vault).garbage(disk, StubTests.directory) == [], "\(what)")
                #expect(Set(try VaultChecker(vault: vault).requireWhole(allowsStubs: true)) == found, "\(what)")
            } catch { Issue.record("\(what): \(error)") }
        }
    }

    @Test("decodes what it encodes, and nothing that is cut short, goes on or makes no sense")
    func coding() throws {
        let bytes = world.packs[13].bytes
        let stub = try PackStub(
            packBytes: bytes.count, header: Array(bytes.prefix(16)), tail: Array(bytes.suffix(97)), isProven: true)
        func decode(_ bytes: [UInt8]) -> PackStub? { bytes.withUnsafeBytes { try? PackStub(decoding: $0) } }
        let encoded = stub.encode()
        #expect(decode(encoded) == stub && encoded.count <= PackStub.encodedBytesMax)
        for count in 0..<encoded.count { #expect(decode(Array(encoded.prefix(count))) == nil) }
        #expect(decode(encoded + [0]) == nil)
        // The mark, the length, the header's kind and rest, and the trailer.
        for (at, value) in [(9, 2), (8, 2), (13, 255), (23, 9), (24, 1), (encoded.count - 16, 40), (encoded.count - 1, 0)] {
            var wrong = encoded
            wrong[at] = UInt8(value)
            #expect(decode(wrong) == nil, "byte \(at)")
        }
        #expect(throws: FormatError.self) {
            _ = try PackStub(packBytes: 112, header: Array(bytes.prefix(16)), tail: Array(bytes.suffix(97)), isProven: true)
        }
    }
}
