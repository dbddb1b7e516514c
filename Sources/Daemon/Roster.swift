package import BackupFormat
package import PeerProtocol
package import Peers

/// Whom a node wants to have a session with, and where they may be: a value.
package struct Roster: Sendable {
    /// Somebody whom the network announces.
    package struct Announced: Sendable, Hashable {
        package var name: String
        package var addresses: [PeerAddress]
    }

    package var book: PeerBook
    package let owner: OwnerID
    package let device: DeviceID
    package private(set) var announced: [DeviceID: Announced] = [:]

    private static let addressesMax = 16

    package init(book: PeerBook, owner: OwnerID, device: DeviceID) {
        self.book = book
        self.owner = owner
        self.device = device
    }

    package mutating func found(_ id: DeviceID, _ name: String, _ addresses: [PeerAddress]) {
        announced[id] = Announced(name: name, addresses: addresses)
    }

    package mutating func lost(_ id: DeviceID) { announced[id] = nil }

    /// Whether the node is one to have sessions with: own, or of a friend, and not blocked.
    package func isWelcome(_ peer: PeerIdentity) -> Bool {
        guard let certificate = peer.certificate else { return false }
        if book.device(certificate.device)?.isBlocked == true { return false }
        return certificate.owner == owner || book.friend(certificate.owner).map { $0.unpairedAt == nil } ?? false
    }

    /// Known devices to dial, with the addresses to try: those announced now first, then those where they were.
    package var wanted: [(key: Bytes32, addresses: [PeerAddress])] {
        book.devices.compactMap { known in
            let certificate = known.certificate
            guard certificate.device != device, !known.isBlocked,
                certificate.owner == owner || book.friend(certificate.owner).map({ $0.unpairedAt == nil }) ?? false
            else { return nil }
            var addresses = announced[certificate.device]?.addresses ?? []
            for text in known.addresses {
                if let address = try? PeerAddress(text), !addresses.contains(address) { addresses.append(address) }
            }
            return (certificate.agreementKey, Array(addresses.prefix(Roster.addressesMax)))
        }
    }

    /// Announced nodes of which nobody knows yet whose they are.
    package var unknown: [(id: DeviceID, addresses: [PeerAddress])] {
        announced.filter { $0.key != device && book.device($0.key) == nil }
            .map { ($0.key, $0.value.addresses) }.sorted { $0.id < $1.id }
    }
}
