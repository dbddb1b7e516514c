package import BackupFormat
package import Cryptography

/// What a node brings to a handshake.
package struct HandshakeSetup: Sendable {
    package var key: NodeKey
    package var certificate: Certificate?
    /// The program's name and version; at most ``Limits/agentBytesMax`` bytes.
    package var agent: String

    package init(key: NodeKey, certificate: Certificate?, agent: String) {
        precondition(agent.utf8.count <= Limits.agentBytesMax)
        precondition(certificate.map { $0.agreementKey == key.agreementPublicKey } ?? true, "another node's certificate")
        self.key = key
        self.certificate = certificate
        self.agent = agent
    }

    var payload: [UInt8] { HandshakePayload(certificate: certificate, agent: agent).encode() }
}

/// Which side a node is on, and what it knows beforehand.
package enum HandshakeSide: Sendable {
    /// Dialled. `peer` is the agreement key that must answer, if known; `token` an invitation's, to pair.
    case initiator(peer: Bytes32?, token: Bytes32?)
    /// Was dialled. The tokens of its open invitations.
    case responder(invitations: [Bytes32])
}

/// From the first byte of a connection to an agreed session: preambles, then three Noise messages.
struct Handshake: ~Copyable {
    private let setup: HandshakeSetup
    private let isInitiator: Bool
    private let expectedPeer: Bytes32?
    private let invitations: [Bytes32]
    /// Whether an invitation's token is part of the handshake.
    private(set) var isByInvitation = false
    /// The responder's: the token that the initiator named, which a complete handshake shows that it holds.
    private(set) var invitationToken: Bytes32?
    private var noise: HandshakeState?
    private var ephemeral: SecretBytes?
    private var preamble: [UInt8] = []
    private var isPreambleDone = false
    private var splitter = RecordSplitter(recordBytesMin: 32, recordBytesMax: Limits.handshakeRecordBytesMax)
    private var peer: PeerIdentity?
    /// What is to be sent, since it was taken last.
    private var output: [UInt8] = []

    /// `ephemeral` is 32 fresh random bytes.
    init(setup: HandshakeSetup, side: HandshakeSide, ephemeral: consuming SecretBytes) throws(PeerProtocolError) {
        self.setup = setup
        switch side {
        case .initiator(let expected, let token):
            isInitiator = true
            expectedPeer = expected
            invitations = []
            self.ephemeral = nil
            let preamble = Preamble(token.map { .invitation(invitationID(token: $0)) } ?? .plain)
            isByInvitation = token != nil
            noise = HandshakeState(
                token == nil ? .xx : .xxpsk3, isInitiator: true, prologue: preamble.prologue, staticKey: setup.key,
                ephemeral: ephemeral, psk: SecretBytes(token ?? .zero))
            output = preamble.bytes
            try write([])
        case .responder(let tokens):
            isInitiator = false
            expectedPeer = nil
            invitations = tokens
            self.ephemeral = consume ephemeral
        }
    }

    /// How many bytes wait for the rest of their message.
    var heldBytes: Int { preamble.count + splitter.heldBytes }

    /// What is to be sent now.
    mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// The handshake ends. A responder that has not replied yet says why in the clear: so whoever speaks another version, or comes when
    /// there are too many, is told so.
    mutating func fail(_ error: PeerProtocolError) {
        if !isInitiator, !isPreambleDone, let reply = PreambleReply(error) { output += reply.bytes }
    }

    /// Takes bytes from the front of `input`, as many as belong to the handshake. True when it is complete.
    mutating func receive(_ input: inout UnsafeRawBufferPointer) throws(PeerProtocolError) -> Bool {
        if !isPreambleDone {
            try isInitiator ? receiveReply(&input) : receivePreamble(&input)
            guard isPreambleDone else { return false }
        }
        while let record = try splitter.next(&input) {
            if try receive(record) { return true }
        }
        return false
    }

    private mutating func receiveReply(_ input: inout UnsafeRawBufferPointer) throws(PeerProtocolError) {
        let taken = min(PreambleReply.byteCount - preamble.count, input.count)
        preamble += input.prefix(taken)
        input = UnsafeRawBufferPointer(rebasing: input[taken...])
        isPreambleDone = try PreambleReply.check(preamble)
    }

    private mutating func receivePreamble(_ input: inout UnsafeRawBufferPointer) throws(PeerProtocolError) {
        var wanted = try Preamble.byteCount(beginning: preamble) ?? Preamble.headBytes
        while preamble.count < wanted, !input.isEmpty {
            let taken = min(wanted - preamble.count, input.count)
            preamble += input.prefix(taken)
            input = UnsafeRawBufferPointer(rebasing: input[taken...])
            wanted = try Preamble.byteCount(beginning: preamble) ?? Preamble.headBytes
        }
        guard preamble.count == wanted else { return }
        try begin(try Preamble(decoding: preamble))
        output += PreambleReply.goOn.bytes
        isPreambleDone = true
    }

    private mutating func begin(_ preamble: Preamble) throws(PeerProtocolError) {
        if case .invitation(let id) = preamble.mode {
            invitationToken = invitations.first { invitationID(token: $0) == id }
            guard invitationToken != nil else { throw PeerProtocolError(.unknownInvitation) }
            isByInvitation = true
        }
        guard let ephemeral = ephemeral.take() else { preconditionFailure("a handshake begins once") }
        noise = HandshakeState(
            invitationToken == nil ? .xx : .xxpsk3, isInitiator: false, prologue: preamble.prologue, staticKey: setup.key,
            ephemeral: ephemeral, psk: SecretBytes(invitationToken ?? .zero))
    }

    /// Reads one message, writes the next if it is this side's turn. True when the handshake is complete.
    private mutating func receive(_ record: Record) throws(PeerProtocolError) -> Bool {
        guard var state = noise.take() else { throw PeerProtocolError(.violation, "a handshake message too early") }
        let payload: [UInt8]
        do throws(CryptographyError) {
            payload = try record.withBytes { message throws(CryptographyError) in try state.readMessage(message) }
        } catch { throw PeerProtocolError(error) }
        let remote = state.remoteStaticKey
        noise = consume state
        if let remote {
            try meet(remote, payload)
        } else if !payload.isEmpty {
            throw PeerProtocolError(.violation, "the first handshake message carries something")
        }
        if noise?.isComplete == true { return true }
        try write(setup.payload)
        return noise?.isComplete == true
    }

    /// The peer has shown its static key, and `payload` with it.
    private mutating func meet(_ remote: Bytes32, _ payload: [UInt8]) throws(PeerProtocolError) {
        if let expectedPeer, remote != expectedPeer { throw PeerProtocolError(.otherPeer) }
        guard remote != setup.key.agreementPublicKey else {
            throw PeerProtocolError(.otherPeer, "the address is this node's own")
        }
        let decoded = payload.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try HandshakePayload(decoding: bytes) }
        }
        switch decoded {
        case .success(let payload): peer = try payload.identity(agreementKey: remote)
        case .failure(let error): throw PeerProtocolError(error)
        }
    }

    private mutating func write(_ payload: [UInt8]) throws(PeerProtocolError) {
        guard var state = noise.take() else { return }
        let message: [UInt8]
        do { message = try state.writeMessage(payload) } catch { throw PeerProtocolError(error) }
        noise = consume state
        output += [UInt8(message.count >> 8), UInt8(message.count & 255)]
        output += message
    }

    /// What the handshake led to; once it is complete.
    consuming func finish() -> HandshakeResult {
        guard let noise = noise.take(), let peer else { preconditionFailure("the handshake is not complete") }
        let hash = noise.handshakeHash
        return HandshakeResult(peer: peer, handshakeHash: hash, transport: noise.split())
    }
}

/// Who is there, and the keys of the session.
struct HandshakeResult: ~Copyable {
    let peer: PeerIdentity
    let handshakeHash: [UInt8]
    var transport: NoiseTransport

    init(peer: PeerIdentity, handshakeHash: [UInt8], transport: consuming NoiseTransport) {
        self.peer = peer
        self.handshakeHash = handshakeHash
        self.transport = transport
    }
}
