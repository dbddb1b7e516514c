package import BackupFormat
internal import HostFiles
package import PeerProtocol

/// A session with a peer, for threads that may block. It is handed out when both sides have said hello.
///
/// When the session ends, everybody who waits is told why, and so is everybody who comes later.
package final class PeerConnection: PeerChannel {
    package let peer: PeerIdentity
    package let trust: Trust
    /// What the peer said of itself at first; ``TransportEvents/offered(_:_:)`` tells of changes.
    package let hello: Hello
    /// 64 bytes that name this session and no other.
    package let handshakeHash: [UInt8]
    /// Whether this node dialled.
    package let isDialled: Bool
    /// Where the peer dialled with an invitation of this node: its token. Else nil.
    package let invitationToken: Bytes32?
    let driver: SessionDriver

    init(
        peer: PeerIdentity, trust: Trust, hello: Hello, handshakeHash: [UInt8], isDialled: Bool, invitationToken: Bytes32?,
        driver: SessionDriver
    ) {
        self.peer = peer
        self.trust = trust
        self.hello = hello
        self.handshakeHash = handshakeHash
        self.isDialled = isDialled
        self.invitationToken = invitationToken
        self.driver = driver
    }

    /// Why the session is over; nil while it is not.
    package var ended: PeerProtocolError? { driver.outbox.ended }

    /// Asks, and waits for the answer, or for so many seconds, or until it is to stop: then it throws `silent`. Not from an event loop, nor
    /// from any thread that others wait for.
    package func request(
        _ request: Request, bulk: ArraySlice<UInt8> = [], within seconds: Int? = nil, isStopping: () -> Bool = { false }
    ) throws(PeerProtocolError) -> PeerReply {
        let reply = ConditionLock<Result<PeerReply, PeerProtocolError>?>(nil)
        try submit(request, bulk: bulk) { result in reply.withLock { $0 = result } }
        guard let seconds else { return try reply.wait { $0 }.get() }
        for _ in 0..<seconds * 10 where !isStopping() {
            if let result = reply.wait(milliseconds: 100, for: { $0 }) { return try result.get() }
        }
        throw PeerProtocolError(.silent, "no answer within \(seconds) s")
    }

    /// Asks, and goes on when the request has its place in the queue. `then` is called once, with the answer or the reason why none
    /// will come; not at all when this throws.
    ///
    /// Waits while more is queued than ``TransportBounds/queuedBytesMax``. Not from an event loop.
    package func submit(
        _ request: Request, bulk: ArraySlice<UInt8> = [], then: @escaping ReplyHandler
    ) throws(PeerProtocolError) {
        try send(.request(request, bulk, then))
    }

    /// Answers a request of the peer; waits as ``submit(_:bulk:then:)`` does.
    package func answer(
        _ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8> = []
    ) throws(PeerProtocolError) {
        try send(.answer(id, answer, bulk))
    }

    /// A request of the peer was taken in hand: so much credit goes back. Never waits.
    package func consumed(creditBytes: Int) { driver.onLoop { $0.handle(.consumed(creditBytes: creditBytes)) } }

    /// Tells the peer of a changed offer. Never waits.
    package func announce(_ offer: Offer) { driver.onLoop { $0.handle(.offer(offer)) } }

    /// Ends the session. Never waits.
    package func close(_ code: PeerProtocolError.Code, reason: String) { driver.end(code, reason) }

    private func send(_ item: Outgoing) throws(PeerProtocolError) {
        precondition(!driver.isOnLoop, "an event loop must not wait")
        if try driver.outbox.add(item) { driver.onLoop { $0.pump() } }
    }
}
