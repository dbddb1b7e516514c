package import BackupFormat
package import PeerProtocol

extension PeerBook {
    // MARK: The inviter

    /// A node asks to pair, in a session that `token` opened. Uses the invitation, once, and answers what to say.
    ///
    /// `identity` is as the handshake proved it. What the node only claims, its device id and name, is believed as far as it takes
    /// nothing from anybody known. A refusal leaves the invitation open.
    package mutating func admit(
        _ pair: Pair, from identity: PeerIdentity, token: Bytes32, keys: InviterKeys, now: Int64
    ) throws(PeerBookError) -> Paired {
        guard let invitation = invitations.first(where: { $0.token == token }) else { throw PeerBookError(.unknownInvitation) }
        guard invitation.isOpen(now) else { throw PeerBookError(.expired) }
        try requireNew(pair.device, identity, than: keys.certificate)
        var book = self
        let paired: Paired
        if invitation.kind == .friend {
            guard let certificate = identity.certificate else { throw PeerBookError(.noCertificate) }
            guard certificate.owner != keys.publisher.owner else { throw PeerBookError(.sameOwner) }
            guard certificate.device == pair.device else { throw PeerBookError(.otherDevice) }
            try book.agree(
                certificate.owner, name: firstName([pair.name, certificate.name], else: certificate.owner.hex),
                quotaBytes: invitation.quotaBytes, promisedBytes: pair.quotaBytes, now: now)
            book.saw(certificate, at: [], now: now)
            paired = Paired(quotaBytes: invitation.quotaBytes)
        } else {
            try keys.requireAble(invitation.kind)
            if let certificate = identity.certificate {
                throw PeerBookError(certificate.owner == keys.publisher.owner ? .alreadyDevice : .otherOwner)
            }
            // Seconds since 1970, unless an earlier answer got lost, or the clock has gone back.
            let before = device(pair.device, of: keys.publisher.owner)?.certificate.serial ?? 0
            let device = try keys.device(
                pair, agreementKey: identity.agreementKey, kind: invitation.kind,
                serial: max(UInt64(clamping: now), before < .max ? before + 1 : before))
            book.saw(device.certificate, at: [], now: now)
            paired = Paired(quotaBytes: invitation.quotaBytes, certificate: device.certificate.encode(), keys: device.keys)
        }
        book.invitations.removeAll { $0.token == token }
        self = book
        return paired
    }

    /// Whether a node may be taken for what it says: not this node, not blocked, and neither its key nor its device id another's.
    private func requireNew(_ device: DeviceID, _ identity: PeerIdentity, than own: Certificate) throws(PeerBookError) {
        guard identity.agreementKey != own.agreementKey else { throw PeerBookError(.thisNode) }
        guard device != own.device else { throw PeerBookError(.otherDevice) }
        for known in devices where known.agreementKey == identity.agreementKey || known.id == device {
            if known.isBlocked { throw PeerBookError(.blocked) }
            guard known.agreementKey == identity.agreementKey, known.id == device else { throw PeerBookError(.otherDevice) }
        }
    }

    // MARK: Who joins

    /// Whether it makes sense to dial the inviter: to be asked before. `own` is this node's certificate, nil where there is no owner yet;
    /// `ownKey` its agreement key.
    package func requireJoinable(
        _ invitation: Invitation, own: Certificate?, ownKey: Bytes32, now: Int64
    ) throws(PeerBookError) {
        guard invitation.inviterKey != ownKey else { throw PeerBookError(.thisNode) }
        guard now < invitation.expires else { throw PeerBookError(.expired) }
        if let known = device(agreementKey: invitation.inviterKey), known.isBlocked { throw PeerBookError(.blocked) }
        guard invitation.kind == .friend else {
            if let own { throw PeerBookError(own.owner == invitation.inviterOwner ? .alreadyDevice : .otherOwner) }
            return
        }
        guard let own else { throw PeerBookError(.noCertificate) }
        guard own.owner != invitation.inviterOwner else { throw PeerBookError(.sameOwner) }
        if friend(invitation.inviterOwner) == nil, friends.count >= Limits.friendsMax {
            throw PeerBookError(.full, "\(friends.count) friends")
        }
    }

    /// The inviter has admitted this node: from now on it is known here, and for an invitation of friends, its owner is one.
    ///
    /// `inviter` is as the handshake proved it; `quotaBytes` is what this node keeps for that owner at most. For a new device,
    /// ``AdmittedDevice`` has what was given.
    package mutating func joined(
        inviter: PeerIdentity, invitation: Invitation, quotaBytes: UInt64, paired: Paired, now: Int64
    ) throws(PeerBookError) {
        guard inviter.agreementKey == invitation.inviterKey, let certificate = inviter.certificate,
            certificate.owner == invitation.inviterOwner
        else { throw PeerBookError(.falseAnswer, "another node, or of another owner") }
        guard paired.certificate.isEmpty == (invitation.kind == .friend) else {
            throw PeerBookError(.falseAnswer, "keys where there should be none, or none where there should be some")
        }
        var book = self
        if invitation.kind == .friend {
            try book.agree(
                certificate.owner, name: firstName([invitation.name, certificate.name], else: certificate.owner.hex),
                quotaBytes: quotaBytes, promisedBytes: paired.quotaBytes, now: now)
        }
        book.saw(certificate, at: invitation.addresses, now: now)
        self = book
    }
}
