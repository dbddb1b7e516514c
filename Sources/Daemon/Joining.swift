internal import BackupFormat
package import BackupNode
internal import Cryptography
internal import HostFiles
internal import NodeRuntime
internal import PeerProtocol
package import Peers

/// What came of joining.
package struct Joined: Sendable, Hashable {
    /// The inviter's, as its certificate says.
    package var name: String
    package var kind: InvitationKind
    /// What the inviter keeps for this node at most.
    package var quotaBytes: UInt64
    package var ownFingerprint: String
    package var inviterFingerprint: String
}

extension Home {
    /// Uses an invitation: pairs this home's owner with the inviter, or makes this home, which must not be there yet, a device of the
    /// inviter's owner. `quotaBytes` is what this node will keep for the inviter at most.
    package func join(_ invitation: Invitation, quotaBytes: UInt64, host: String, now: Int64) throws(NodeError) -> Joined {
        let keys: HomeKeys?
        if invitation.kind == .friend {
            keys = try open(host: host, now: now).keys
        } else {
            guard !exists else {
                try requireUsed("join")
                throw NodeError(
                    .home, "join", "this invitation makes a new device, and there is a home already; name another with --home",
                    path: directory)
            }
            keys = nil
        }
        let node = keys?.identity.key ?? NodeKey.generate()
        let seconds = now / 1_000_000_000
        // Before the invitation is used up: whether anything could come of it.
        do throws(PeerBookError) {
            let book = keys == nil ? PeerBook() : try peerBook().read()
            try book.requireJoinable(
                invitation, own: keys?.identity.certificate, ownKey: node.agreementPublicKey, now: seconds)
        } catch { throw NodeError(.failed, "join", "\(error)") }
        let setup = HandshakeSetup(key: node, certificate: keys?.identity.certificate, agent: "bakare-node")
        let request = Pair(quotaBytes: quotaBytes, device: node.id, name: keys?.identity.certificate?.name ?? host)
        let owner = keys?.publisher.owner ?? OwnerID(.zero)
        let (inviter, paired) = try CommandSessions.during(setup, owner: owner) { transport throws(NodeError) in
            try pair(by: invitation, request, transport)
        }
        do {
            if keys == nil {
                let device = try AdmittedDevice(paired, invitation: invitation, node: node)
                try create(
                    HomeKeys(
                        owner: device.owner, publisher: device.publisher,
                        identity: NodeIdentity(key: node, certificate: device.certificate)))
            }
            try peerBook().change { book throws(PeerBookError) in
                try book.joined(
                    inviter: inviter, invitation: invitation, quotaBytes: quotaBytes, paired: paired, now: seconds)
            }
        } catch let error as NodeError { throw error } catch { throw NodeError(.failed, "join", "\(error)") }
        return Joined(
            name: inviter.certificate?.shownName ?? invitation.name, kind: invitation.kind, quotaBytes: paired.quotaBytes,
            ownFingerprint: fingerprint(node.agreementPublicKey), inviterFingerprint: fingerprint(inviter.agreementKey))
    }

    package func peerBook() throws(PeerBookError) -> PeerBookFile {
        try PeerBookFile(disk: disk, directory: peersDirectory)
    }

    private func pair(
        by invitation: Invitation, _ request: Pair, _ transport: PeerTransport
    ) throws(NodeError) -> (PeerIdentity, Paired) {
        let addresses = invitation.addresses.compactMap { try? PeerAddress($0) }
        do {
            let connection = try transport.connect(to: addresses, peer: invitation.inviterKey, token: invitation.token)
            switch try connection.request(.pair(request)).answer {
            case .paired(let paired):
                connection.close(.paired)
                return (connection.peer, paired)
            case .failed(let failed):
                throw NodeError(.failed, "join", "the inviter says: \(failed.reason.isEmpty ? "\(failed.code)" : failed.reason)")
            default: throw NodeError(.failed, "join", "the inviter's answer makes no sense; update both nodes")
            }
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError(
                .failed, "join",
                "\(error); tried \(invitation.addresses.joined(separator: ", ")): `bakare-node start` must run where the invitation was made"
            )
        }
    }
}
