internal import COpenSSL
internal import CSodium

/// ChaCha20-Poly1305 (RFC 8439) and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), each message by whichever library is faster.
///
/// Short messages go to libsodium, whose calls need no set-up; long ones to OpenSSL's libcrypto, which has code for
/// AVX2, AVX-512 and NEON. Both write the same bytes. Where libcrypto has no such cipher (a system that is held to FIPS), libsodium does it all.
enum ChaChaPoly {
    static let tagBytes = 16
    static let nonceBytes = 12
    static let extendedNonceBytes = 24
    /// From here on libcrypto is at least one and a half times as fast, its set-up included (docs/decisions/0008).
    private static let longMessageBytes = 4096

    /// Writes `ciphertext | tag`, 16 bytes more than `plain`, to `output`, which is the start of `plain` or does not overlap it.
    ///
    /// `key` points to 32 bytes, `nonce` to 12.
    static func seal(
        _ plain: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer, nonce: UnsafePointer<UInt8>,
        key: UnsafePointer<UInt8>, into output: UnsafeMutablePointer<UInt8>
    ) {
        if plain.count >= longMessageBytes, let context = LibcryptoContext(sealing: true, key, nonce, associated) {
            return context.seal(plain, into: output)
        }
        let result = crypto_aead_chacha20poly1305_ietf_encrypt(
            output, nil, plain.bytePointer, UInt64(plain.count), associated.bytePointer, UInt64(associated.count), nil, nonce, key
        )
        // libsodium documents that this never fails.
        precondition(result == 0)
    }

    /// Opens `ciphertext | tag` into `output`, which is the start of `sealed` or does not overlap it. Answers whether it is
    /// authentic; if not, `output` holds zeroes, as many as the plaintext would have bytes.
    ///
    /// There must be at least the 16 bytes of a tag.
    static func open(
        _ sealed: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer, nonce: UnsafePointer<UInt8>,
        key: UnsafePointer<UInt8>, into output: UnsafeMutablePointer<UInt8>?
    ) -> Bool {
        precondition(sealed.count >= tagBytes)
        if sealed.count >= longMessageBytes + tagBytes, let output,
            let context = LibcryptoContext(sealing: false, key, nonce, associated)
        {
            return context.open(sealed, into: output)
        }
        guard let text = sealed.bytePointer else { return false }
        let result = crypto_aead_chacha20poly1305_ietf_decrypt(
            output, nil, nil, text, UInt64(sealed.count), associated.bytePointer, UInt64(associated.count), nonce, key)
        return result == 0
    }

    /// Calls `body` with the nonce and key under which ChaCha20-Poly1305 does what XChaCha20-Poly1305 does under `nonce`, which
    /// points to 24 bytes, and `key`. They are gone afterwards.
    static func withSubkey<R>(
        nonce: UnsafePointer<UInt8>, key: UnsafePointer<UInt8>, _ body: (UnsafePointer<UInt8>, UnsafePointer<UInt8>) -> R
    ) -> R {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: nonceBytes + 32) { block in
            guard let short = block.baseAddress else { preconditionFailure("44 bytes have an address") }
            defer { sodium_memzero(short, block.count) }
            // HChaCha20 of the first 16 bytes; four zeroes before the other eight.
            short.initialize(repeating: 0, count: 4)
            (short + 4).initialize(from: nonce + 16, count: 8)
            let subkey = short + nonceBytes
            precondition(crypto_core_hchacha20(subkey, nonce, key, nil) == 0)
            return body(short, subkey)
        }
    }
}

/// Makes libcrypto ready for long messages, which takes a millisecond once a process: on a thread of its own, nobody else waits for that.
package func readyLongMessages() { _ = LibcryptoCipher.shared }

/// libcrypto's cipher, looked up once a process.
// SAFETY: a fetched cipher is never written again, and OpenSSL documents that threads may share it.
private struct LibcryptoCipher: @unchecked Sendable {
    let cipher: OpaquePointer?

    static let shared = LibcryptoCipher()

    private init() {
        // Nothing of the system's OpenSSL configuration shall change what this program does; and without this flag, a thread that seals
        // while another ends the process would find libcrypto's tables freed.
        // Nor are the tables of all ciphers and digests by their names needed, which take longer to fill than the one cipher to find.
        let options =
            UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT) | UInt64(OPENSSL_INIT_NO_ADD_ALL_CIPHERS)
            | UInt64(OPENSSL_INIT_NO_ADD_ALL_DIGESTS)
        cipher = OPENSSL_init_crypto(options, nil) == 1 ? EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil) : nil
    }
}

/// One message's context of libcrypto. What it knows of the key is overwritten at its end.
private struct LibcryptoContext: ~Copyable {
    private let context: OpaquePointer

    /// Ready for the message, with `associated` taken in; nil where libcrypto cannot do it. Nothing was written then.
    init?(
        sealing: Bool, _ key: UnsafePointer<UInt8>, _ nonce: UnsafePointer<UInt8>, _ associated: UnsafeRawBufferPointer
    ) {
        guard let cipher = LibcryptoCipher.shared.cipher, let context = EVP_CIPHER_CTX_new() else { return nil }
        var written: Int32 = 0
        guard let associatedBytes = Int32(exactly: associated.count),
            EVP_CipherInit_ex2(context, cipher, key, nonce, sealing ? 1 : 0, nil) == 1,
            associatedBytes == 0 || EVP_CipherUpdate(context, nil, &written, associated.bytePointer, associatedBytes) == 1
        else {
            EVP_CIPHER_CTX_free(context)
            return nil
        }
        self.context = context
    }

    deinit { EVP_CIPHER_CTX_free(context) }

    consuming func seal(_ plain: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<UInt8>) {
        let tag = output + plain.count
        // With key and nonce in place, neither can fail.
        precondition(update(plain, into: output) && finish(tag))
        precondition(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(ChaChaPoly.tagBytes), tag) == 1)
    }

    consuming func open(_ sealed: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<UInt8>) -> Bool {
        let text = UnsafeRawBufferPointer(rebasing: sealed.dropLast(ChaChaPoly.tagBytes))
        let tag = UnsafeMutableRawPointer(mutating: sealed.baseAddress.map { $0 + text.count })
        // Plaintext is written before its tag is compared: it must not stay when that is wrong.
        var spare: UInt8 = 0
        if EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(ChaChaPoly.tagBytes), tag) == 1,
            update(text, into: output), finish(&spare)
        {
            return true
        }
        sodium_memzero(output, text.count)
        return false
    }

    /// Ciphers `input` in pieces whose length fits a C `int`.
    private borrowing func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<UInt8>) -> Bool {
        var done = 0
        while done < input.count {
            let piece = UnsafeRawBufferPointer(rebasing: input[done...].prefix(1 << 30))
            var written: Int32 = 0
            guard EVP_CipherUpdate(context, output + done, &written, piece.bytePointer, Int32(piece.count)) == 1 else {
                return false
            }
            done += piece.count
        }
        return true
    }

    /// The end of the message, which writes nothing to `place`. False when a tag that was given is wrong.
    private borrowing func finish(_ place: UnsafeMutablePointer<UInt8>) -> Bool {
        var written: Int32 = 0
        return EVP_CipherFinal_ex(context, place, &written) == 1
    }
}
