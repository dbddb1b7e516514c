package import BackupFormat
package import Cryptography

/// One connection to one peer, from its first byte to its last, without the connection.
///
/// Told what happened, it answers what to do. What it is told of time is any clock that does not run back, from any moment.
/// It cannot be copied, since no two sessions may use the same keys.
package struct Session: ~Copyable, Sendable {
    let setup: SessionSetup
    var ephemeral: SecretBytes?
    var handshake: Handshake?
    var sender: MessageSender?
    var receiver: MessageReceiver?
    /// Who is there; since the handshake was complete.
    var peer: SessionPeer?
    var requests = RequestTable()
    var credit: Credit
    /// Gathers what to do in one call.
    var effects: [SessionEffect] = []
    var end: PeerProtocolError?

    private var began = Duration.zero
    private var lastCalled: Duration?
    private var lastReceived = Duration.zero
    var lastSent = Duration.zero
    /// While the peer owes answers: when it gave the last one, or was asked for the first.
    var waitingSince = Duration.zero
    private var pings: UInt64 = 0

    /// `ephemeral` is 32 fresh random bytes, for this session alone.
    package init(_ setup: SessionSetup, ephemeral: consuming SecretBytes) {
        self.setup = setup
        self.ephemeral = consume ephemeral
        credit = Credit(windowBytes: setup.windowBytes)
    }

    /// Why the session is over; nil while it is not.
    package var ended: PeerProtocolError? { end }
    /// 64 bytes that name this session and no other, for ``Recover``; nil before the handshake is complete.
    package var handshakeHash: [UInt8]? { peer?.handshakeHash }
    /// On the responder's side, the token of the invitation that opened the session: which one ``Pair`` uses. Else nil, and before the
    /// handshake is complete.
    package var invitationToken: Bytes32? { peer?.invitationToken }
    /// Bytes of requests and answers that the peer takes now.
    package var creditBytes: Int { credit.toSend }
    /// How many bytes the session itself holds of what the peer sent.
    package var heldBytes: Int {
        var bytes = 0
        switch receiver {
        case .some(let receiver): bytes += receiver.heldBytes
        case nil: break
        }
        switch handshake {
        case .some(let handshake): bytes += handshake.heldBytes
        case nil: break
        }
        return bytes
    }

    /// When a ``SessionEvent/tick`` is due.
    package var deadline: Duration {
        guard peer?.hello != nil else { return began + SessionTiming.handshakeMax }
        let next = min(lastSent + SessionTiming.keepAliveAfter, lastReceived + SessionTiming.silentAfter)
        return requests.isWaiting ? min(next, waitingSince + SessionTiming.unansweredMax) : next
    }

    package mutating func handle(_ event: SessionEvent, at now: Duration) -> [SessionEffect] {
        guard end == nil else { return [] }
        do throws(PeerProtocolError) {
            try noticeSuspension(event, now)
            try carryOut(event, now)
        } catch {
            finish(error, at: now)
        }
        defer { effects = [] }
        return effects
    }

    private mutating func carryOut(_ event: SessionEvent, _ now: Duration) throws(PeerProtocolError) {
        switch event {
        case .connected: try begin(now)
        case .received(let bytes):
            lastReceived = now
            try receive(bytes, now)
        case .consumed(let bytes):
            if let more = credit.giveBack(bytes) { try send(.credit(more), at: now) }
        case .offer(let offer): if peer?.hello != nil { try send(.offer(offer), at: now) }
        case .tick: try tick(now)
        case .resumed: throw PeerProtocolError(.resumed)
        case .disconnected: throw PeerProtocolError(.disconnected)
        case .close(let code, let reason): throw PeerProtocolError(code, reason)
        }
    }

    /// A session that was not called when it had to be has been asleep, and so has its peer's patience.
    private mutating func noticeSuspension(_ event: SessionEvent, _ now: Duration) throws(PeerProtocolError) {
        defer { lastCalled = now }
        if let lastCalled, now - lastCalled > SessionTiming.silentAfter { throw PeerProtocolError(.resumed) }
    }

    private mutating func begin(_ now: Duration) throws(PeerProtocolError) {
        guard let ephemeral = ephemeral.take() else { preconditionFailure("a session is connected once") }
        began = now
        lastReceived = now
        lastSent = now
        var handshake = try Handshake(setup: setup.handshake, side: setup.side, ephemeral: ephemeral)
        let output = handshake.takeOutput()
        self.handshake = consume handshake
        write(output, at: now)
    }

    private mutating func tick(_ now: Duration) throws(PeerProtocolError) {
        guard peer?.hello != nil else {
            if now - began >= SessionTiming.handshakeMax { throw PeerProtocolError(.handshakeTooSlow) }
            return
        }
        if now - lastReceived >= SessionTiming.silentAfter { throw PeerProtocolError(.silent) }
        if requests.isWaiting, now - waitingSince >= SessionTiming.unansweredMax {
            throw PeerProtocolError(.silent, "the peer answers no request")
        }
        if now - lastSent >= SessionTiming.keepAliveAfter {
            pings += 1
            try send(.ping(pings), at: now)
        }
    }

    /// The end: a farewell, if there are keys for one and the connection stands, then nothing more.
    private mutating func finish(_ error: PeerProtocolError, at now: Duration) {
        if var handshake = handshake.take() {
            handshake.fail(error)
            write(handshake.takeOutput(), at: now)
        }
        if error.code.isForFarewell && !error.isByPeer {
            // There is no remedy if even this fails, and no need: the connection ends anyway.
            try? send(.goodbye(Goodbye(error.code, reason: error.detail)), at: now)
        }
        sender = nil
        receiver = nil
        end = error
        effects.append(.closed(error))
    }

    mutating func write(_ bytes: [UInt8], at now: Duration) {
        guard !bytes.isEmpty else { return }
        lastSent = now
        effects.append(.write(bytes))
    }
}

/// Whom a session speaks to, and what they may do.
struct SessionPeer {
    let identity: PeerIdentity
    let trust: Trust
    let isByInvitation: Bool
    let invitationToken: Bytes32?
    let handshakeHash: [UInt8]
    /// Since the peer said it.
    var hello: Hello?
    /// A request to recover was answered with a vault, by either side: snapshots and packs may be read.
    var isRecovering = false

    /// How large the next message may be, before what credit says.
    var bounds: MessageReceiver.Bounds {
        guard hello != nil else { return MessageReceiver.Bounds(controlBytesMax: Limits.noticeBytesMax, bulkBytesMax: 0) }
        return trust.isPaired || isRecovering
            ? MessageReceiver.Bounds(controlBytesMax: Limits.controlBytesMax, bulkBytesMax: Limits.bulkBytesMax)
            : MessageReceiver.Bounds(controlBytesMax: Limits.strangerControlBytesMax, bulkBytesMax: 0)
    }

    /// Whether the peer may ask this.
    func allows(_ request: Request) -> Bool {
        switch request {
        case .recover: true
        case .pair: isByInvitation
        case .vault, .have, .get, .list: trust.isPaired || isRecovering
        default: trust.isPaired
        }
    }
}
