internal import PeerProtocol
internal import Vault

/// Why something could not be brought to a peer, or back from it.
package struct ReplicationError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The session is over: go on in the next one.
        case cutOff
        /// The peer has no room left in the quota that it gave, or on its disk.
        case noSpace
        /// The peer does not have what was asked for.
        case notFound
        /// The peer refused, and would again.
        case refused
        /// The peer said or sent what cannot be right.
        case untrue
        /// This node's own vault or disk failed.
        case local
        /// It was stopped here.
        case stopped
    }

    package let code: Code
    /// For people: what failed and why.
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    init(_ error: PeerProtocolError) { self.init(.cutOff, error.description) }

    init(_ error: VaultError) { self.init(.local, "\(error)") }

    init(_ operation: String, _ failed: Failed) {
        let code: Code =
            switch failed.code {
            case .noSpace: .noSpace
            case .notFound, .damaged: .notFound
            case .notPermitted, .invalid: .refused
            case .busy, .internalError: .cutOff
            }
        let reason = failed.reason.isEmpty ? "\(failed.code)" : failed.reason
        self.init(code, "\(operation): the peer says: \(reason)")
    }
}
