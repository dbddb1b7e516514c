import Archive
import BackupFormat
import BackupNode
import Cryptography
import Daemon
import Foundation
import HostFiles
import PeerProtocol
import Peers
import Testing

/// A device of the same owner, with a real vault. Its connection breaks once it has said that it has committed something.
private final class BreakingPeer: PeerChannel, @unchecked Sendable {
    // SAFETY: all that changes is in `state`.
    struct State {
        var drafts = 0
        var audits = 0
        var isBroken = false
    }

    let peer: PeerIdentity
    let trust = Trust.own
    let hello = Hello(offer: Offer(role: .persister))
    let handshakeHash = [UInt8](repeating: 7, count: 64)
    let invitationToken: Bytes32? = nil
    let state = ConditionLock(State())
    private let vault: VaultSession
    private let breaks: Bool

    init(_ certificate: Certificate, _ service: VaultService, asker: Certificate, breaks: Bool) {
        peer = PeerIdentity(agreementKey: certificate.agreementKey, certificate: certificate, agent: "test")
        let identity = PeerIdentity(agreementKey: asker.agreementKey, certificate: asker, agent: "test")
        vault = service.session(peer: identity, trust: .own, handshakeHash: handshakeHash)
        self.breaks = breaks
    }

    func waits(_ condition: (State) -> Bool) -> Bool {
        state.wait(milliseconds: 20_000) { condition($0) ? true : nil } == true
    }

    func submit(_ request: Request, bulk: ArraySlice<UInt8>, then: @escaping ReplyHandler) throws(PeerProtocolError) {
        if state.read({ $0.isBroken }) { throw PeerProtocolError(.disconnected, "the connection broke") }
        let (answer, bytes) = vault.answer(request, bulk: Array(bulk))
        state.withLock { state in
            if case .put(let put) = request, put.kind == .draft { state.drafts += 1 }
            if case .audit = request { state.audits += 1 }
            if breaks, case .outcome(let outcome) = answer, outcome.result == .committed { state.isBroken = true }
        }
        then(.success(PeerReply(answer, bulk: bytes)))
    }

    func answer(_ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8>) throws(PeerProtocolError) {}
    func consumed(creditBytes: Int) {}
    func announce(_ offer: Offer) {}
    func close(_ code: PeerProtocolError.Code, reason: String) {}
}

@Suite("Sessions that break") struct BrokenSessionTests {
    @Test(
        "what a peer has said to have committed before the connection broke is proven in the next session, and not brought again")
    func committedOnce() throws {
        let source = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-broken-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: source) }
        try Data("content".utf8).write(to: source.appendingPathComponent("file"))
        let home = Home(
            directory: "/home", source: .flag, configurationFile: "/home/bakare.toml", disk: SimulatedDisk(keepsLog: false))
        let keys = try home.open(host: "this", now: currentTime()).keys
        let (owner, this) = (try #require(keys.owner), try #require(keys.identity.certificate))
        var configuration = Configuration()
        configuration.reserveBytes = 0
        let node = try Node(home, keys, configuration)
        let request = BackupRequest(
            paths: [RawPath(source.path)], exclusions: Exclusions(), host: "this", time: currentTime())
        #expect(try node.backUp(request, Progress()) { _ in }.snapshot != nil)

        let service = VaultService(
            disk: SimulatedDisk(keepsLog: false), directory: "/there/vault", own: owner.id, reserveBytes: { 0 },
            policy: { _ in ServingPolicy(quotaBytes: .max, mayStore: true) }, isForgotten: { _ in false },
            bufferBytes: Limits.packBytesMax, trashGraceSeconds: 0, now: { currentTime() / 1_000_000_000 })
        let core = try DaemonCore(home, keys, configuration) { _ in }
        let device = owner.certify(NodeKey.generate(), name: "d", permissions: .all, serial: 1)
        func begin(breaks: Bool) -> (BreakingPeer, PeerSession) {
            let channel = BreakingPeer(device, service, asker: this, breaks: breaks)
            let session = PeerSession(channel, core)
            session.begin()
            session.take(Offer(role: .persister, free: 1 << 40, quota: .max))
            session.renewOffer(freeBytes: 1 << 40, wantedBytes: 1 << 20)
            return (channel, session)
        }
        let end = PeerProtocolError(.disconnected, "the connection broke")
        let (first, broken) = begin(breaks: true)
        #expect(first.waits { $0.isBroken })
        broken.end(end)
        #expect(first.state.read { $0.drafts } == 1 && first.state.read { $0.audits } == 0)
        let (second, session) = begin(breaks: false)
        #expect(second.waits { $0.audits > 0 })
        #expect(second.state.read { $0.drafts } == 0)
        core.stop()
        session.end(end)
        core.finish()
    }
}
