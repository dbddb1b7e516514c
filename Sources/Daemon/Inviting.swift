package import BackupFormat
package import BackupNode
internal import Cryptography
internal import Ledger
internal import NodeRuntime
package import Peers

/// Where a node that does not run yet will be reached, by its configuration.
package func reachableAddresses(_ configuration: Configuration) -> [PeerAddress] {
    configuration.advertised + configuration.listen.reachable
}

extension HomeKeys {
    /// This node's, to be compared.
    package var fingerprint: String { Peers.fingerprint(identity.key.agreementPublicKey) }
}

extension InvitationKind {
    /// As JSON names it.
    package var name: String {
        switch self {
        case .friend: "friend"
        case .ownDevice: "own_device"
        case .writeOnlyDevice: "write_only_device"
        }
    }
}

/// Whom `unpair` meant.
package struct Unpaired: Sendable, Hashable {
    package var name: String
    package var id: String
    package var isDevice: Bool
}

extension Home {
    /// Opens an invitation in the peer book. `expires` and `now` are seconds since 1970.
    package func invite(
        _ keys: HomeKeys, kind: InvitationKind, quotaBytes: UInt64, expires: Int64, addresses: [PeerAddress], now: Int64
    ) throws(NodeError) -> Invitation {
        guard let certificate = keys.identity.certificate else {
            throw NodeError(.key, "invite", "this node has no certificate of its owner", path: keysDirectory)
        }
        let token = Bytes32.random()
        do throws(PeerBookError) {
            try InviterKeys(owner: keys.owner, publisher: keys.publisher, certificate: certificate).requireAble(kind)
            try peerBook().change { book throws(PeerBookError) in
                try book.invite(kind: kind, quotaBytes: quotaBytes, expires: expires, token: token, now: now)
            }
        } catch { throw NodeError(.failed, "invite", "\(error)") }
        return Invitation(
            inviterKey: certificate.agreementKey, inviterOwner: certificate.owner, token: token, kind: kind,
            quotaBytes: quotaBytes, expires: expires, addresses: addresses.map(\.description), name: certificate.name)
    }

    /// Ends the agreement with a friend, or blocks a device of this owner.
    package func unpair(_ text: String, owner: OwnerID, now: Int64) throws(NodeError) -> Unpaired {
        do throws(PeerBookError) {
            let (ended, book) = try peerBook().change { book throws(PeerBookError) in
                (try book.end(text, owner: owner, now: now), book)
            }
            // A running node does the same with its own.
            var replicas = ReplicaTable.read(disk, directory: ledgerDirectory)
            replicas.keep(Set(Roster(book: book, owner: owner, device: DeviceID(.zero)).peers.map(\.id)))
            // It is a cache, and without it less is counted.
            try? replicas.write(disk, directory: ledgerDirectory)
            return ended
        } catch { throw NodeError(.usage, "unpair", "\(error)") }
    }
}

extension PeerBook {
    fileprivate mutating func end(_ text: String, owner: OwnerID, now: Int64) throws(PeerBookError) -> Unpaired {
        switch try find(text) {
        case .friend(let friend):
            _ = unpair(friend.owner, now: now)
            return Unpaired(name: friend.name, id: friend.owner.hex, isDevice: false)
        case .device(let device) where device.owner == owner:
            _ = block(device.id, of: owner)
            return Unpaired(name: device.certificate.shownName, id: device.id.hex, isDevice: true)
        case .device(let device):
            _ = unpair(device.owner, now: now)
            return Unpaired(
                name: friend(device.owner)?.name ?? device.certificate.shownName, id: device.owner.hex, isDevice: false)
        }
    }
}
