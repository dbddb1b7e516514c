package import BackupFormat

/// A node that somebody on the local network claims to be there. Only a handshake proves who it is.
package struct DiscoveredPeer: Sendable, Hashable {
    package let id: DeviceID
    /// The service's name as text that is safe to show. Not an identity: the daemon changes it when two are the same.
    package let name: String
    package let protocolVersion: UInt8
    package let role: Role?
    /// Rounded down, in bytes.
    package let freeBytes: UInt64?
    /// At least one, each once, in the order in which to try them.
    package let addresses: [ServiceAddress]
}

/// What discovery tells of.
package enum DiscoveryEvent: Sendable, Hashable {
    case appeared(DiscoveredPeer)
    /// Another name, hint or address of a node that had appeared.
    case changed(DiscoveredPeer)
    /// A node that had appeared is announced no longer, or cannot be seen any more.
    case gone(DeviceID)
    /// The daemon answers.
    case available
    /// The daemon does not answer. Said once, until it is available again.
    case unavailable(reason: String)
}
