internal import BackupFormat
internal import Cryptography

/// Why a session ended, or cannot go on. The two sides may name different reasons for one end.
package struct PeerProtocolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Codes below 32 may be sent in a farewell; the others are known to one side alone.
    package enum Code: UInt8, Sendable, Hashable, CaseIterable {
        /// The node stops, or does not need the session any more.
        case leaving = 1
        /// A message that is malformed, oversized, early, unasked for, or contradicts what it answers.
        case violation = 2
        /// Nothing came for too long.
        case silent = 3
        /// A peer that this node does not want to speak to.
        case notWelcome = 4
        /// Another session with the same peer goes on instead.
        case duplicate = 5
        /// Both know each other now: connect again.
        case paired = 6
        /// The machine had been suspended: connect again.
        case resumed = 7
        /// The node serves as many as it can.
        case busy = 8
        /// The agreement was ended.
        case unpaired = 9

        /// The other side speaks something else.
        case notThisProtocol = 32
        case otherVersion = 33
        case unknownInvitation = 34
        /// The handshake failed: other keys, another invitation, or somebody in between.
        case notGenuine = 35
        /// The peer is not the one that was dialled.
        case otherPeer = 36
        case handshakeTooSlow = 37
        /// The connection ended without a farewell.
        case disconnected = 38
        /// A key has served its time.
        case exhausted = 39
        /// There was no connection at all.
        case unreached = 40
    }

    package let code: Code
    /// What exactly, for a log; may be empty. At most ``Limits/reasonBytesMax`` bytes.
    package let detail: String
    /// Whether the other side said so.
    package let isByPeer: Bool

    package init(_ code: Code, _ detail: String = "", isByPeer: Bool = false) {
        self.code = code
        self.detail = detail
        self.isByPeer = isByPeer
    }

    init(_ error: FormatError) { self.init(.violation, "\(error)") }

    init(_ error: CryptographyError) { self.init(error.code == .exhausted ? .exhausted : .notGenuine, error.operation) }

    package var description: String {
        let what =
            switch code {
            case .leaving: "the session was closed"
            case .violation: "a message broke the protocol; update both nodes, and if it goes on, report it"
            case .silent: "nothing was heard for too long; the node dials again"
            case .notWelcome: "the peer is not known here; pair with invite and join"
            case .duplicate: "another session with the same peer goes on"
            case .paired: "the nodes know each other now, and connect again"
            case .resumed: "the machine had been suspended; the node dials again"
            case .busy: "the peer serves as many as it can; the node tries again later"
            case .unpaired: "the agreement was ended"
            case .notThisProtocol: "what answers there is no bakare-node; check address and port"
            case .otherVersion: "the peer speaks another version of the protocol; update both nodes"
            case .unknownInvitation: "the peer does not know this invitation, or it was used or has expired; ask for a new one"
            case .notGenuine: "the peer does not hold the key or invitation it should; compare fingerprints"
            case .otherPeer: "another node answers at this address; the node looks for the right one"
            case .handshakeTooSlow: "the handshake took too long; the node dials again"
            case .disconnected: "the connection broke; the node dials again"
            case .unreached: "no connection came about; check that `bakare-node start` runs there"
            case .exhausted: "the session has lasted as long as one may; the node dials again"
            }
        return (isByPeer ? "the peer says: " : "") + what + (detail.isEmpty ? "" : " (\(detail))")
    }
}
