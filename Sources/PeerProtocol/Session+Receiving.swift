internal import BackupFormat
internal import Cryptography

extension Session {
    mutating func receive(_ bytes: UnsafeRawBufferPointer, _ now: Duration) throws(PeerProtocolError) {
        var input = bytes
        if handshake != nil { try shakeHands(&input, now) }
        while let message = try nextMessage(&input) { try take(message, now) }
    }

    private mutating func shakeHands(_ input: inout UnsafeRawBufferPointer, _ now: Duration) throws(PeerProtocolError) {
        guard var handshake = handshake.take() else { return }
        let isComplete: Bool
        do { isComplete = try handshake.receive(&input) } catch {
            self.handshake = consume handshake
            throw error
        }
        write(handshake.takeOutput(), at: now)
        guard isComplete else {
            self.handshake = consume handshake
            return
        }
        let isByInvitation = handshake.isByInvitation
        let invitationToken = handshake.invitationToken
        var result = handshake.finish()
        let identity = result.peer
        var trust = setup.acquaintances.trust(identity)
        if !trust.isPaired && isByInvitation { trust = .invited }
        peer = SessionPeer(
            identity: identity, trust: trust, isByInvitation: isByInvitation, invitationToken: invitationToken,
            handshakeHash: result.handshakeHash)
        sender = MessageSender(cipher: result.transport.takeSending())
        receiver = MessageReceiver(cipher: result.transport.takeReceiving())
        guard !setup.acquaintances.refuses(identity.agreementKey) else { throw PeerProtocolError(.notWelcome) }
        try send(.hello(Hello(offer: setup.offer)), at: now)
        if let more = credit.grantAtFirst() { try send(.credit(more), at: now) }
    }

    private mutating func nextMessage(_ input: inout UnsafeRawBufferPointer) throws(PeerProtocolError) -> ReceivedMessage? {
        guard let peer, var receiver = receiver.take() else { return nil }
        let message: ReceivedMessage?
        do { message = try receiver.next(&input, bounds: credit.limit(peer.bounds)) } catch {
            self.receiver = consume receiver
            throw error
        }
        self.receiver = consume receiver
        return message
    }

    private mutating func take(_ received: ReceivedMessage, _ now: Duration) throws(PeerProtocolError) {
        let decoded = received.control.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try Message(decoding: bytes) }
        }
        let message: Message
        switch decoded {
        case .success(let found): message = found
        case .failure(let error): throw PeerProtocolError(error)
        }
        guard message.bulkBytes.contains(received.bulk.count) else {
            throw PeerProtocolError(.violation, "\(received.bulk.count) bytes after a message")
        }
        guard peer?.hello != nil else { return try takeHello(message, now) }
        switch message {
        case .notice(let notice): try take(notice, received.creditBytes, now)
        case .request(let id, let request):
            try credit.receive(received.creditBytes)
            try take(id, request, received)
        case .answer(let id, let answer):
            try credit.receive(received.creditBytes)
            try take(id, answer, received, now)
        }
    }

    private mutating func takeHello(_ message: Message, _ now: Duration) throws(PeerProtocolError) {
        switch message {
        case .notice(.hello(let hello)):
            guard var peer else { return }
            peer.hello = hello
            self.peer = peer
            effects.append(.ready(peer.identity, peer.trust, hello))
        case .notice(.goodbye(let goodbye)): throw PeerProtocolError(goodbye.code, goodbye.reason, isByPeer: true)
        default: throw PeerProtocolError(.violation, "a message before hello")
        }
    }

    private mutating func take(_ notice: Notice, _ bytes: Int, _ now: Duration) throws(PeerProtocolError) {
        guard bytes <= MessageHeader.byteCount + Limits.noticeBytesMax else {
            throw PeerProtocolError(.violation, "a notice of \(bytes) bytes")
        }
        if case .credit(let more) = notice {
            try credit.grow(more)
            return effects.append(.creditGrew)
        }
        try credit.countNotice(at: now)
        switch notice {
        case .hello: throw PeerProtocolError(.violation, "a second hello")
        case .offer(let offer):
            peer?.hello?.offer = offer
            effects.append(.offered(offer))
        case .ping(let number): try send(.pong(number), at: now)
        case .pong, .credit: break
        case .goodbye(let goodbye): throw PeerProtocolError(goodbye.code, goodbye.reason, isByPeer: true)
        }
    }

    private mutating func take(
        _ id: RequestID, _ request: Request, _ received: ReceivedMessage
    ) throws(PeerProtocolError) {
        guard setup.acquaintances.servesNobody || peer?.allows(request) == true else {
            throw PeerProtocolError(.notWelcome, "a request of a peer that is not paired")
        }
        if case .put(let put) = request, !put.allows(bulkBytes: received.bulk.count) {
            throw PeerProtocolError(.violation, "\(received.bulk.count) bytes of an object at \(put.offset)")
        }
        if case .recover(let recover) = request, let peer {
            do { try verifyRecovery(recover.signature, handshakeHash: peer.handshakeHash, owner: recover.owner) } catch {
                throw PeerProtocolError(.violation, "a recovery that the owner key did not sign")
            }
        }
        try requests.take(id, request)
        effects.append(.requested(id, request, bulk: received.bulk, creditBytes: received.creditBytes))
    }

    private mutating func take(
        _ id: RequestID, _ answer: Answer, _ received: ReceivedMessage, _ now: Duration
    ) throws(PeerProtocolError) {
        let request = try requests.take(id, answer)
        waitingSince = now
        guard request.accepts(answer, bulkBytes: received.bulk.count) else {
            throw PeerProtocolError(.violation, "an answer that contradicts what was asked")
        }
        if case .recover = request, case .vault = answer { peer?.isRecovering = true }
        effects.append(.answered(id, answer, bulk: received.bulk, creditBytes: received.creditBytes))
    }
}
