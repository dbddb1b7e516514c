package import BackupFormat

/// An owner's one secret: 32 random bytes from which all their other keys come.
///
/// With `crypto_kdf` context "bakareOK": subkey 1 is the seed of the X25519 sealing pair, 2 the seed of the Ed25519
/// signing pair, 3 the dedup secret, 4 the footer key, 5 the key of the name index.
package final class OwnerKey: Sendable {
    private let seed: SecretBytes
    private let signing: SigningKeyPair
    private let sealing: AgreementKeyPair
    /// What a device needs in order to back up, and no more.
    package let publisherKeys: PublisherKeys

    package static func generate() -> OwnerKey { OwnerKey(seed: SecretBytes.random32()) }

    package convenience init(seed: Bytes32) { self.init(seed: SecretBytes(seed)) }

    private init(seed: consuming SecretBytes) {
        let signing = SigningKeyPair(seed: subkey(2, OwnerKey.context, of: seed))
        let sealing = AgreementKeyPair(seed: subkey(1, OwnerKey.context, of: seed))
        publisherKeys = PublisherKeys(
            owner: OwnerID(signing.publicKey), sealingPublicKey: sealing.publicKey,
            dedupSecret: subkey(3, OwnerKey.context, of: seed), footerKey: subkey(4, OwnerKey.context, of: seed))
        self.signing = signing
        self.sealing = sealing
        self.seed = seed
    }

    private static let context: StaticString = "bakareOK"

    package var id: OwnerID { publisherKeys.owner }

    func nameIndexKey() -> SecretBytes { subkey(5, OwnerKey.context, of: seed) }

    /// The 32 bytes themselves: for the key file and the recovery text alone.
    package var seedBytes: Bytes32 { seed.value }

    /// Opens what ``PublisherKeys/seal(_:)`` sealed. Throws when it is damaged or sealed to another owner.
    package func open(_ sealed: UnsafeRawBufferPointer) throws(CryptographyError) -> [UInt8] {
        try openSealed(sealed, publicKey: sealing.publicKey, secretKey: sealing.secret)
    }

    package func open(_ sealed: [UInt8]) throws(CryptographyError) -> [UInt8] {
        let result = sealed.withUnsafeBytes { buffer in Result { () throws(CryptographyError) in try open(buffer) } }
        return try result.get()
    }

    /// Proves, in the session whose handshake hash this is and in no other, that the owner key is here.
    package func signRecovery(handshakeHash: [UInt8]) -> Signature { signing.sign(Domain.recoverySignature, handshakeHash) }

    /// Makes a node a device of this owner. `name` is cut to 255 bytes of UTF-8.
    package func certify(
        device: DeviceID, agreementKey: Bytes32, name: String, permissions: Permissions, serial: UInt64
    ) -> Certificate {
        var short = name
        while short.utf8.count > Certificate.nameBytesMax { short.removeLast() }
        var certificate = Certificate(
            owner: id, device: device, agreementKey: agreementKey, permissions: permissions, serial: serial, name: short)
        certificate.signature = signing.sign(Domain.certificateSignature, certificate.signedBytes)
        return certificate
    }

    package func certify(_ node: NodeKey, name: String, permissions: Permissions, serial: UInt64) -> Certificate {
        certify(device: node.id, agreementKey: node.agreementPublicKey, name: name, permissions: permissions, serial: serial)
    }
}
