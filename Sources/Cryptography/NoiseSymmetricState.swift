/// SymmetricState of the Noise Protocol Framework: the chaining key, the handshake hash, and a cipher for what is sent.
struct SymmetricState: ~Copyable, Sendable {
    private var cipher = CipherState()
    private var chainingKey: SecretBytes
    /// `h`: what both sides have seen so far, in 64 bytes. Not secret, and unlike that of any other session.
    private(set) var handshakeHash: [UInt8]

    /// InitializeSymmetric, with a protocol name of at most 64 bytes.
    init(protocolName: StaticString) {
        precondition(protocolName.utf8CodeUnitCount <= NoiseHash.hashBytes)
        var name = Array(protocolName.buffer)
        name += [UInt8](repeating: 0, count: NoiseHash.hashBytes - name.count)
        handshakeHash = name
        chainingKey = SecretBytes(copying: name)
    }

    /// MixKey.
    mutating func mixKey(_ inputKeyMaterial: UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(byteCount: 2 * NoiseHash.hashBytes, alignment: 8) { outputs in
            defer { wipe(outputs) }
            chainingKey.withBytes { NoiseHash.hkdf(chainingKey: $0, inputKeyMaterial, into: outputs) }
            chainingKey.overwrite(with: UnsafeRawBufferPointer(rebasing: outputs[..<64]))
            cipher.begin(key: UnsafeRawBufferPointer(rebasing: outputs[64..<96]))
        }
    }

    /// MixKeyAndHash.
    mutating func mixKeyAndHash(_ inputKeyMaterial: UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(byteCount: 3 * NoiseHash.hashBytes, alignment: 8) { outputs in
            defer { wipe(outputs) }
            chainingKey.withBytes { NoiseHash.hkdf(chainingKey: $0, inputKeyMaterial, into: outputs) }
            chainingKey.overwrite(with: UnsafeRawBufferPointer(rebasing: outputs[..<64]))
            mixHash(UnsafeRawBufferPointer(rebasing: outputs[64..<128]))
            cipher.begin(key: UnsafeRawBufferPointer(rebasing: outputs[128..<160]))
        }
    }

    /// MixHash.
    mutating func mixHash(_ data: UnsafeRawBufferPointer) {
        handshakeHash.withUnsafeMutableBytes { NoiseHash.hash(UnsafeRawBufferPointer($0), data, into: $0) }
    }

    /// EncryptAndHash, appended to `message`.
    mutating func encryptAndHash(_ plain: UnsafeRawBufferPointer, to message: inout [UInt8]) throws(CryptographyError) {
        var text = Array(plain)
        if cipher.hasKey {
            text += [UInt8](repeating: 0, count: CipherState.tagBytes)
            try withBuffers(&text, handshakeHash) { (text, hash) throws(CryptographyError) in
                try cipher.encrypt(inPlace: text, associated: hash)
            }
        }
        text.withUnsafeBytes { mixHash($0) }
        message += text
    }

    /// DecryptAndHash. Throws `.notGenuine` for what the other side did not send.
    mutating func decryptAndHash(_ text: UnsafeRawBufferPointer) throws(CryptographyError) -> [UInt8] {
        var plain = Array(text)
        if cipher.hasKey {
            plain = [UInt8](repeating: 0, count: max(0, text.count - CipherState.tagBytes))
            try withBuffers(&plain, handshakeHash) { (plain, hash) throws(CryptographyError) in
                try cipher.decrypt(text, associated: hash, into: plain)
            }
        }
        mixHash(text)
        return plain
    }

    /// By how much EncryptAndHash lengthens its plaintext now, in bytes.
    var overheadBytes: Int { cipher.hasKey ? CipherState.tagBytes : 0 }

    /// Split: the ciphers of the initiator's messages and of the responder's.
    func split() -> SplitCiphers {
        withUnsafeTemporaryAllocation(byteCount: 2 * NoiseHash.hashBytes, alignment: 8) { outputs in
            defer { wipe(outputs) }
            chainingKey.withBytes { NoiseHash.hkdf(chainingKey: $0, .empty, into: outputs) }
            return SplitCiphers(
                initiator: CipherState(key: SecretBytes(copying: UnsafeRawBufferPointer(rebasing: outputs[..<32]))),
                responder: CipherState(key: SecretBytes(copying: UnsafeRawBufferPointer(rebasing: outputs[64..<96]))))
        }
    }
}

/// What ``SymmetricState/split()`` yields.
struct SplitCiphers: ~Copyable {
    let initiator: CipherState
    let responder: CipherState
}

/// Calls `body` with the bytes of two arrays.
private func withBuffers(
    _ output: inout [UInt8], _ input: [UInt8],
    _ body: (UnsafeMutableRawBufferPointer, UnsafeRawBufferPointer) throws(CryptographyError) -> Void
) throws(CryptographyError) {
    let result = output.withUnsafeMutableBytes { output in
        input.withUnsafeBytes { input in Result { () throws(CryptographyError) in try body(output, input) } }
    }
    try result.get()
}
