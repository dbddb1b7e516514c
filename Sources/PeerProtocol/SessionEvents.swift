package import BackupFormat

/// What a node brings to a session.
package struct SessionSetup: Sendable {
    package var handshake: HandshakeSetup
    package var side: HandshakeSide
    package var acquaintances: Acquaintances
    /// What this node tells the peer of itself.
    package var offer: Offer
    /// The bytes of requests and answers that the peer may send ahead of ``SessionEvent/consumed(creditBytes:)``:
    /// ``Limits/creditBytesInitial`` to ``Limits/creditBytesMax``.
    package var windowBytes: Int

    package init(
        handshake: HandshakeSetup, side: HandshakeSide, acquaintances: Acquaintances, offer: Offer,
        windowBytes: Int = Limits.creditBytesInitial
    ) {
        precondition(windowBytes >= Limits.creditBytesInitial && windowBytes <= Limits.creditBytesMax)
        self.handshake = handshake
        self.side = side
        self.acquaintances = acquaintances
        self.offer = offer
        self.windowBytes = windowBytes
    }
}

/// What happened to a session.
package enum SessionEvent {
    /// The connection stands: begin. Comes first.
    case connected
    /// Bytes from the connection, which need not outlive the call.
    case received(UnsafeRawBufferPointer)
    /// So many bytes of what was handed up are no longer held. Due when a message is taken in hand, not when it is
    /// answered: two nodes that each wait for the other's credit would wait for ever.
    case consumed(creditBytes: Int)
    /// This node's offer has changed.
    case offer(Offer)
    /// Time has passed; due at ``Session/deadline`` at the latest.
    case tick
    /// The machine had been suspended.
    case resumed
    /// The connection is gone.
    case disconnected
    /// This node ends the session; the code is one for a farewell.
    case close(PeerProtocolError.Code, reason: String)
}

/// What is to be done. Effects are carried out in order.
package enum SessionEffect: Hashable, Sendable {
    case write([UInt8])
    /// Both have said hello: requests may be made.
    case ready(PeerIdentity, Trust, Hello)
    /// The peer's offer has changed.
    case offered(Offer)
    /// To be answered by ``Session/answer(_:with:bulk:at:)``, and `creditBytes` to be given back when it is taken in hand.
    case requested(RequestID, Request, bulk: [UInt8], creditBytes: Int)
    case answered(RequestID, Answer, bulk: [UInt8], creditBytes: Int)
    /// The peer takes more: what was refused for want of credit may be sent.
    case creditGrew
    /// The session is over: close the connection when what was written has gone out. Comes last, and once.
    case closed(PeerProtocolError)
}

/// Why something cannot be sent now.
package enum SendRefusal: Error, Sendable, Hashable {
    /// Before both have said hello, or after the end.
    case notReady
    /// Wait for ``SessionEffect/creditGrew``.
    case noCredit
    /// Wait for an answer.
    case tooManyRequests
    /// The peer did not ask this, or was answered.
    case notAsked
}

/// When a session does what by itself.
package enum SessionTiming {
    /// From the connection to the peer's hello.
    package static let handshakeMax = Duration.seconds(10)
    /// A side that has sent nothing for so long sends a ping. Whoever listens need not ask.
    package static let keepAliveAfter = Duration.seconds(4)
    /// A peer from which nothing came for so long is gone.
    package static let silentAfter = Duration.seconds(13)
    /// A peer that has been asked something, and has answered nothing for so long, never will: it may be alive enough to answer pings.
    /// An honest one with a slow disk may take minutes, as for a proof of 64 packs.
    package static let unansweredMax = Duration.seconds(900)
}
