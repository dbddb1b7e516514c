package import BackupFormat

extension OwnerKey {
    /// The key as text to write down; ``RecoveryKeyText`` gives its form. Secret.
    package var recoveryText: String { RecoveryKeyText.encode(seedBytes, checksum: recoveryChecksum(seedBytes)) }

    /// From text that a person typed. Throws an error that names the group to look at.
    package convenience init(recoveryText text: String) throws(RecoveryKeyError) {
        self.init(seed: try RecoveryKeyText.decode(text, checksum: recoveryChecksum))
    }
}

/// The first 20 bits of SHA-256("bakare recovery key v1" || key).
private func recoveryChecksum(_ key: Bytes32) -> UInt32 {
    let hash = key.withBytes { sha256(Domain.recoveryKey.buffer, $0) }
    return UInt32(truncatingIfNeeded: hash.words.0 >> 44)
}
