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
        return !isBlocked(peer) && isOfOwnerOrFriend(certificate) && !hasAnothersID(certificate)
    }

    func isBlocked(_ peer: PeerIdentity) -> Bool {
        #if MUTANTS
            if Mutant.welcomeTheBlocked.isOn { return false }
        #endif
        return peer.certificate.flatMap { book.device($0.device) }?.isBlocked == true
    }

    /// Whether the id is that of a device of somebody else, whose place among the peers it would take: a friend certifies any id, and the
    /// owner's own devices come first.
    private func hasAnothersID(_ certificate: Certificate) -> Bool {
        guard certificate.owner != owner else { return false }
        let owners = book.devices.filter { $0.id == certificate.device && isOfOwnerOrFriend($0.certificate) }.map(\.owner)
        if certificate.device == device || owners.contains(owner) { return true }
        return !owners.isEmpty && !owners.contains(certificate.owner)
    }

    private func isOfOwnerOrFriend(_ certificate: Certificate) -> Bool {
        certificate.owner == owner || book.friend(certificate.owner)?.isPaired == true
    }

    /// Whether the agreement with the node's owner was ended here.
    func hasLeft(_ peer: PeerIdentity) -> Bool {
        peer.certificate.flatMap { book.friend($0.owner) }.map { !$0.isPaired } ?? false
    }

    /// Why one that is not welcome is sent away. Whoever hears that the agreement is over ends it too: that is said only where it is, and to
    /// whom the user has blocked.
    func farewell(to peer: PeerIdentity) -> PeerProtocolError.Code {
        hasLeft(peer) || isBlocked(peer) ? .unpaired : .notWelcome
    }

    /// The known devices to have sessions with, besides this one.
    var peers: [KnownDevice] {
        book.devices.filter { !$0.isBlocked && $0.id != device && isOfOwnerOrFriend($0.certificate) }
    }

    /// Known devices to dial, with the addresses to try: those announced now first, then those where they were.
    package var wanted: [(key: Bytes32, addresses: [PeerAddress])] {
        peers.map { known in
            let certificate = known.certificate
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
