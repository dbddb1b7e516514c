package import BackupFormat

/// What a device needs in order to back up for its owner: a write-only device holds these and not the owner key.
///
/// Enough to name, deduplicate and seal chunks and to read pack footers; not enough to open a snapshot or a tree.
package final class PublisherKeys: Sendable {
    package let owner: OwnerID
    /// The owner's X25519 public key, which snapshots are sealed to.
    package let sealingPublicKey: Bytes32
    private let dedup: SecretBytes
    private let footer: SecretBytes

    package convenience init(owner: OwnerID, sealingPublicKey: Bytes32, dedupSecret: Bytes32, footerKey: Bytes32) {
        self.init(
            owner: owner, sealingPublicKey: sealingPublicKey, dedupSecret: SecretBytes(dedupSecret),
            footerKey: SecretBytes(footerKey))
    }

    init(
        owner: OwnerID, sealingPublicKey: Bytes32, dedupSecret: consuming SecretBytes, footerKey: consuming SecretBytes
    ) {
        self.owner = owner
        self.sealingPublicKey = sealingPublicKey
        dedup = dedupSecret
        footer = footerKey
    }

    package var dedupSecret: Bytes32 { dedup.value }
    package var footerKey: Bytes32 { footer.value }

    package func chunkCipher() -> ChunkCipher { ChunkCipher(dedupSecret: dedupSecret) }
    package func footerCipher() -> FooterCipher { FooterCipher(footerKey: footerKey) }

    /// The owner's table of 256 numbers for the gear hash.
    package func gearTable() -> [UInt64] { Cryptography.gearTable(dedupSecret: dedupSecret) }

    /// A secret of the owner's for one purpose; see ``Cryptography/derive(domain:from:)``.
    package func derive(domain: String) -> Bytes32 { Cryptography.derive(domain: domain, from: dedupSecret) }

    /// Seals so that only the owner key opens it: 48 bytes longer. Throws when the owner's public key is unusable.
    package func seal(_ plain: [UInt8]) throws(CryptographyError) -> [UInt8] {
        let result = plain.withUnsafeBytes { buffer in
            Result { () throws(CryptographyError) in try sealToOwner(buffer, sealingPublicKey: sealingPublicKey) }
        }
        return try result.get()
    }
}
