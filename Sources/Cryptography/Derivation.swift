internal import CSodium
package import BackupFormat

/// A 32-byte secret for one purpose: BLAKE2b-256 of `domain` keyed with the dedup secret.
///
/// The same domain always yields the same value; values of different domains tell nothing about each other.
package func derive(domain: String, from dedupSecret: Bytes32) -> Bytes32 {
    var label = domain
    return label.withUTF8 { deriveSecret(UnsafeRawBufferPointer($0), from: dedupSecret) }
}

private func deriveSecret(_ label: UnsafeRawBufferPointer, from secret: Bytes32) -> Bytes32 {
    _ = sodiumReady
    return Bytes32.filled { output in
        let result = secret.withPointer {
            crypto_generichash(
                output, 32, label.bytePointer, UInt64(label.count), $0, 32)
        }
        precondition(result == 0)
    }
}

/// The 256 numbers of the gear hash that places this owner's cut points, so that they do not fingerprint files.
///
/// The first 2,048 bytes of the ChaCha20 (IETF, zero nonce) key stream under the secret of domain
/// "bakare gear table v1", as little-endian numbers.
package func gearTable(dedupSecret: Bytes32) -> [UInt64] {
    let key = deriveSecret(Domain.gearTable.buffer, from: dedupSecret)
    let nonce = [UInt8](repeating: 0, count: crypto_stream_chacha20_ietf_noncebytes())
    var stream = [UInt8](repeating: 0, count: 256 * 8)
    let result = key.withPointer { crypto_stream_chacha20_ietf(&stream, UInt64(stream.count), nonce, $0) }
    precondition(result == 0)
    return stream.withUnsafeBytes { bytes in
        (0..<256).map { UInt64(littleEndian: bytes.load(fromByteOffset: $0 * 8, as: UInt64.self)) }
    }
}
