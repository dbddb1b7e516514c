internal import CSodium
internal import Synchronization
internal import BackupFormat

/// An Ed25519 key pair: the public key, and 64 secret bytes that libsodium signs with.
struct SigningKeyPair: ~Copyable, Sendable {
    let publicKey: Bytes32
    private let secret: SecretBytes

    /// `seed` holds 32 bytes.
    init(seed: borrowing SecretBytes) {
        var publicKey = Bytes32.zero
        let seedPointer = seed.base
        secret = SecretBytes(count: crypto_sign_secretkeybytes()) { buffer in
            let bytes = buffer.bindMemory(to: UInt8.self)
            guard let base = bytes.baseAddress else { return }
            publicKey = Bytes32.filled { precondition(crypto_sign_seed_keypair($0, base, seedPointer) == 0) }
        }
        self.publicKey = publicKey
    }

    /// Signs `domain` and `message` together.
    func sign(_ domain: StaticString, _ message: [UInt8]) -> Signature {
        let labelled = Array(domain.buffer) + message
        var bytes = [UInt8](repeating: 0, count: 64)
        let result = crypto_sign_detached(&bytes, nil, labelled, UInt64(labelled.count), secret.base)
        precondition(result == 0)
        return bytes.withUnsafeBytes {
            Signature(first: Bytes32($0), second: Bytes32(UnsafeRawBufferPointer(rebasing: $0[32...])))
        }
    }
}

/// Whether `signature` over `domain` and `message` was made by the holder of `publicKey`. Takes anything a stranger may send.
func isValid(_ signature: Signature, _ domain: StaticString, _ message: [UInt8], by publicKey: Bytes32) -> Bool {
    _ = sodiumReady
    let labelled = Array(domain.buffer) + message
    let bytes = signature.first.bytes + signature.second.bytes
    // The domain's length tells where it ends, so that no two questions have one name.
    let question = sha256(publicKey.bytes, bytes, [UInt8(domain.utf8CodeUnitCount)], labelled)
    if validSignatures.withLock({ $0.contains(question) }) { return true }
    guard publicKey.withPointer({ crypto_sign_verify_detached(bytes, labelled, UInt64(labelled.count), $0) }) == 0 else {
        return false
    }
    validSignatures.withLock { valid in
        if valid.count >= validSignaturesMax { valid = [] }
        valid.insert(question)
    }
    return true
}

/// Signatures that were found valid, which they stay: records of snapshots are read again and again, and to check one takes some 60 µs.
private let validSignatures = Mutex<Set<Bytes32>>([])
/// 32 bytes each.
private let validSignaturesMax = 8192

/// An X25519 key pair: opens what is sealed to its public key, and will agree on session keys.
struct AgreementKeyPair: ~Copyable, Sendable {
    let publicKey: Bytes32
    let secret: SecretBytes

    /// `seed` holds 32 bytes.
    init(seed: borrowing SecretBytes) {
        var publicKey = Bytes32.zero
        let seedPointer = seed.base
        secret = SecretBytes(count: crypto_box_secretkeybytes()) { buffer in
            let bytes = buffer.bindMemory(to: UInt8.self)
            guard let base = bytes.baseAddress else { return }
            publicKey = Bytes32.filled { precondition(crypto_box_seed_keypair($0, base, seedPointer) == 0) }
        }
        self.publicKey = publicKey
    }
}

extension AgreementKeyPair {
    /// The pair of a secret of 32 random bytes.
    init(secret: consuming SecretBytes) {
        precondition(secret.count == crypto_scalarmult_scalarbytes())
        let pointer = secret.base
        publicKey = Bytes32.filled { precondition(crypto_scalarmult_base($0, pointer) == 0) }
        self.secret = secret
    }

    /// What the holders of both secrets share: X25519. Throws `.notGenuine` for a public key of low order, whose result
    /// is zero and known to all.
    func agree(with publicKey: Bytes32) throws(CryptographyError) -> SecretBytes {
        let pointer = secret.base
        var result: Int32 = -1
        let shared = SecretBytes(count: crypto_scalarmult_bytes()) { buffer in
            _ = buffer.initializeMemory(as: UInt8.self, repeating: 0)
            guard let output = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            result = publicKey.withPointer { crypto_scalarmult(output, pointer, $0) }
        }
        let isZero = sodium_is_zero(shared.base, shared.count) == 1
        guard result == 0, !isZero else { throw CryptographyError(.notGenuine, "agree on a key with the peer") }
        return shared
    }
}

/// Subkey `number` of a 32-byte key in an eight-letter context: libsodium's `crypto_kdf_derive_from_key`.
func subkey(_ number: UInt64, _ context: StaticString, of key: borrowing SecretBytes) -> SecretBytes {
    precondition(context.utf8CodeUnitCount == crypto_kdf_contextbytes())
    let keyPointer = key.base
    return SecretBytes(count: 32) { buffer in
        let bytes = buffer.bindMemory(to: UInt8.self)
        guard let base = bytes.baseAddress else { return }
        let result = context.buffer.withMemoryRebound(to: CChar.self) { label in
            label.baseAddress.map { crypto_kdf_derive_from_key(base, 32, number, $0, keyPointer) }
        }
        precondition(result == 0)
    }
}
