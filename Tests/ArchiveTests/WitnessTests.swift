import Archive
import BackupFormat
import HostFiles
import Ledger
import Testing
import Vault

/// A peer that shows what is in a vault, but for some packs.
private struct Witness: PackWitness {
    let vault: Vault
    var lost: Set<PackID> = []
    var away: Set<PackID> = []

    func examine(
        _ packs: [PackID], each: @escaping @Sendable (PackID, UnsafeRawBufferPointer) -> Void
    ) throws(ArchiveError) -> PackEvidence {
        var evidence = PackEvidence()
        for pack in packs {
            if lost.contains(pack) {
                evidence.lost.append(pack)
            } else if away.contains(pack) {
                evidence.unknown.append(pack)
            } else {
                do {
                    let bytes = try vault.packPart(pack, 0..<vault.packBytes(pack))
                    bytes.withUnsafeBytes { each(pack, $0) }
                    evidence.shown += 1
                    evidence.bytes += bytes.count
                } catch { throw ArchiveError(.damaged, "show a pack", "\(error)") }
            }
        }
        return evidence
    }
}

@Suite("A check of packs that only peers have") struct WitnessTests {
    let world = StoreWorld()

    /// A snapshot of which all data is with the witness, the largest pack first.
    private func begin() throws -> (disk: SimulatedDisk, witness: Witness, packs: [PackID]) {
        let disk = SimulatedDisk()
        let store = try world.open(disk)
        world.folder.write("s/a", noise(900_000, 1))
        _ = try world.backUp(store, at: 1)
        let peer = try world.open(SimulatedDisk(copying: disk)).vault
        var packs: [PackID] = []
        try store.vault.forEachPack { packs.append($0) }
        let given = try store.vault.replaceByStubs(packs)
        return (disk, Witness(vault: peer), try given.sorted { try peer.packBytes($0) > peer.packBytes($1) })
    }

    private func check(
        _ store: ArchiveStore, _ witness: Witness, share: Double = 1, repair: Bool = false
    ) throws -> CheckReport {
        try store.check(
            readDataFraction: share, repair: repair, nowSeconds: 0, progress: Progress(), peersMayHold: true, witness: witness)
    }

    private func known(_ disk: SimulatedDisk) -> KnownLosses { KnownLosses.read(disk, directory: "/home/ledger") }

    @Test("reads them all, or none; a repair makes what a peer had shown certain")
    func hints() throws {
        let (disk, witness, packs) = try begin()
        let store = try world.open(disk)
        for pack in packs {
            let stub = try store.vault.stub(pack)
            try store.vault.removeStub(of: pack)
            try store.vault.store(
                stub: PackStub(packBytes: stub.packBytes, header: stub.header, tail: stub.tail, isProven: false), of: pack)
        }
        #expect(try check(store, witness, share: 0).evidence == PackEvidence())
        let read = try check(store, witness)
        #expect(read.isClean && read.evidence.shown == packs.count && read.evidence.bytes > 900_000)
        #expect(try packs.allSatisfy { try !store.vault.stub($0).isProven })
        #expect(try check(store, witness, repair: true).isClean)
        #expect(try packs.allSatisfy { try store.vault.stub($0).isProven })
    }

    @Test("what a peer has shown, and is not what the pack says, is told, and mended by a repair")
    func falseHint() throws {
        let (disk, witness, packs) = try begin()
        let store = try world.open(disk)
        let stub = try store.vault.stub(packs[0])
        try store.vault.removeStub(of: packs[0])
        var tail = stub.tail
        tail[0] ^= 1
        try store.vault.store(
            stub: PackStub(packBytes: stub.packBytes, header: stub.header, tail: tail, isProven: false), of: packs[0])
        let found = try check(store, witness)
        #expect(found.repairable.contains { $0.contains(packs[0].hex) })
        let mended = try check(store, witness, repair: true)
        #expect(mended.isClean && mended.repaired.contains { $0.contains(packs[0].hex) })
        #expect(try store.vault.stub(packs[0]) == stub)
    }

    @Test(
        "what is away is not lost; what is lost is remembered until somebody has it, or a repair has the next backup store it again"
    )
    func lost() throws {
        let (disk, whole, packs) = try begin()
        var store = try world.open(disk)
        var witness = whole
        witness.away = [packs[0]]
        let away = try check(store, witness)
        #expect(away.isClean && away.evidence.unknown == [packs[0]] && known(disk).isEmpty)
        (witness.away, witness.lost) = ([], [packs[0]])
        let found = try check(store, witness)
        #expect(
            found.lost.contains { $0.contains(packs[0].hex) } && found.lost.contains { $0.hasSuffix("/s/a") }, "\(found.lost)")
        #expect(known(disk).packs == [packs[0]: .elsewhere])
        #expect(try store.vault.isElsewhere(packs[0]))
        // Nobody is asked, and nothing is forgotten.
        #expect(try check(store, witness, share: 0).lost.count == 1 && !known(disk).isEmpty)
        #expect(try check(store, whole).isClean && known(disk).isEmpty)

        _ = try check(store, witness, repair: true)
        #expect(try !store.vault.knows(packs[0]))
        #expect(known(disk).packs == [packs[0]: .missing])
        store = try world.open(disk)
        let again = try world.backUp(store, at: 100)
        #expect(again.newBytes > 800_000 && again.errorCount == 0)
        let snapshot = try #require(again.snapshot)
        #expect(try store.vault.missingPacks(of: snapshot).isEmpty)
    }
}
