package import BackupFormat

/// An answer of a peer, with the raw bytes that came with it.
package struct PeerReply: Sendable, Hashable {
    package var answer: Answer
    package var bulk: [UInt8]

    package init(_ answer: Answer, bulk: [UInt8] = []) {
        self.answer = answer
        self.bulk = bulk
    }
}

/// Called once, with the answer or the reason why none will come, from any thread: must be short and must not wait.
package typealias ReplyHandler = @Sendable (Result<PeerReply, PeerProtocolError>) -> Void

/// A request of a peer.
package struct PeerRequest: Sendable, Hashable {
    package let id: RequestID
    package let request: Request
    package let bulk: [UInt8]
    /// Due to ``PeerChannel/consumed(creditBytes:)`` when the request is taken in hand, answered or not.
    package let creditBytes: Int

    package init(id: RequestID, request: Request, bulk: [UInt8], creditBytes: Int) {
        self.id = id
        self.request = request
        self.bulk = bulk
        self.creditBytes = creditBytes
    }
}

/// A session in which both have said hello, for threads that may wait. When it ends, everybody who waits is told why, and so is
/// everybody who comes later.
package protocol PeerChannel: PeerLink, AnyObject {
    var peer: PeerIdentity { get }
    var trust: Trust { get }
    /// What the peer said of itself at first.
    var hello: Hello { get }
    /// 64 bytes that name this session and no other.
    var handshakeHash: [UInt8] { get }
    /// Where the peer dialled with an invitation of this node: its token. Else nil.
    var invitationToken: Bytes32? { get }

    /// Answers a request of the peer; waits while too much is queued.
    func answer(_ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8>) throws(PeerProtocolError)
    /// A request of the peer was taken in hand: so much credit goes back. Never waits.
    func consumed(creditBytes: Int)
    /// Tells the peer of a changed offer. Never waits.
    func announce(_ offer: Offer)
    /// Ends the session. Never waits.
    func close(_ code: PeerProtocolError.Code, reason: String)
}

extension PeerChannel {
    /// Ends the session. Never waits.
    package func close(_ code: PeerProtocolError.Code) { close(code, reason: "") }
}

/// A session with a peer, for threads that may wait.
package protocol PeerLink: Sendable {
    /// Sends a request, after those that were submitted before; waits while too much is queued.
    ///
    /// `then` is called once, from any thread, and must not wait; it is not called when this throws.
    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping ReplyHandler
    ) throws(PeerProtocolError)
}
