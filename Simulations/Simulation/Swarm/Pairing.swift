internal import BackupFormat
internal import BackupNode
internal import Cryptography
internal import Daemon
internal import HostFiles
internal import PeerProtocol
internal import Peers
internal import Replication
internal import Vault

/// What commands of the program do with the network's help, on a simulated machine. All run on a thread of the machine.
extension Machine {
    /// A session of a command, as `join` and `recover` make one. Waits.
    private func connect(to other: Machine, _ basis: SessionBasis, peer: Bytes32?, token: Bytes32?) throws -> WireEnd {
        let answer = ConditionLock<Result<WireEnd, PeerProtocolError>?>(nil)
        let command = CommandNode(index, basis)
        network.connect(command, to: other.index, peer: peer, token: token) { result in answer.withLock { $0 = result } }
        let end = try answer.wait { $0 }.get()
        end.keeping = command
        return end
    }

    private func commandBasis(_ keys: HomeKeys) -> SessionBasis {
        var acquaintances = Acquaintances(owner: keys.publisher.owner)
        acquaintances.servesNobody = true
        return SessionBasis(
            handshake: HandshakeSetup(key: keys.identity.key, certificate: keys.identity.certificate, agent: "bakare-node"),
            acquaintances: acquaintances, offer: Offer(role: .publisher))
    }

    /// `bakare-node join` with an invitation to be friends.
    func join(_ invitation: Invitation, of inviter: Machine, quotaBytes: UInt64) throws {
        guard let keys, let certificate = keys.identity.certificate else { return }
        let now = currentTime() / 1_000_000_000
        try home.peerBook().read().requireJoinable(
            invitation, own: certificate, ownKey: keys.identity.key.agreementPublicKey, now: now)
        let end = try connect(to: inviter, commandBasis(keys), peer: invitation.inviterKey, token: invitation.token)
        let request = Pair(quotaBytes: quotaBytes, device: keys.identity.key.id, name: name)
        guard case .paired(let paired) = try PeerVault(end).ask(.pair(request), "pair").answer else { return }
        let inviterIdentity = end.peer
        end.close(.paired)
        try home.peerBook().change { book throws(PeerBookError) in
            try book.joined(inviter: inviterIdentity, invitation: invitation, quotaBytes: quotaBytes, paired: paired, now: now)
        }
    }

    func invite(quotaBytes: UInt64) throws -> Invitation? {
        guard let keys else { return nil }
        let now = currentTime() / 1_000_000_000
        return try home.invite(
            keys, kind: .friend, quotaBytes: quotaBytes, expires: now + 86_400, addresses: [address], now: now)
    }

    /// Takes another device of the same owner into the book, as the node does that meets it.
    func meet(_ other: Machine) throws {
        guard let certificate = other.keys?.identity.certificate else { return }
        let now = currentTime() / 1_000_000_000
        try home.peerBook().change { book throws(PeerBookError) in
            _ = book.saw(certificate, at: [other.address.description], now: now)
        }
    }

    /// Asks these machines for the owner's vault, as `bakare-node recover --peer` does, and brings back what they have. Answers how
    /// many snapshots came.
    func fetchVault(from others: [Machine], _ keys: HomeKeys, replacing packs: [PackID] = []) throws -> Int {
        guard let owner = keys.owner else { return 0 }
        var links: [WireEnd] = []
        let now = currentTime() / 1_000_000_000
        for other in others where other.index != index {
            guard let end = try? connect(to: other, commandBasis(keys), peer: nil, token: nil) else { continue }
            let request = Recover(owner: owner.id, signature: owner.signRecovery(handshakeHash: end.handshakeHash))
            guard case .vault(let state)? = try? PeerVault(end).ask(.recover(request), "recover").answer, state.exists else {
                end.close(.leaving)
                continue
            }
            links.append(end)
            guard let certificate = end.peer.certificate else { continue }
            try home.peerBook().change { book throws(PeerBookError) in
                try book.recovered(certificate, own: owner.id, at: [other.address.description], now: now)
            }
        }
        guard !links.isEmpty else { return 0 }
        defer { for end in links { end.close(.leaving) } }
        let vault = try Vault(disk: home.disk, directory: home.vaultDirectory, owner: owner.id, create: true)
        let download = SnapshotDownload(into: vault, from: links)
        if !packs.isEmpty { _ = try download.replace(packs: packs) }
        return try download.run().committed.count
    }
}
