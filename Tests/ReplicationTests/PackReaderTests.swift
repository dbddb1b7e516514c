import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Replication
import Testing
import Vault

/// Parts of packs read straight from peers.
@Suite("Reading packs from peers") struct PackReaderTests {
    let owner = OwnerKey.generate()
    let packs: [(id: PackID, bytes: [UInt8])]

    init() {
        packs = [5 << 20, 300, (2 << 20) + 17].enumerated().map { number, count in
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 9) ^ number) }
            return (bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }, bytes)
        }
    }

    private func peer(_ held: [Int] = [0, 1, 2]) throws -> VaultPeer {
        let vault = try Vault(disk: SimulatedDisk(), directory: "/home/vault", owner: owner.id, create: true)
        for index in held {
            _ = try packs[index].bytes.withUnsafeBytes { try vault.storeVerified(pack: packs[index].id, bytes: $0) }
        }
        return VaultPeer(vault)
    }

    private func read(_ reader: PackReader, _ pack: Int, _ range: Range<Int>, isAgain: Bool = false) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try reader.read(packs[pack].id, range, into: $0, isAgain: isAgain) }
        return bytes
    }

    private func code(_ body: () throws -> Void) -> ReplicationError.Code? {
        do { try body() } catch { return (error as? ReplicationError)?.code }
        return nil
    }

    @Test("any part of any pack comes as it is there, whatever was read before")
    func parts() throws {
        let reader = PackReader(blocksMax: 4)
        reader.expect(packs.map(\.id))
        reader.add(try peer())
        reader.add(try peer([0, 2]))
        for (pack, range) in [
            (0, 0..<10), (0, (1 << 20) - 5..<(1 << 20) + 5), (1, 0..<300), (0, (5 << 20) - 1..<5 << 20), (0, 100..<(4 << 20)),
            (2, (2 << 20)..<(2 << 20) + 17), (1, 299..<300), (2, 0..<1 << 20), (0, 0..<5 << 20),
        ] {
            #expect(try read(reader, pack, range) == Array(packs[pack].bytes[range]), "pack \(pack), \(range)")
        }
    }

    @Test("a peer that takes questions and never answers holds nothing up: another is asked", .timeLimit(.minutes(1)))
    func mute() throws {
        let silent = try peer()
        silent.faults.isMute = true
        let reader = PackReader(blocksMax: 4)
        reader.add(silent)
        reader.add(try peer())
        for pack in 0..<3 {
            let range = 0..<packs[pack].bytes.count
            #expect(try read(reader, pack, range) == packs[pack].bytes, "pack \(pack)")
        }
    }

    @Test("what comes wrong is asked of another peer; only who has the pack is asked for it")
    func wrongBytes() throws {
        let (liar, honest) = (try peer(), try peer([1, 2]))
        liar.faults.givesGarbage = true
        let reader = PackReader(blocksMax: 8)
        reader.add(liar)
        let wrong = try read(reader, 1, 0..<300)
        #expect(wrong != packs[1].bytes)
        reader.add(honest)
        // As long as nobody complains, what is here is given.
        #expect(try read(reader, 1, 0..<300) == wrong)
        #expect(try read(reader, 1, 0..<300, isAgain: true) == packs[1].bytes)
        #expect(code { _ = try read(reader, 2, (3 << 20)..<(3 << 20) + 1) } == .notFound)
        // Who was wrong is better than nobody.
        #expect(try read(reader, 0, 0..<10, isAgain: true).count == 10)
    }

    @Test("a peer that goes is done without; with none left, that is said")
    func broken() throws {
        let (first, second) = (try peer(), try peer())
        let reader = PackReader(blocksMax: 4)
        #expect(code { _ = try read(reader, 0, 0..<1) } == .cutOff)
        reader.add(first)
        reader.add(second)
        first.faults.breaksAfter = 1
        #expect(try read(reader, 0, 0..<5 << 20) == packs[0].bytes)
        #expect(reader.alivePeers == 1)
        second.faults.breaksAfter = 0
        #expect(code { _ = try read(reader, 2, 0..<1 << 20) } == .cutOff)
        #expect(reader.alivePeers == 0)
        reader.add(try peer())
        #expect(try read(reader, 2, 0..<1 << 20) == Array(packs[2].bytes[..<(1 << 20)]))
        #expect(code { _ = try read(reader, 2, 0..<0) } == .notFound)
    }

    @Test("a pack that only peers have goes to a new peer by way of this node's memory, if it is right")
    func relays() throws {
        let holder = try peer()
        let here = try Vault(disk: SimulatedDisk(), directory: "/home/vault", owner: owner.id, create: true)
        let node = NodeKey.generate()
        let certificate = owner.certify(node, name: "laptop", permissions: .all, serial: 1)
        let body = [UInt8](repeating: 7, count: (1 << 20) + 99)
        let bytes = PackFrame.header(.data) + body + [UInt8](repeating: 9, count: 81) + PackFrame.trailer(sealedFooterBytes: 81)
        let pack = bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }
        for vault in [here, holder.vault] { _ = try bytes.withUnsafeBytes { try vault.store(pack: pack, bytes: $0) } }
        let page = try PackListPage(packs: [pack])
        try here.storePage(page.encode())
        var record = SnapshotRecord(
            owner: owner.id, device: node.id, sequence: 1, sealed: [1], pages: [.init(id: page.id, packCount: 1)],
            certificate: certificate)
        signSnapshot(&record, with: node)
        #expect(try here.commit(record: record.encode()) == .committed)
        #expect(try here.replaceByStubs([pack]) == [pack])

        let new = try peer([])
        let alone = try SnapshotUpload(from: here, to: new).run()
        #expect(alone.committed.isEmpty && alone.refused[record.id] != nil)
        let relay: PackRelay = { (pack, body) throws(ReplicationError) in try body(try fetchPack(pack, from: [holder])) }
        holder.faults.givesGarbage = true
        #expect(try SnapshotUpload(from: here, to: new, relay: relay).run().refused[record.id] != nil)
        holder.faults.givesGarbage = false
        #expect(try SnapshotUpload(from: here, to: new, relay: relay).run().committed[record.id] == 0)
        #expect(try new.vault.holds(pack) && here.isElsewhere(pack))
        // What a peer has lost is sent again the same way.
        let third = try peer([])
        try ReplicaCheck(of: here, at: third, relay: relay).send([pack])
        #expect(try third.vault.holds(pack) && ReplicaCheck(of: here, at: third).packs(of: [record.id]).packs == [pack])
    }

    @Test("a snapshot comes with its trees and what tells where its data is; the data stays where it is")
    func stubs() throws {
        let node = NodeKey.generate()
        let certificate = owner.certify(node, name: "laptop", permissions: .all, serial: 1)
        // The second footer is longer than what is asked for at first.
        let made = [(PackKind.data, 81), (.data, 1_200_000), (.tree, 81)].enumerated().map { number, pack in
            let body = [UInt8](repeating: UInt8(number), count: 5000)
            return PackFrame.header(pack.0) + body + [UInt8](repeating: 9, count: pack.1)
                + PackFrame.trailer(sealedFooterBytes: pack.1)
        }
        let ids = made.map { bytes in bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID } }
        let (liar, honest) = (try peer([]), try peer([]))
        let page = try PackListPage(packs: ids)
        var record = SnapshotRecord(
            owner: owner.id, device: node.id, sequence: 1, sealed: [1], pages: [.init(id: page.id, packCount: 3)],
            certificate: certificate)
        signSnapshot(&record, with: node)
        for peer in [liar, honest] {
            for (id, bytes) in zip(ids, made) { _ = try bytes.withUnsafeBytes { try peer.vault.store(pack: id, bytes: $0) } }
            try peer.vault.storePage(page.encode())
            #expect(try peer.vault.commit(record: record.encode()) == .committed)
        }
        liar.faults.givesGarbage = true
        let here = try Vault(disk: SimulatedDisk(), directory: "/home/vault", owner: owner.id, create: true)
        let none = try SnapshotDownload(into: here, from: [honest], isRightStub: { _ in false }).run()
        #expect(none.committed.isEmpty && none.incomplete[record.id] != nil)
        let report = try SnapshotDownload(into: here, from: [liar, honest], isRightStub: { $0.tail.first == 9 }).run()
        #expect(report.committed == [record.id] && report.incomplete.isEmpty)
        for (number, id) in ids.enumerated() {
            #expect(try here.isElsewhere(id) == (number < 2) && here.knows(id))
            guard number < 2 else { continue }
            let stub = try here.stub(id)
            #expect(!stub.isProven && stub.packBytes == made[number].count && stub.header == Array(made[number].prefix(16)))
            #expect(stub.tail == Array(made[number].suffix(made[number].count - 5016)))
        }
        // Once nobody has a pack, its snapshot is told of.
        let other = try Vault(disk: SimulatedDisk(), directory: "/home/vault", owner: owner.id, create: true)
        honest.faults.breaksAfter = 0
        #expect(code { _ = try SnapshotDownload(into: other, from: [honest], isRightStub: { _ in true }).run() } == .cutOff)
    }
}
