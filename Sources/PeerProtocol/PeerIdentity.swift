package import BackupFormat
internal import Cryptography

/// Who is at the other end, as the handshake proved it.
package struct PeerIdentity: Hashable, Sendable {
    /// The peer holds its secret.
    package var agreementKey: Bytes32
    /// Signed by the owner it names, for this very key; nil for a node that no owner has certified yet.
    package var certificate: Certificate?
    /// The name of its program and version, as it says.
    package var agent: String

    package init(agreementKey: Bytes32, certificate: Certificate?, agent: String) {
        self.agreementKey = agreementKey
        self.certificate = certificate
        self.agent = agent
    }
}

/// What a peer may do in a session.
package enum Trust: Hashable, Sendable {
    /// Certified by this node's owner.
    case own
    /// Certified by an owner that this node has paired with.
    case friend
    /// Holds the token of an invitation; may pair.
    case invited
    /// Anyone else; may show that it holds an owner's key, and no more.
    case stranger

    var isPaired: Bool { self == .own || self == .friend }
}

/// Whom a node knows, when the session begins.
package struct Acquaintances: Sendable {
    package var owner: OwnerID
    /// Owners that this node has paired with.
    package var friends: Set<OwnerID>
    /// Agreement keys that this node will not speak to, whoever certified them.
    package var blocked: Set<Bytes32>
    /// This side is a command, which asks and serves nobody. A peer that takes it for a node and asks something is told so by whoever
    /// answers, instead of the session ending: a friend who has orders to forget says them to everyone that it meets.
    package var servesNobody = false

    /// Whether there is no session with who has this key.
    func refuses(_ key: Bytes32) -> Bool {
        #if MUTANTS
            if Mutant.welcomeTheBlocked.isOn { return false }
        #endif
        return blocked.contains(key)
    }

    package init(owner: OwnerID, friends: Set<OwnerID> = [], blocked: Set<Bytes32> = []) {
        self.owner = owner
        self.friends = friends
        self.blocked = blocked
    }

    func trust(_ peer: PeerIdentity) -> Trust {
        guard let certificate = peer.certificate else { return .stranger }
        if certificate.owner == owner { return .own }
        return friends.contains(certificate.owner) ? .friend : .stranger
    }
}

/// What each side says of itself within the handshake: its certificate, if it has one, and its program's name.
struct HandshakePayload: Hashable {
    var certificate: Certificate?
    var agent: String

    func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        if let certificate { writer.message(1, certificate.encode()) }
        writer.text(2, agent, limit: Limits.agentBytesMax)
        return writer.bytes
    }

    init(certificate: Certificate?, agent: String) {
        self.certificate = certificate
        self.agent = agent
    }

    /// Does not check the certificate's signature.
    init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ProtobufReader(bytes, "handshake payload")
        certificate = nil
        if let encoded = try reader.message(1, limit: Limits.certificateBytesMax) {
            certificate = try Certificate(decoding: encoded)
        }
        agent = try reader.text(2, limit: Limits.agentBytesMax)
        try reader.end()
    }

    /// Checks that the certificate is its owner's word for the key that the handshake proved.
    func identity(agreementKey: Bytes32) throws(PeerProtocolError) -> PeerIdentity {
        if let certificate {
            guard certificate.agreementKey == agreementKey else {
                throw PeerProtocolError(.notGenuine, "the certificate is of another key")
            }
            do { try verifyCertificate(certificate, owner: certificate.owner) } catch { throw PeerProtocolError(error) }
        }
        return PeerIdentity(agreementKey: agreementKey, certificate: certificate, agent: agent)
    }
}
