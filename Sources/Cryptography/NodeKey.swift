package import BackupFormat

/// One node's own secret: 32 random bytes that never leave it.
///
/// With `crypto_kdf` context "bakareND": subkey 1 is the seed of the X25519 pair for sessions, 2 the seed of the Ed25519
/// pair whose public key is the node's id.
package final class NodeKey: Sendable {
    private let seed: SecretBytes
    private let signing: SigningKeyPair
    private let agreement: AgreementKeyPair

    package static func generate() -> NodeKey { NodeKey(seed: SecretBytes.random32()) }

    package convenience init(seed: Bytes32) { self.init(seed: SecretBytes(seed)) }

    private init(seed: consuming SecretBytes) {
        signing = SigningKeyPair(seed: subkey(2, NodeKey.context, of: seed))
        agreement = AgreementKeyPair(seed: subkey(1, NodeKey.context, of: seed))
        self.seed = seed
    }

    private static let context: StaticString = "bakareND"

    package var id: DeviceID { DeviceID(signing.publicKey) }
    package var agreementPublicKey: Bytes32 { agreement.publicKey }

    /// The 32 bytes themselves: for the key file alone.
    package var seedBytes: Bytes32 { seed.value }

    /// See ``AgreementKeyPair/agree(with:)``.
    func agree(with publicKey: Bytes32) throws(CryptographyError) -> SecretBytes { try agreement.agree(with: publicKey) }

    func sign(_ domain: StaticString, _ message: [UInt8]) -> Signature { signing.sign(domain, message) }
}
