package import BackupFormat

/// The handshakes that peers use, as the Noise Protocol Framework writes them.
package enum NoisePattern: Sendable {
    /// `Noise_XX_25519_ChaChaPoly_BLAKE2b`: both sides show their static keys, each encrypted.
    case xx
    /// `Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b`: the same, and both must know a 32-byte secret.
    case xxpsk3

    var protocolName: StaticString {
        switch self {
        case .xx: "Noise_XX_25519_ChaChaPoly_BLAKE2b"
        case .xxpsk3: "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b"
        }
    }

    var messages: [[Token]] {
        switch self {
        case .xx: [[.e], [.e, .ee, .s, .es], [.s, .se]]
        case .xxpsk3: [[.e], [.e, .ee, .s, .es], [.s, .se, .psk]]
        }
    }

    enum Token { case e, s, ee, es, se, psk }
}

/// HandshakeState of the Noise Protocol Framework, for one side of one session.
///
/// Messages are written and read in turn, the initiator's first, three in all. After an error the handshake is over.
package struct HandshakeState: ~Copyable, Sendable {
    private let pattern: NoisePattern
    private let isInitiator: Bool
    private var symmetric: SymmetricState
    private let s: NodeKey
    private let e: AgreementKeyPair
    private let psk: SecretBytes
    private var rs: Bytes32?
    private var re: Bytes32?
    /// How many messages are done.
    private var messagesDone = 0
    private var hasFailed = false

    /// Initialize. `ephemeral` is 32 fresh random bytes; `psk` 32 secret bytes, which ``NoisePattern/xx`` does not use.
    package init(
        _ pattern: NoisePattern, isInitiator: Bool, prologue: [UInt8], staticKey: NodeKey, ephemeral: consuming SecretBytes,
        psk: consuming SecretBytes = SecretBytes(.zero)
    ) {
        precondition(ephemeral.count == 32 && psk.count == 32)
        self.pattern = pattern
        self.isInitiator = isInitiator
        s = staticKey
        e = AgreementKeyPair(secret: ephemeral)
        self.psk = psk
        symmetric = SymmetricState(protocolName: pattern.protocolName)
        prologue.withUnsafeBytes { symmetric.mixHash($0) }
    }

    package var isComplete: Bool { messagesDone == pattern.messages.count && !hasFailed }
    /// Whether the next message is this side's to write.
    package var isMyTurn: Bool { !isComplete && !hasFailed && (messagesDone % 2 == 0) == isInitiator }
    /// The other side's static public key, once it has shown that it holds the secret.
    package var remoteStaticKey: Bytes32? { rs }
    /// 64 bytes that name this session and no other, for signatures; final when the handshake is complete.
    package var handshakeHash: [UInt8] { symmetric.handshakeHash }

    /// WriteMessage. Throws `.notGenuine` when the other side's keys are of no use.
    package mutating func writeMessage(_ payload: [UInt8]) throws(CryptographyError) -> [UInt8] {
        precondition(isMyTurn)
        hasFailed = true
        var message: [UInt8] = []
        for token in pattern.messages[messagesDone] {
            switch token {
            case .e:
                e.publicKey.withBytes { key in
                    message += key
                    symmetric.mixHash(key)
                    if pattern == .xxpsk3 { symmetric.mixKey(key) }
                }
            case .s: try encrypt(s.agreementPublicKey.bytes, to: &message)
            case .ee, .es, .se, .psk: try mix(token)
            }
        }
        try encrypt(payload, to: &message)
        messagesDone += 1
        hasFailed = false
        return message
    }

    /// ReadMessage: answers the payload. Throws `.notGenuine` for anything that is not the other side's next message.
    package mutating func readMessage(_ message: UnsafeRawBufferPointer) throws(CryptographyError) -> [UInt8] {
        precondition(!isMyTurn && !isComplete)
        guard !hasFailed else { throw CryptographyError(.notGenuine, "agree on a session") }
        hasFailed = true
        var rest = message
        for token in pattern.messages[messagesDone] {
            switch token {
            case .e:
                let key = try HandshakeState.take(32, from: &rest)
                re = Bytes32(key)
                symmetric.mixHash(key)
                if pattern == .xxpsk3 { symmetric.mixKey(key) }
            case .s:
                let text = try HandshakeState.take(32 + symmetric.overheadBytes, from: &rest)
                rs = Bytes32(bytes: try symmetric.decryptAndHash(text))
            case .ee, .es, .se, .psk: try mix(token)
            }
        }
        let payload = try symmetric.decryptAndHash(rest)
        messagesDone += 1
        hasFailed = false
        return payload
    }

    /// Split: the two ciphers of the session, once the handshake is complete.
    package consuming func split() -> NoiseTransport {
        precondition(isComplete)
        let ciphers = symmetric.split()
        return isInitiator
            ? NoiseTransport(sending: ciphers.initiator, receiving: ciphers.responder)
            : NoiseTransport(sending: ciphers.responder, receiving: ciphers.initiator)
    }

    private mutating func mix(_ token: NoisePattern.Token) throws(CryptographyError) {
        guard let re else { throw CryptographyError(.notGenuine, "agree on a session") }
        switch token {
        case .ee: mixKey(try e.agree(with: re))
        case .es: mixKey(isInitiator ? try e.agree(with: try known(rs)) : try s.agree(with: re))
        case .se: mixKey(isInitiator ? try s.agree(with: re) : try e.agree(with: try known(rs)))
        case .psk: psk.withBytes { symmetric.mixKeyAndHash($0) }
        case .e, .s: preconditionFailure("not a token that mixes")
        }
    }

    private mutating func mixKey(_ shared: consuming SecretBytes) { shared.withBytes { symmetric.mixKey($0) } }

    private func known(_ key: Bytes32?) throws(CryptographyError) -> Bytes32 {
        guard let key else { throw CryptographyError(.notGenuine, "agree on a session") }
        return key
    }

    private mutating func encrypt(_ plain: [UInt8], to message: inout [UInt8]) throws(CryptographyError) {
        let result = plain.withUnsafeBytes { plain in
            Result { () throws(CryptographyError) in try symmetric.encryptAndHash(plain, to: &message) }
        }
        try result.get()
    }

    private static func take(
        _ count: Int, from rest: inout UnsafeRawBufferPointer
    ) throws(CryptographyError) -> UnsafeRawBufferPointer {
        guard rest.count >= count else { throw CryptographyError(.notGenuine, "agree on a session") }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
        return UnsafeRawBufferPointer(rebasing: rest[..<count])
    }
}

/// The two ciphers of a session, one for each direction; each is taken once.
package struct NoiseTransport: ~Copyable, Sendable {
    private var sending: CipherState?
    private var receiving: CipherState?

    init(sending: consuming CipherState, receiving: consuming CipherState) {
        self.sending = consume sending
        self.receiving = consume receiving
    }

    package mutating func takeSending() -> CipherState { NoiseTransport.take(&sending) }
    package mutating func takeReceiving() -> CipherState { NoiseTransport.take(&receiving) }

    private static func take(_ cipher: inout CipherState?) -> CipherState {
        guard let taken = cipher.take() else { preconditionFailure("a cipher is taken once") }
        return taken
    }
}
