import BackupFormat
import BackupNode
import Daemon
import HostFiles
import Ledger
import PeerProtocol
import Peers
import Testing
import Vault

@Suite("What a peer has lost, and what it has again") struct PeerLossTests {
    private let there = SimulatedDisk(keepsLog: false)

    private func packs(_ vault: Vault, _ id: SnapshotID) throws -> Set<PackID> {
        Set(try vault.snapshotRecord(id).pages.flatMap { try vault.page($0.id).packs })
    }

    @Test("a pack that is gone here and there takes its snapshots off what counts there, and no others")
    func goneHereAndThere() throws {
        let world = try SimulatedHome()
        try world.backUp(Array("one".utf8))
        try world.backUp(Array("two".utf8))
        let device = world.device("d")
        try world.know(device)
        let service = KeepingPeer.service(of: world.owner.id, on: there)
        #expect(try world.meet(device, service) { world.replica(device).snapshots.count == 2 })
        let vault = try Vault(disk: world.disk, directory: world.home.vaultDirectory, owner: world.owner.id, create: false)
        let ids = try vault.snapshots()
        let lost = try #require(packs(vault, ids[0]).subtracting(packs(vault, ids[1])).min())
        for disk in [world.disk, there] {
            for path in disk.files(under: "/").map(\.path) where path.description.hasSuffix(lost.hex) { try disk.unlink(path) }
        }
        // Two days later.
        var table = ReplicaTable.read(world.disk, directory: world.home.ledgerDirectory)
        table[device.device].lastProven -= 2 * 86_400
        try table.write(world.disk, directory: world.home.ledgerDirectory)
        #expect(try world.meet(device, service) { world.replica(device).snapshots.keys.sorted() == [ids[1]] })
        #expect(!world.replica(device).isDamaged)
    }

    @Test("a peer that went on with an old disk is told again what to forget, though nothing else is kept there")
    func forgottenAgain() throws {
        let world = try SimulatedHome()
        try world.backUp(Array("one".utf8))
        let device = world.device("d")
        try world.know(device)
        let service = KeepingPeer.service(of: world.owner.id, on: there)
        #expect(try world.meet(device, service) { world.replica(device).snapshots.count == 1 })
        let image = SimulatedDisk(copying: there)
        func held(_ disk: SimulatedDisk) throws -> Int {
            try Vault(disk: disk, directory: "/there/vault", owner: world.owner.id, create: false).snapshots().count
        }
        let node = try Node(world.home, world.keys, world.configuration)
        try node.forget(node.catalog().snapshots.map(\.id))
        #expect(try world.meet(device, service) { !world.replica(device).ordersDelivered.isEmpty })
        #expect(try held(there) == 0 && held(image) == 1)
        let before = KeepingPeer.service(of: world.owner.id, on: image)
        #expect(try world.meet(device, before) { try held(image) == 0 })
    }

    @Test("a friend may have so many devices connected, and one that comes again is not one more")
    func friendsDevices() throws {
        var world = try SimulatedHome()
        world.configuration.memoryBytes = 64 << 20
        let friend = try SimulatedHome()
        let devices = (0..<3).map { friend.device("f\($0)") }
        for device in devices { try world.know(device) }
        let core = try world.core()
        let this = try #require(world.keys.identity.certificate)
        let service = KeepingPeer.service(of: world.owner.id)
        let sessions = [0, 1, 0, 2].map { number in
            let channel = KeepingPeer(devices[number], service, asker: this, breaks: false, trust: .friend)
            let session = PeerSession(channel, core)
            session.begin()
            return (channel, session)
        }
        #expect(sessions.map { channel, _ in channel.state.read { $0.closed } } == [nil, nil, nil, .busy])
        core.stop()
        for (_, session) in sessions { session.end(PeerProtocolError(.disconnected, "the connection broke")) }
        core.finish()
    }
}
