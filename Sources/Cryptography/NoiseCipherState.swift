/// CipherState of the Noise Protocol Framework with ChaChaPoly: a key that may be empty, and the nonce of the next message.
///
/// It cannot be copied, so no nonce is used twice under one key.
package struct CipherState: ~Copyable, Sendable {
    /// What a sealed message is longer than its plaintext, in bytes.
    package static let tagBytes = ChaChaPoly.tagBytes
    private static let keyBytes = 32
    /// 2^64 - 1, which no message may use: it serves ``rekey()``.
    private static let reservedNonce = UInt64.max

    private var key: SecretBytes
    private(set) var hasKey: Bool
    /// Counts the messages under all keys that this state has had.
    package private(set) var nonce: UInt64

    /// InitializeKey(empty).
    init() {
        key = SecretBytes(count: CipherState.keyBytes) { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
        hasKey = false
        nonce = 0
    }

    /// InitializeKey: `key` holds 32 bytes. `nonce` is another than 0 in tests alone.
    package init(key: consuming SecretBytes, nonce: UInt64 = 0) {
        precondition(key.count == CipherState.keyBytes)
        self.key = key
        hasKey = true
        self.nonce = nonce
    }

    /// InitializeKey, in place: 32 bytes.
    mutating func begin(key bytes: UnsafeRawBufferPointer) {
        key.overwrite(with: bytes)
        hasKey = true
        nonce = 0
    }

    /// Whether so many more messages may be sealed.
    package func hasNonces(_ count: Int) -> Bool { UInt64(count) <= CipherState.reservedNonce - nonce }

    /// EncryptWithAd in place: all but the last 16 bytes of `text` are the plaintext; the tag goes after them.
    ///
    /// Throws `.exhausted` when no nonce is left. There must be a key.
    package mutating func encrypt(
        inPlace text: UnsafeMutableRawBufferPointer,
        associated: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) throws(CryptographyError) {
        precondition(hasKey && text.count >= CipherState.tagBytes)
        guard nonce != CipherState.reservedNonce else { throw CryptographyError(.exhausted, "send to the peer") }
        CipherState.seal(text, nonce: nonce, associated: associated, key: key.base)
        nonce += 1
    }

    /// EncryptWithAd, from elsewhere: writes `plain` sealed, 16 bytes longer, to the start of `output`, which does not overlap it.
    ///
    /// Throws `.exhausted` when no nonce is left. There must be a key.
    package mutating func encrypt(
        _ plain: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CryptographyError) {
        precondition(hasKey && output.count >= plain.count + CipherState.tagBytes)
        guard nonce != CipherState.reservedNonce else { throw CryptographyError(.exhausted, "send to the peer") }
        CipherState.seal(plain, nonce: nonce, associated: .empty, key: key.base, into: output)
        nonce += 1
    }

    /// DecryptWithAd: writes the plaintext, 16 bytes fewer than `sealed`, to the start of `output`. There must be a key.
    ///
    /// Throws `.notGenuine` for a message that is not the next one of the holder of the same key, and then does not count it.
    package mutating func decrypt(
        _ sealed: UnsafeRawBufferPointer, associated: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        into output: UnsafeMutableRawBufferPointer
    ) throws(CryptographyError) {
        precondition(hasKey)
        let plainBytes = sealed.count - CipherState.tagBytes
        guard plainBytes >= 0 else { throw CryptographyError(.notGenuine, "read from the peer") }
        precondition(output.count >= plainBytes)
        guard nonce != CipherState.reservedNonce else { throw CryptographyError(.exhausted, "read from the peer") }
        let secret = key.base
        let isGenuine = CipherState.withNonce(nonce) { nonce in
            ChaChaPoly.open(
                sealed, associated: associated, nonce: nonce, key: secret,
                into: output.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        guard isGenuine else { throw CryptographyError(.notGenuine, "read from the peer") }
        nonce += 1
    }

    /// Rekey: the new key is the encryption of 32 zero bytes under nonce 2^64 - 1. The nonce goes on counting.
    package mutating func rekey() {
        precondition(hasKey)
        withUnsafeTemporaryAllocation(byteCount: CipherState.keyBytes + CipherState.tagBytes, alignment: 8) { block in
            defer { wipe(block) }
            _ = block.initializeMemory(as: UInt8.self, repeating: 0)
            CipherState.seal(block, nonce: CipherState.reservedNonce, associated: .empty, key: key.base)
            key.overwrite(with: UnsafeRawBufferPointer(rebasing: block[..<CipherState.keyBytes]))
        }
    }

    private static func seal(
        _ text: UnsafeMutableRawBufferPointer, nonce: UInt64, associated: UnsafeRawBufferPointer, key: UnsafePointer<UInt8>
    ) {
        let plain = UnsafeRawBufferPointer(rebasing: text.dropLast(tagBytes))
        seal(plain, nonce: nonce, associated: associated, key: key, into: text)
    }

    private static func seal(
        _ plain: UnsafeRawBufferPointer, nonce: UInt64, associated: UnsafeRawBufferPointer, key: UnsafePointer<UInt8>,
        into output: UnsafeMutableRawBufferPointer
    ) {
        guard let base = output.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        withNonce(nonce) { ChaChaPoly.seal(plain, associated: associated, nonce: $0, key: key, into: base) }
    }

    /// Four zero bytes, then the number as little-endian.
    private static func withNonce<R>(_ nonce: UInt64, _ body: (UnsafePointer<UInt8>) -> R) -> R {
        let words = (UInt32(0), UInt32(truncatingIfNeeded: nonce).littleEndian, UInt32(nonce >> 32).littleEndian)
        return withUnsafeBytes(of: words) { bytes in
            guard let start = bytes.bytePointer else { preconditionFailure("a tuple has an address") }
            return body(start)
        }
    }
}
