package import BackupFormat

extension SnapshotRecord {
    /// The snapshot's name: SHA-256 of its core.
    package var id: SnapshotID { SnapshotID(sha256(coreBytes)) }

    /// What the device signs: SHA-256 of core and placement.
    fileprivate var digest: [UInt8] { sha256(coreBytes, placementBytes).bytes }
}

extension PackListPage {
    package var id: PageID { PageID(sha256(encode())) }
}

/// Puts `node`'s signature under `record`, whose certificate must be that node's.
package func signSnapshot(_ record: inout SnapshotRecord, with node: NodeKey) {
    precondition(record.certificate.device == node.id, "a record carries the certificate of the node that signs it")
    record.signature = node.sign(Domain.snapshotSignature, record.digest)
}

/// Checks that a record may stand in `owner`'s vault.
///
/// A first commit (revision 0) is signed by the device that made the backup, with `backup`. A later revision may drop packs,
/// so its signer needs `forget`, and may be another device: a stolen write-only device cannot empty history by it.
package func verifySnapshot(_ record: SnapshotRecord, owner: OwnerID) throws(CryptographyError) {
    let operation = "accept a snapshot"
    guard record.owner == owner else { throw CryptographyError(.mismatched, operation) }
    let first = record.revision == 0
    try verifyCertificate(record.certificate, owner: owner, permission: first ? .backup : .forget, operation)
    guard !first || record.certificate.device == record.device else { throw CryptographyError(.mismatched, operation) }
    guard isValid(record.signature, Domain.snapshotSignature, record.digest, by: record.certificate.device.value) else {
        throw CryptographyError(.notAuthentic, operation)
    }
}

/// Checks that `owner` signed a certificate and that it grants `permission` (none by default).
package func verifyCertificate(
    _ certificate: Certificate, owner: OwnerID, permission: Permissions = [], _ operation: String = "accept a certificate"
) throws(CryptographyError) {
    guard certificate.owner == owner else { throw CryptographyError(.mismatched, operation) }
    let message = certificate.signedBytes
    guard isValid(certificate.signature, Domain.certificateSignature, message, by: owner.value) else {
        throw CryptographyError(.notAuthentic, operation)
    }
    guard certificate.permissions.isSuperset(of: permission) else { throw CryptographyError(.notPermitted, operation) }
}

/// Orders that `snapshots` be removed; `certificate` must be `node`'s. At most ``Limits/forgetSnapshotsMax`` at a time.
package func signForget(
    _ snapshots: some Sequence<SnapshotID>, certificate: Certificate, with node: NodeKey
) -> ForgetOrder {
    precondition(certificate.device == node.id, "an order carries the certificate of the node that signs it")
    var order = ForgetOrder(
        owner: certificate.owner, device: node.id, nonce: .random(), snapshots: snapshots, certificate: certificate)
    order.signature = node.sign(Domain.forgetSignature, order.signedBytes)
    return order
}

/// Checks that an order to remove snapshots comes from a device that `owner` lets forget.
package func verifyForget(_ order: ForgetOrder, owner: OwnerID) throws(CryptographyError) {
    let operation = "forget snapshots"
    guard order.owner == owner, order.certificate.device == order.device else {
        throw CryptographyError(.mismatched, operation)
    }
    try verifyCertificate(order.certificate, owner: owner, permission: .forget, operation)
    guard isValid(order.signature, Domain.forgetSignature, order.signedBytes, by: order.device.value) else {
        throw CryptographyError(.notAuthentic, operation)
    }
}

/// Checks that the owner key was at the other end of the session whose handshake hash this is.
package func verifyRecovery(_ signature: Signature, handshakeHash: [UInt8], owner: OwnerID) throws(CryptographyError) {
    guard isValid(signature, Domain.recoverySignature, handshakeHash, by: owner.value) else {
        throw CryptographyError(.notGenuine, "recover")
    }
}

/// Names an invitation to whoever holds its token, and tells nobody else the token: SHA-256("bakare invitation v1" || token).
package func invitationID(token: Bytes32) -> Bytes32 { sha256(Array(Domain.invitation.buffer), token.bytes) }
