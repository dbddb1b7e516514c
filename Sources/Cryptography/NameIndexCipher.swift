package import BackupFormat

/// Seals and opens the files of the name index, under a key that only homes with the owner key have: a stolen write-only device can read
/// no name with it.
package final class NameIndexCipher: Sendable {
    /// How many bytes longer than its plaintext a sealed piece is.
    package static let sealBytes = ChaChaPoly.extendedNonceBytes + ChaChaPoly.tagBytes

    private let key: SecretBytes

    package init(key: Bytes32) { self.key = SecretBytes(key) }

    init(_ key: consuming SecretBytes) { self.key = key }

    /// `nonce 24 | ciphertext | tag 16`; `associated` is bound in and must be given again to open.
    package func seal(_ plain: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: plain.count + NameIndexCipher.sealBytes) { buffer, count in
            count = sealBox(plain, key: key.value, associated: associated, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Opens into `output`, which must hold 40 bytes less than `sealed`; answers how many. Throws when the piece is damaged, another
    /// owner's, or bound to other data.
    package func open(
        _ sealed: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CryptographyError) -> Int {
        guard output.count >= sealed.count - NameIndexCipher.sealBytes,
            let length = openBox(sealed, key: key.value, associated: associated, into: output)
        else { throw CryptographyError(.notAuthentic, "open the name index") }
        return length
    }
}

extension OwnerKey {
    /// For the name index of homes that have this key: `crypto_kdf` subkey 5.
    package func nameIndexCipher() -> NameIndexCipher { NameIndexCipher(nameIndexKey()) }
}
