internal import CSodium

/// HASH, HMAC-HASH and HKDF of the Noise Protocol Framework (revision 34, sections 4.3 and 5.1) over BLAKE2b.
///
/// HMAC is RFC 2104 over BLAKE2b without a key, block 128, output 64 bytes: not the keyed mode of BLAKE2b.
enum NoiseHash {
    static let hashBytes = 64
    private static let blockBytes = 128

    /// BLAKE2b-512 of the parts one after the other, into the first 64 bytes of `output`, which may be one of the parts.
    static func hash(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty, _ third: UnsafeRawBufferPointer = .empty,
        into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(output.count >= hashBytes)
        _ = sodiumReady
        withUnsafeTemporaryAllocation(byteCount: crypto_generichash_statebytes(), alignment: 64) { memory in
            defer { wipe(memory) }
            guard let base = memory.baseAddress, let end = output.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            let state = OpaquePointer(base)
            precondition(crypto_generichash_init(state, nil, 0, hashBytes) == 0)
            update(state, first)
            update(state, second)
            update(state, third)
            precondition(crypto_generichash_final(state, end, hashBytes) == 0)
        }
    }

    private static func update(_ state: OpaquePointer, _ part: UnsafeRawBufferPointer) {
        guard let start = part.bytePointer, part.count > 0 else { return }
        precondition(crypto_generichash_update(state, start, UInt64(part.count)) == 0)
    }

    /// HMAC-HASH of the two parts one after the other. `key` holds at most 128 bytes.
    static func hmac(
        key: UnsafeRawBufferPointer, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty,
        into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(key.count <= blockBytes)
        withUnsafeTemporaryAllocation(byteCount: blockBytes + hashBytes, alignment: 8) { memory in
            defer { wipe(memory) }
            let pad = UnsafeMutableRawBufferPointer(rebasing: memory[..<blockBytes])
            let inner = UnsafeMutableRawBufferPointer(rebasing: memory[blockBytes...])
            for index in 0..<blockBytes { pad[index] = 0x36 ^ (index < key.count ? key[index] : 0) }
            hash(UnsafeRawBufferPointer(pad), first, second, into: inner)
            for index in 0..<blockBytes { pad[index] ^= 0x36 ^ 0x5c }
            hash(UnsafeRawBufferPointer(pad), UnsafeRawBufferPointer(inner), into: output)
        }
    }

    /// HKDF: fills `outputs`, whose count is 128 or 192, with two or three outputs of 64 bytes.
    static func hkdf(
        chainingKey: UnsafeRawBufferPointer, _ inputKeyMaterial: UnsafeRawBufferPointer,
        into outputs: UnsafeMutableRawBufferPointer
    ) {
        precondition(outputs.count == 2 * hashBytes || outputs.count == 3 * hashBytes)
        withUnsafeTemporaryAllocation(byteCount: hashBytes, alignment: 8) { temporaryKey in
            defer { wipe(temporaryKey) }
            hmac(key: chainingKey, inputKeyMaterial, into: temporaryKey)
            var previous = UnsafeRawBufferPointer.empty
            for number in 1...outputs.count / hashBytes {
                let output = UnsafeMutableRawBufferPointer(rebasing: outputs[(number - 1) * hashBytes..<number * hashBytes])
                withUnsafeBytes(of: UInt8(number)) {
                    hmac(key: UnsafeRawBufferPointer(temporaryKey), previous, $0, into: output)
                }
                previous = UnsafeRawBufferPointer(output)
            }
        }
    }
}

/// Overwrites secret bytes in a way that the compiler keeps.
func wipe(_ buffer: UnsafeMutableRawBufferPointer) {
    if let base = buffer.baseAddress { sodium_memzero(base, buffer.count) }
}

extension UnsafeRawBufferPointer {
    static var empty: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
}

extension SecretBytes {
    /// A copy of `bytes`, of which there is at least one.
    init(copying bytes: UnsafeRawBufferPointer) { self.init(count: bytes.count) { $0.copyMemory(from: bytes) } }

    init(copying bytes: [UInt8]) { self.init(count: bytes.count) { $0.copyBytes(from: bytes) } }
}
