package import BackupFormat
internal import NodeRuntime

/// Keeps the transport dialling whoever is wanted, and nobody else.
package struct Dialling: Sendable {
    private let keep: @Sendable (Bytes32, [PeerAddress]) -> Void
    private let forget: @Sendable (Bytes32) -> Void
    private var kept: Set<Bytes32> = []

    init(_ transport: PeerTransport) {
        self.init(
            keep: { peer, addresses in transport.keepSession(with: peer, at: addresses) },
            forget: { peer in transport.forgetPeer(peer) })
    }

    package init(keep: @escaping @Sendable (Bytes32, [PeerAddress]) -> Void, forget: @escaping @Sendable (Bytes32) -> Void) {
        self.keep = keep
        self.forget = forget
    }

    /// Who is not wanted any more is dialled no more: friends who have left, devices that are blocked or were pushed out of the book.
    package mutating func follow(_ wanted: [(key: Bytes32, addresses: [PeerAddress])]) {
        let keys = Set(wanted.map(\.key))
        for peer in kept.subtracting(keys).sorted() { forget(peer) }
        kept.formIntersection(keys)
        for peer in wanted where !peer.addresses.isEmpty {
            kept.insert(peer.key)
            keep(peer.key, peer.addresses)
        }
    }
}
