import BackupFormat
import CSodium
import Cryptography
import TestSupport
import Testing

/// Long messages are sealed by another library than short ones; nothing but the time it takes may tell.
@Suite("Sealing, beside libsodium")
struct ChaChaPolyTests {
    /// Sizes of plaintexts in bytes: around where the library changes and where its code works in other steps, and drawn ones up to 70,000.
    private func sizes(_ choices: inout Choices) -> [Int] {
        let edges = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65519, 65536].flatMap { [$0 - 1, $0, $0 + 1] }
        return Array(0...80) + edges + Array(4080...4160) + (0..<120).map { _ in choices.below(70_001) } + [70_000]
    }

    /// What libsodium makes of `plain` under XChaCha20-Poly1305: ciphertext and tag.
    private func extended(_ plain: [UInt8], _ nonce: [UInt8], _ key: [UInt8], _ associated: [UInt8]) -> [UInt8] {
        var sealed = [UInt8](repeating: 0, count: plain.count + 16)
        _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
            &sealed, nil, plain, UInt64(plain.count), associated, UInt64(associated.count), nil, nonce, key)
        return sealed
    }

    /// The same under ChaCha20-Poly1305.
    private func short(_ plain: [UInt8], _ nonce: [UInt8], _ key: [UInt8], _ associated: [UInt8]) -> [UInt8] {
        var sealed = [UInt8](repeating: 0, count: plain.count + 16)
        _ = crypto_aead_chacha20poly1305_ietf_encrypt(
            &sealed, nil, plain, UInt64(plain.count), associated, UInt64(associated.count), nil, nonce, key)
        return sealed
    }

    private func bytes(_ value: Bytes32) -> [UInt8] { value.withBytes { Array($0) } }

    @Test("a sealed chunk is what libsodium makes of it, and what libsodium made is opened")
    func chunks() throws {
        var choices = Choices(seed: 11)
        let cipher = ChunkCipher(dedupSecret: choices.bytes32())
        for size in sizes(&choices) where size >= 1 {
            let (plain, key, id) = (choices.bytes(size), ChunkKey(choices.bytes32()), ChunkID(choices.bytes32()))
            var sealed = [UInt8](repeating: 0, count: size + ChunkCipher.sealBytes)
            _ = plain.withUnsafeBytes { plain in
                sealed.withUnsafeMutableBytes { cipher.seal(methodAndPayload: plain, key: key, id: id, into: $0) }
            }
            let nonce = Array(sealed.prefix(24))
            #expect(Array(sealed[24...]) == extended(plain, nonce, bytes(key.value), bytes(id.value)), "\(size) bytes")

            let other = choices.bytes(24)
            let made = other + extended(plain, other, bytes(key.value), bytes(id.value))
            #expect(try open(cipher, made, key, id) == plain, "\(size) bytes")
        }
    }

    private func open(_ cipher: ChunkCipher, _ sealed: [UInt8], _ key: ChunkKey, _ id: ChunkID) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: sealed.count)
        let count = try sealed.withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { try cipher.open(sealed: input, key: key, id: id, into: $0) }
        }
        return Array(output.prefix(count))
    }

    @Test("a long chunk that is not authentic is refused, and leaves zeroes and nothing beyond its length")
    func refusedChunks() throws {
        var choices = Choices(seed: 12)
        let cipher = ChunkCipher(dedupSecret: choices.bytes32())
        for size in [1, 100, 4095, 4096, 4097, 65_000, 70_000] {
            let (plain, key, id) = (choices.bytes(size), ChunkKey(choices.bytes32()), ChunkID(choices.bytes32()))
            let nonce = choices.bytes(24)
            let sealed = nonce + extended(plain, nonce, bytes(key.value), bytes(id.value))
            func refuses(_ sealed: [UInt8], _ key: ChunkKey, _ id: ChunkID, inPlace: Bool) {
                var buffer = sealed + [UInt8](repeating: 0xa5, count: 64)
                var output = [UInt8](repeating: 0xa5, count: sealed.count + 64)
                #expect(throws: CryptographyError.self) {
                    try buffer.withUnsafeMutableBytes { buffer in
                        let input = UnsafeRawBufferPointer(rebasing: buffer[..<sealed.count])
                        if inPlace {
                            let place = UnsafeMutableRawBufferPointer(rebasing: buffer[ChunkCipher.nonceBytes...])
                            _ = try cipher.open(sealed: input, key: key, id: id, into: place)
                        } else {
                            _ = try output.withUnsafeMutableBytes { try cipher.open(sealed: input, key: key, id: id, into: $0) }
                        }
                    }
                }
                let written = inPlace ? Array(buffer[ChunkCipher.nonceBytes...]) : output
                #expect(written.prefix(size).allSatisfy { $0 == 0 }, "\(size) bytes")
                if inPlace {
                    #expect(Array(written[size..<(size + 16)]) == Array(sealed.suffix(16)), "\(size) bytes")
                } else {
                    #expect(written.dropFirst(size).allSatisfy { $0 == 0xa5 }, "\(size) bytes")
                }
            }
            for inPlace in [false, true] {
                for index in [0, 23, 24, 24 + size / 2, 23 + size, 24 + size, 39 + size] {
                    var altered = sealed
                    altered[index] ^= 1 << UInt8(choices.below(8))
                    refuses(altered, key, id, inPlace: inPlace)
                }
                refuses(sealed, ChunkKey(choices.bytes32()), id, inPlace: inPlace)
                refuses(sealed, key, ChunkID(choices.bytes32()), inPlace: inPlace)
            }
            #expect(try open(cipher, sealed, key, id) == plain)
        }
    }

    @Test("a record is what libsodium makes of it, whatever its length, and what libsodium made is opened")
    func records() throws {
        var choices = Choices(seed: 13)
        for size in sizes(&choices) {
            let (plain, key, associated) = (choices.bytes(size), choices.bytes32(), choices.bytes(choices.below(70)))
            let number = UInt64(choices.below(1 << 40))
            let nonce = [0, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
            let expected = short(plain, nonce, bytes(key), associated)

            var sender = CipherState(key: SecretBytes(key), nonce: number)
            var text = plain + [UInt8](repeating: 0, count: CipherState.tagBytes)
            try text.withUnsafeMutableBytes { text in
                try associated.withUnsafeBytes { try sender.encrypt(inPlace: text, associated: $0) }
            }
            #expect(text == expected, "\(size) bytes")

            for index in [0, size / 2, size, size + 15] {
                var altered = expected
                altered[index] ^= 1 << UInt8(choices.below(8))
                #expect(try opened(altered, key, number, associated) == nil, "\(size) bytes")
            }
            #expect(try opened(expected, key, number + 1, associated) == nil, "\(size) bytes")
            #expect(try opened(expected, choices.bytes32(), number, associated) == nil, "\(size) bytes")
            #expect(try opened(expected, key, number, associated + [0]) == nil, "\(size) bytes")
            #expect(try opened(expected, key, number, associated) == plain, "\(size) bytes")
        }
    }

    /// The record's plaintext, or nil when it is refused: then `output` must hold zeroes.
    private func opened(_ sealed: [UInt8], _ key: Bytes32, _ number: UInt64, _ associated: [UInt8]) throws -> [UInt8]? {
        var receiver = CipherState(key: SecretBytes(key), nonce: number)
        var output = [UInt8](repeating: 0xa5, count: sealed.count)
        var isGenuine = true
        sealed.withUnsafeBytes { sealed in
            associated.withUnsafeBytes { associated in
                output.withUnsafeMutableBytes { output in
                    do { try receiver.decrypt(sealed, associated: associated, into: output) } catch { isGenuine = false }
                }
            }
        }
        let plainBytes = sealed.count - CipherState.tagBytes
        #expect(output.dropFirst(plainBytes).allSatisfy { $0 == 0xa5 })
        #expect(receiver.nonce == (isGenuine ? number + 1 : number))
        if !isGenuine { #expect(output.prefix(plainBytes).allSatisfy { $0 == 0 }) }
        return isGenuine ? Array(output.prefix(plainBytes)) : nil
    }

    @Test("several threads seal and open long chunks at once")
    func threads() async throws {
        let cipher = ChunkCipher(dedupSecret: .zero)
        let wrong = await withTaskGroup(of: Int.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    var choices = Choices(seed: UInt64(100 + thread))
                    return (0..<200).count { _ in
                        let (plain, key, id) = (choices.bytes(5000), ChunkKey(choices.bytes32()), ChunkID(choices.bytes32()))
                        var sealed = [UInt8](repeating: 0, count: 5000 + ChunkCipher.sealBytes)
                        _ = plain.withUnsafeBytes { plain in
                            sealed.withUnsafeMutableBytes { cipher.seal(methodAndPayload: plain, key: key, id: id, into: $0) }
                        }
                        return (try? open(cipher, sealed, key, id)) != plain
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}
