import BackupFormat
import Daemon
import HostFiles
import PeerProtocol
import Testing

@Suite("Sessions that break") struct BrokenSessionTests {
    @Test(
        "what a peer has said to have committed before the connection broke is proven in the next session, and not brought again")
    func committedOnce() throws {
        let world = try SimulatedHome()
        let this = try #require(world.keys.identity.certificate)
        try world.backUp(Array("content".utf8))
        let service = KeepingPeer.service(of: world.owner.id)
        let core = try world.core()
        let device = world.device("d")
        let end = PeerProtocolError(.disconnected, "the connection broke")
        let (first, broken) = KeepingPeer.begin(device, service, core, asker: this, breaks: true)
        #expect(first.waits { $0.isBroken })
        broken.end(end)
        #expect(first.state.read { $0.drafts } == 1 && first.state.read { $0.audits } == 0)
        let (second, session) = KeepingPeer.begin(device, service, core, asker: this)
        #expect(second.waits { $0.audits > 0 })
        #expect(second.state.read { $0.drafts } == 0)
        core.stop()
        session.end(end)
        core.finish()
    }
}
