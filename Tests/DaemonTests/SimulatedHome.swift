import Archive
import BackupFormat
import BackupNode
import Cryptography
import Daemon
import Foundation
import HostFiles
import Ledger
import PeerProtocol
import Peers
import Testing

/// A new node's home on a simulated disk, with what its daemon needs.
struct SimulatedHome {
    let disk = SimulatedDisk(keepsLog: false)
    let home: Home
    let keys: HomeKeys
    let owner: OwnerKey
    var configuration = Configuration()

    init() throws {
        home = Home(directory: "/home", source: .flag, configurationFile: "/home/bakare.toml", disk: disk)
        keys = try home.open(host: "this", now: currentTime()).keys
        owner = try #require(keys.owner)
        configuration.reserveBytes = 0
    }

    /// Another device of the same owner.
    func device(_ name: String) -> Certificate { owner.certify(NodeKey.generate(), name: name, permissions: .all, serial: 1) }

    /// Puts a device into the book, and with it its owner if that is a friend.
    func know(_ certificate: Certificate) throws {
        try home.peerBook().change { book throws(PeerBookError) in
            try book.recovered(certificate, own: owner.id, at: [], now: currentTime() / 1_000_000_000)
        }
    }

    /// Runs the daemon, with a peer connected, until the condition holds; false if it does not within 20 seconds.
    func meet(_ certificate: Certificate, _ service: VaultService, until condition: () throws -> Bool) throws -> Bool {
        let core = try core()
        let this = try #require(keys.identity.certificate)
        let (_, session) = KeepingPeer.begin(certificate, service, core, asker: this)
        defer {
            core.stop()
            session.end(PeerProtocolError(.disconnected, "the connection broke"))
            core.finish()
        }
        for _ in 0..<400 {
            if try condition() { return true }
            sleep(milliseconds: 50)
        }
        return false
    }

    /// What the ledger says of a peer.
    func replica(_ certificate: Certificate) -> Replica {
        ReplicaTable.read(disk, directory: home.ledgerDirectory)[certificate.device]
    }

    /// Backs up one file.
    @discardableResult
    func backUp(_ content: [UInt8]) throws -> BackupReport {
        let source = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-source-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: source) }
        try Data(content).write(to: source.appendingPathComponent("file"))
        let request = BackupRequest(paths: [RawPath(source.path)], exclusions: Exclusions(), host: "this", time: currentTime())
        let report = try Node(home, keys, configuration).backUp(request, Progress()) { _ in }
        #expect(report.snapshot != nil)
        return report
    }

    func core(log: @escaping @Sendable (String) -> Void = { _ in }) throws -> DaemonCore {
        try DaemonCore(home, keys, configuration, log: log)
    }
}

/// A device of the same owner that keeps everything, in a real vault. Its connection can break once it has said that it has committed
/// something.
final class KeepingPeer: PeerChannel, @unchecked Sendable {
    // SAFETY: all that changes is in `state`.
    struct State {
        var drafts = 0
        var audits = 0
        var isBroken = false
        var closed: PeerProtocolError.Code?
    }

    let peer: PeerIdentity
    let trust: Trust
    let hello = Hello(offer: Offer(role: .persister))
    let handshakeHash = [UInt8](repeating: 7, count: 64)
    let invitationToken: Bytes32? = nil
    let state = ConditionLock(State())
    private let vault: VaultSession
    private let breaks: Bool

    init(_ certificate: Certificate, _ service: VaultService, asker: Certificate, breaks: Bool, trust: Trust = .own) {
        self.trust = trust
        peer = PeerIdentity(agreementKey: certificate.agreementKey, certificate: certificate, agent: "test")
        let identity = PeerIdentity(agreementKey: asker.agreementKey, certificate: asker, agent: "test")
        vault = service.session(peer: identity, trust: .own, handshakeHash: handshakeHash)
        self.breaks = breaks
    }

    /// A service that keeps everything of that owner.
    static func service(of owner: OwnerID, on disk: SimulatedDisk = SimulatedDisk(keepsLog: false)) -> VaultService {
        VaultService(
            disk: disk, directory: "/there/vault", own: owner, reserveBytes: { 0 },
            policy: { _ in ServingPolicy(quotaBytes: .max, mayStore: true) }, isForgotten: { _ in false },
            bufferBytes: Limits.packBytesMax, trashGraceSeconds: 0, now: { currentTime() / 1_000_000_000 })
    }

    /// Begins a session with one, which offers more room than anybody needs.
    static func begin(
        _ certificate: Certificate, _ service: VaultService, _ core: DaemonCore, asker: Certificate, breaks: Bool = false
    ) -> (KeepingPeer, PeerSession) {
        let channel = KeepingPeer(certificate, service, asker: asker, breaks: breaks)
        let session = PeerSession(channel, core)
        session.begin()
        session.take(Offer(role: .persister, free: 1 << 40, quota: .max))
        session.renewOffer(freeBytes: 1 << 40, wantedBytes: 1 << 20, usage: nil)
        return (channel, session)
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
    func close(_ code: PeerProtocolError.Code, reason: String) { state.withLock { $0.closed = code } }
}
