internal import CSodium
package import BackupFormat

/// Names, seals and opens chunks under one owner's dedup secret.
///
/// One value serves all threads: it is never written after `init`. A sealed chunk is
/// `nonce 24 | XChaCha20-Poly1305 of (method byte, payload) | tag 16` with the chunk's id as associated data.
package final class ChunkCipher: Sendable {
    /// A sealed chunk's nonce and tag; ``Limits/chunkOverheadBytes`` also counts the method byte.
    package static let sealBytes = 40
    /// What comes before the ciphertext.
    package static let nonceBytes = 24

    private let keyed: KeyedHash

    package init(dedupSecret: Bytes32) {
        _ = sodiumReady
        keyed = dedupSecret.withBytes { KeyedHash(key: $0) }
    }

    /// The key of a chunk: HMAC-SHA-256(dedup secret, plaintext). After opening, the plaintext must yield it again.
    package func key(of plaintext: UnsafeRawBufferPointer) -> ChunkKey { ChunkKey(keyed.code(of: plaintext)) }

    /// The id of the chunk that `key` opens: SHA-256("bakare chunk id v1" || key).
    package func id(of key: ChunkKey) -> ChunkID { chunkID(of: key) }

    /// Seals a method byte and payload under `key` into `output`; answers the sealed length, which is 40 bytes more.
    ///
    /// `output` must hold that many and must not overlap the input.
    package func seal(
        methodAndPayload plain: UnsafeRawBufferPointer, key: ChunkKey, id: ChunkID,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        id.value.withBytes { sealBox(plain, key: key.value, associated: $0, into: output) }
    }

    /// Opens a sealed chunk into `output`; answers the length of the method byte and payload, 40 bytes less than sealed.
    ///
    /// `output` must hold that many, and begin at the input's ciphertext or not overlap the input at all. Throws when the chunk
    /// is not what was sealed under this key and id; `output` then holds nothing of it.
    package func open(
        sealed: UnsafeRawBufferPointer, key: ChunkKey, id: ChunkID, into output: UnsafeMutableRawBufferPointer
    ) throws(CryptographyError) -> Int {
        let length = id.value.withBytes { openBox(sealed, key: key.value, associated: $0, into: output) }
        guard let length else { throw CryptographyError(.notAuthentic, "open a chunk") }
        guard length >= 1 else { throw CryptographyError(.malformed, "open a chunk") }
        return length
    }
}

/// The id of the chunk that `key` opens: SHA-256("bakare chunk id v1" || key).
package func chunkID(of key: ChunkKey) -> ChunkID {
    let label = Domain.chunkID.buffer
    return withUnsafeTemporaryAllocation(byteCount: label.count + 32, alignment: 8) { block in
        block.copyMemory(from: label)
        key.value.store(to: UnsafeMutableRawBufferPointer(rebasing: block[label.count...]))
        return ChunkID(sha256(UnsafeRawBufferPointer(block)))
    }
}
