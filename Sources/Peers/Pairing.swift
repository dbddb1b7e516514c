package import BackupFormat
package import Cryptography
package import PeerProtocol

/// What an inviter has to give: its own certificate, and the keys that new devices of its owner get.
package struct InviterKeys: Sendable {
    /// Nil on a write-only device, which can invite friends and no devices.
    package let owner: OwnerKey?
    package let publisher: PublisherKeys
    /// Of this node.
    package let certificate: Certificate

    package init(owner: OwnerKey?, publisher: PublisherKeys, certificate: Certificate) {
        self.owner = owner
        self.publisher = publisher
        self.certificate = certificate
    }

    /// Throws `writeOnly` where an invitation of that kind could not be kept.
    package func requireAble(_ kind: InvitationKind) throws(PeerBookError) {
        if kind != .friend, owner == nil { throw PeerBookError(.writeOnly) }
    }

    /// What makes a node a device of this owner. `serial` is above that of any certificate it had.
    func device(
        _ pair: Pair, agreementKey: Bytes32, kind: InvitationKind, serial: UInt64
    ) throws(PeerBookError) -> (certificate: Certificate, keys: [UInt8]) {
        guard let owner else { throw PeerBookError(.writeOnly) }
        let name = shownName(pair.name)
        let certificate = owner.certify(
            device: pair.device, agreementKey: agreementKey, name: name, permissions: kind.permissions, serial: serial)
        guard kind == .writeOnlyDevice else { return (certificate, OwnerKeyRecord(seed: owner.seedBytes).encode()) }
        let keys = PublisherKeysRecord(
            owner: publisher.owner, sealingPublicKey: publisher.sealingPublicKey, dedupSecret: publisher.dedupSecret,
            footerKey: publisher.footerKey)
        return (certificate, keys.encode())
    }
}

extension InvitationKind {
    /// What the new device may do.
    var permissions: Permissions {
        switch self {
        case .friend: []
        case .ownDevice: .all
        case .writeOnlyDevice: .backup
        }
    }
}

/// What a node was given that an invitation made a device of the inviter's owner: checked against the invitation and its own key.
package struct AdmittedDevice: Sendable {
    package let certificate: Certificate
    /// Nil for a write-only device.
    package let owner: OwnerKey?
    package let publisher: PublisherKeys

    /// Throws `falseAnswer` unless the certificate is of the invitation's owner, for this very node, with the permissions that the
    /// invitation promised, and the keys are that owner's.
    package init(_ paired: Paired, invitation: Invitation, node: NodeKey) throws(PeerBookError) {
        guard invitation.kind != .friend else { throw PeerBookError(.falseAnswer, "keys for a friend") }
        certificate = try decode(paired.certificate) { bytes throws(FormatError) in try Certificate(decoding: bytes) }
        do { try verifyCertificate(certificate, owner: invitation.inviterOwner) } catch {
            throw PeerBookError(.falseAnswer, "a certificate of another owner")
        }
        guard certificate.device == node.id, certificate.agreementKey == node.agreementPublicKey else {
            throw PeerBookError(.falseAnswer, "a certificate for another node")
        }
        guard certificate.permissions == invitation.kind.permissions else {
            throw PeerBookError(.falseAnswer, "other permissions")
        }
        if invitation.kind == .ownDevice {
            let record = try decode(paired.keys) { bytes throws(FormatError) in try OwnerKeyRecord(decoding: bytes) }
            let key = OwnerKey(seed: record.seed)
            owner = key
            publisher = key.publisherKeys
        } else {
            let record = try decode(paired.keys) { bytes throws(FormatError) in try PublisherKeysRecord(decoding: bytes) }
            owner = nil
            publisher = PublisherKeys(
                owner: record.owner, sealingPublicKey: record.sealingPublicKey, dedupSecret: record.dedupSecret,
                footerKey: record.footerKey)
        }
        guard publisher.owner == invitation.inviterOwner else { throw PeerBookError(.falseAnswer, "keys of another owner") }
    }
}

private func decode<Value>(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Value
) throws(PeerBookError) -> Value {
    let result = bytes.withUnsafeBytes { bytes in Result { () throws(FormatError) in try body(bytes) } }
    do throws(FormatError) { return try result.get() } catch { throw PeerBookError(.falseAnswer, error.description) }
}
