import BackupFormat
import Daemon
import HostFiles
import PeerProtocol
import Testing

/// A device of the same owner that keeps nothing yet, and counts how often it is asked what it has: once in each round.
private final class CountingPeer: PeerChannel, @unchecked Sendable {
    // SAFETY: all that changes is in `lists`.
    let peer: PeerIdentity
    let trust = Trust.own
    let hello = Hello(offer: Offer(role: .persister))
    let handshakeHash = [UInt8](repeating: 7, count: 64)
    let invitationToken: Bytes32? = nil
    private let lists = ConditionLock(0)

    init(_ certificate: Certificate) {
        peer = PeerIdentity(agreementKey: certificate.agreementKey, certificate: certificate, agent: "test")
    }

    var rounds: Int { lists.withLock { $0 } }

    /// Whether it is asked so often within ten seconds.
    func waitsFor(_ count: Int) -> Bool { lists.wait(milliseconds: 10_000) { $0 >= count ? true : nil } == true }

    func submit(_ request: Request, bulk: ArraySlice<UInt8>, then: @escaping ReplyHandler) throws(PeerProtocolError) {
        switch request {
        case .list:
            lists.withLock { $0 += 1 }
            then(.success(PeerReply(.listing(Listing(snapshots: [], hasMore: false)))))
        case .vault: then(.success(PeerReply(.vault(VaultState(exists: true)))))
        default: then(.success(PeerReply(.failed(Failed(.busy)))))
        }
    }

    func answer(_ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8>) throws(PeerProtocolError) {}
    func consumed(creditBytes: Int) {}
    func announce(_ offer: Offer) {}
    func close(_ code: PeerProtocolError.Code, reason: String) {}
}

@Suite("What wakes a session") struct WakingTests {
    private static let offer = Offer(role: .persister, free: 1 << 40, quota: .max)

    private func begin(_ core: DaemonCore, _ certificate: Certificate) -> (CountingPeer, PeerSession) {
        let channel = CountingPeer(certificate)
        let session = PeerSession(channel, core)
        session.begin()
        session.take(WakingTests.offer)
        session.renewOffer(freeBytes: 1 << 40, wantedBytes: 0, usage: nil)
        return (channel, session)
    }

    @Test("sessions that come and go without news wake nobody else; what is new wakes all")
    func others() throws {
        var world = try SimulatedHome()
        world.configuration.role = .both
        let core = try world.core()
        let devices = (0..<2).map { world.device("d\($0)") }
        let (steady, session) = begin(core, devices[0])
        func comeAndGo() {
            let (channel, session) = begin(core, devices[1])
            #expect(channel.waitsFor(1))
            session.end(PeerProtocolError(.disconnected, "the test is over"))
        }
        // The first time it is somebody new, and there may be something to bring.
        comeAndGo()
        #expect(steady.waitsFor(1))
        var before = -1
        while steady.rounds != before {
            before = steady.rounds
            sleep(milliseconds: 300)
        }
        for _ in 0..<12 { comeAndGo() }
        sleep(milliseconds: 300)
        #expect(steady.rounds == before)
        core.poke()
        #expect(steady.waitsFor(before + 1))
        core.stop()
        session.end(PeerProtocolError(.disconnected, "the test is over"))
        core.finish()
    }

    @Test("what is kept here for a peer grows, and as long as both agree on the same that wakes nobody")
    func stored() throws {
        // The offer says what is used; the agreement does not depend on it while there is room.
        var world = try SimulatedHome()
        world.configuration.role = .both
        let core = try world.core()
        let (channel, session) = begin(core, world.device("d"))
        #expect(channel.waitsFor(1))
        var before = -1
        while channel.rounds != before {
            before = channel.rounds
            sleep(milliseconds: 300)
        }
        for bytes in 1...8 {
            session.renewOffer(freeBytes: (1 << 40) - UInt64(bytes) * (1 << 20), wantedBytes: UInt64(bytes), usage: nil)
        }
        sleep(milliseconds: 300)
        #expect(channel.rounds == before)
        core.stop()
        session.end(PeerProtocolError(.disconnected, "the test is over"))
        core.finish()
    }
}
