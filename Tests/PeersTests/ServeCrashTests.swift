import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import Replication
import TestSupport
import Testing
import Vault

/// The same life of a friend's vault, cut off or out of space at each of its operations.
@Suite("Vaults of others on failing disks") struct ServeCrashTests {
    private struct Told {
        var packs: [Int] = []
        var committed: [SnapshotID] = []
        var forgetting: [SnapshotID] = []
    }

    private struct Life {
        let packs = [300, 4096, 9000, 20_000].enumerated().map { ServePack($1, seed: UInt64($0)) }
        let pages: [PackListPage]
        let records: [SnapshotRecord]
        let order: [UInt8]

        init(_ owner: ServeOwner) throws {
            pages = try [PackListPage(packs: packs[..<2].map { $0.id }), PackListPage(packs: packs[2...].map { $0.id })]
            records = [owner.record(1, [pages[0]]), owner.record(2, pages)]
            order = owner.forget([records[0].id])
        }

        /// Throws at the first answer that says no.
        func live(_ service: VaultService, _ world: ServeWorld, _ told: inout Told) throws {
            func session() -> VaultSession {
                service.session(peer: world.friend.identity(), trust: .friend, handshakeHash: world.hash)
            }
            let first = session()
            defer { first.end() }
            for index in 0..<2 {
                try first.put(packs[index], partBytes: 2000)
                told.packs.append(index)
            }
            try first.put(pages[0])
            guard try first.commit(records[0]) == .committed else { throw ServeFailure(answer: .samples) }
            told.committed.append(records[0].id)
            // Cut off in the middle of a pack, and gone on with.
            _ = try first.stored(packs[3].put(0), packs[3].bytes[..<7000])
            first.end()
            let second = session()
            defer { second.end() }
            for index in 2..<4 {
                try second.put(packs[index], partBytes: 6000)
                told.packs.append(index)
            }
            try second.put(pages[1])
            guard try second.commit(records[1]) == .committed else { throw ServeFailure(answer: .samples) }
            told.committed.append(records[1].id)
            told.forgetting.append(records[0].id)
            let answer = second.ask(.forget, order).answer
            guard case .forgotten = answer else { throw ServeFailure(answer: answer) }
            let swept = second.ask(.sweep).answer
            guard case .swept = swept else { throw ServeFailure(answer: swept) }
        }
    }

    /// What must hold afterwards, for a new process.
    private func requireSound(_ life: Life, _ world: ServeWorld, _ disk: SimulatedDisk, _ told: Told, _ what: String) throws {
        if let vault = try? Vault(disk: disk, directory: "/home/vault", owner: world.friend.key.id, create: false) {
            let snapshots = Set(try vault.snapshots())
            for id in told.committed where !told.forgetting.contains(id) { #expect(snapshots.contains(id), "\(what)") }
            for index in told.packs { #expect(try vault.holds(life.packs[index].id), "\(what): pack \(index)") }
            #expect(try vault.scrub(readData: 1, seed: 0, repair: false).isWhole, "\(what)")
        } else {
            #expect(told.packs.isEmpty && told.committed.isEmpty, "\(what)")
        }
        let service = world.rules.service(disk, own: world.own.key.id, bufferBytes: 1)
        let totals = service.usage(of: world.friend.key.id)
        #expect(Int(totals?.usedBytes ?? 0) == ServeWorld.fileBytes(disk, world.friend.key.id), "\(what)")
        var again = Told()
        do { try life.live(service, world, &again) } catch { Issue.record("\(what): \(error)") }
        #expect(service.promisedBytes == (0, 0), "\(what)")
        #expect(
            Int(service.usage(of: world.friend.key.id)?.usedBytes ?? 0)
                == ServeWorld.fileBytes(disk, world.friend.key.id), "\(what)")
    }

    @Test(
        "a crash at any operation loses nothing that was acknowledged, and the upload goes on", arguments: 0..<4 as Range<UInt64>)
    func crashes(_ seed: UInt64) throws {
        let world = ServeWorld()
        let life = try Life(world.friend)
        let bufferBytes = seed % 2 == 0 ? 20 << 20 : 1
        let whole = SimulatedDisk()
        var told = Told()
        try life.live(world.rules.service(whole, own: world.own.key.id, bufferBytes: bufferBytes), world, &told)
        #expect(whole.operations > 100)
        // Each seed takes another part of the operations, with and without memory for what arrives.
        for operation in stride(from: Int(seed), to: whole.operations, by: 4) {
            let disk = SimulatedDisk()
            disk.faults.crashAtOperation = operation
            var told = Told()
            let service = world.rules.service(disk, own: world.own.key.id, bufferBytes: bufferBytes)
            do { try life.live(service, world, &told) } catch {}
            disk.restart(seed: seed &* 1000 &+ UInt64(operation))
            try requireSound(life, world, disk, told, "crash at \(operation), seed \(seed): \(whole.log[operation])")
        }
    }

    @Test("a disk that is full at any operation is said to be full, and nothing is lost", arguments: [20 << 20, 1])
    func full(_ bufferBytes: Int) throws {
        let world = ServeWorld()
        let life = try Life(world.friend)
        let whole = SimulatedDisk()
        var told = Told()
        try life.live(world.rules.service(whole, own: world.own.key.id, bufferBytes: bufferBytes), world, &told)
        for operation in stride(from: bufferBytes % 2, to: whole.operations, by: 2) {
            let disk = SimulatedDisk()
            disk.faults.fullFromOperation = operation
            var told = Told()
            let service = world.rules.service(disk, own: world.own.key.id, bufferBytes: bufferBytes)
            do {
                try life.live(service, world, &told)
            } catch let failure as ServeFailure {
                if case .failed(let failed) = failure.answer {
                    #expect(failed.code == .noSpace, "full at \(operation): \(failed)")
                }
            }
            disk.faults = SimulatedDisk.Faults()
            #expect(
                Int(service.usage(of: world.friend.key.id)?.usedBytes ?? 0)
                    == ServeWorld.fileBytes(disk, world.friend.key.id), "full at \(operation): \(whole.log[operation])")
            var again = Told()
            do { try life.live(service, world, &again) } catch { Issue.record("full at \(operation), then: \(error)") }
            told.forgetting += again.forgetting
            #expect(service.promisedBytes == (0, 0), "full at \(operation)")
            try requireSound(life, world, disk, told, "full at \(operation): \(whole.log[operation])")
        }
    }
}
