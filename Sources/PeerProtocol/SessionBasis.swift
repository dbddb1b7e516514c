package import BackupFormat

/// What a node brings to each of its sessions.
package struct SessionBasis: Sendable {
    /// The key must be the same for the life of a transport.
    package var handshake: HandshakeSetup
    package var acquaintances: Acquaintances
    /// Tokens of open invitations.
    package var invitations: [Bytes32] = []
    package var offer: Offer
    /// What each peer may send ahead. From 4.5 MiB on, neither side's requests can hold up the other's answers.
    package var windowBytes = 8 << 20

    package init(handshake: HandshakeSetup, acquaintances: Acquaintances, offer: Offer) {
        self.handshake = handshake
        self.acquaintances = acquaintances
        self.offer = offer
    }

    /// What one session begins with.
    package func setup(_ side: HandshakeSide) -> SessionSetup {
        SessionSetup(handshake: handshake, side: side, acquaintances: acquaintances, offer: offer, windowBytes: windowBytes)
    }
}
