internal import CSodium
package import BackupFormat

private let nonceBytes = ChaChaPoly.extendedNonceBytes
private let tagBytes = ChaChaPoly.tagBytes

/// XChaCha20-Poly1305 with a random nonce: writes `nonce | ciphertext | tag`, 40 bytes more than `plain`, and answers its length.
func sealBox(
    _ plain: UnsafeRawBufferPointer, key: Bytes32, associated: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
) -> Int {
    let sealedBytes = plain.count + nonceBytes + tagBytes
    guard output.count >= sealedBytes, let base = output.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
        preconditionFailure("a buffer of \(output.count) bytes is too small for a box of \(sealedBytes)")
    }
    _ = sodiumReady
    randombytes_buf(base, nonceBytes)
    #if MUTANTS
        if Mutant.reuseNonce.isOn { base.update(repeating: 7, count: nonceBytes) }
    #endif
    key.withPointer { key in
        ChaChaPoly.withSubkey(nonce: base, key: key) { nonce, subkey in
            ChaChaPoly.seal(plain, associated: associated, nonce: nonce, key: subkey, into: base + nonceBytes)
        }
    }
    return sealedBytes
}

/// Opens what ``sealBox(_:key:associated:into:)`` wrote; answers the plaintext's length, or nil when it is not authentic.
func openBox(
    _ sealed: UnsafeRawBufferPointer, key: Bytes32, associated: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
) -> Int? {
    let plainBytes = sealed.count - nonceBytes - tagBytes
    guard plainBytes >= 0, let base = sealed.bytePointer else { return nil }
    precondition(output.count >= plainBytes, "the buffer is too small for the opened box")
    _ = sodiumReady
    let text = UnsafeRawBufferPointer(rebasing: sealed[nonceBytes...])
    let isAuthentic = key.withPointer { key in
        ChaChaPoly.withSubkey(nonce: base, key: key) { nonce, subkey in
            ChaChaPoly.open(
                text, associated: associated, nonce: nonce, key: subkey,
                into: output.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }
    return isAuthentic ? plainBytes : nil
}

/// Seals and opens the footers of packs, under a key that every device of the owner has.
package final class FooterCipher: Sendable {
    /// How many bytes longer than its plaintext a sealed footer is.
    package static let sealBytes = nonceBytes + tagBytes

    private let key: SecretBytes

    package init(footerKey: Bytes32) { key = SecretBytes(footerKey) }

    /// `nonce 24 | ciphertext | tag 16`; `associated` (the pack's header) is bound in and must be given again to open.
    package func seal(_ plain: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: plain.count + FooterCipher.sealBytes) { buffer, count in
            count = sealBox(plain, key: key.value, associated: associated, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// The plaintext of a sealed footer. Throws when it is damaged, another owner's, or bound to other data.
    package func open(
        _ sealed: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer
    ) throws(CryptographyError) -> [UInt8] {
        var length: Int?
        let plain = [UInt8](unsafeUninitializedCapacity: max(1, sealed.count - FooterCipher.sealBytes)) { buffer, count in
            length = openBox(sealed, key: key.value, associated: associated, into: UnsafeMutableRawBufferPointer(buffer))
            count = length ?? 0
        }
        guard length != nil else { throw CryptographyError(.notAuthentic, "open a pack's footer") }
        return plain
    }
}

/// Seals `plain` so that only the holder of the owner key can read it (libsodium `crypto_box_seal`): 48 bytes longer.
///
/// Throws `.malformed` when `sealingPublicKey` is not a usable X25519 public key.
package func sealToOwner(
    _ plain: UnsafeRawBufferPointer, sealingPublicKey: Bytes32
) throws(CryptographyError) -> [UInt8] {
    _ = sodiumReady
    var result: Int32 = -1
    let sealedBytes = plain.count + crypto_box_sealbytes()
    let sealed = [UInt8](unsafeUninitializedCapacity: sealedBytes) { buffer, count in
        guard let output = buffer.baseAddress else { return }
        result = sealingPublicKey.withPointer { crypto_box_seal(output, plain.bytePointer, UInt64(plain.count), $0) }
        count = result == 0 ? sealedBytes : 0
    }
    guard result == 0 else { throw CryptographyError(.malformed, "seal to the owner's public key") }
    return sealed
}

/// Opens what ``sealToOwner(_:sealingPublicKey:)`` sealed.
func openSealed(
    _ sealed: UnsafeRawBufferPointer, publicKey: Bytes32, secretKey: borrowing SecretBytes
) throws(CryptographyError) -> [UInt8] {
    let plainBytes = sealed.count - crypto_box_sealbytes()
    guard plainBytes >= 0, let input = sealed.bytePointer else { throw CryptographyError(.malformed, "open a snapshot") }
    var plain = [UInt8](repeating: 0, count: plainBytes)
    let secret = secretKey.base
    let result = plain.withUnsafeMutableBufferPointer { buffer in
        publicKey.withPointer { crypto_box_seal_open(buffer.baseAddress, input, UInt64(sealed.count), $0, secret) }
    }
    guard result == 0 else { throw CryptographyError(.notAuthentic, "open a snapshot") }
    return plain
}

extension UnsafeRawBufferPointer {
    /// The start of the bytes as libsodium takes it.
    var bytePointer: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
