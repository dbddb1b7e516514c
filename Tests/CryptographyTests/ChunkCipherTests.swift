import BackupFormat
import Cryptography
import TestSupport
import Testing

@Suite("Sealing chunks and footers")
struct ChunkCipherTests {
    private func secret() throws -> Bytes32 {
        try #require(Bytes32(hex: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
    }

    /// RFC 4231 cases whose keys are given here padded with zeroes to 32 bytes, which HMAC itself would do.
    @Test("computes HMAC-SHA-256 as RFC 4231 gives it")
    func rfc4231() throws {
        let cases = [
            (
                String(repeating: "0b", count: 20), "4869205468657265",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                String(repeating: "aa", count: 20), String(repeating: "dd", count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                "0102030405060708090a0b0c0d0e0f10111213141516171819", String(repeating: "cd", count: 50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
            ),
        ]
        for (key, message, code) in cases {
            let padded = key + String(repeating: "0", count: 64 - key.count)
            let cipher = ChunkCipher(dedupSecret: try #require(Bytes32(hex: padded)))
            #expect(try unhex(message).withUnsafeBytes { cipher.key(of: $0).value.hex } == code)
        }
    }

    @Test("names a chunk by the hash of a domain and its key")
    func chunkIdentifier() throws {
        let key = ChunkKey(try secret())
        #expect(chunkID(of: key).hex == "aab266d0e090bae594bfcb489084dc893456910317bf74e86cd825e078da2f0e")
    }

    @Test("opens what it sealed, from a method byte alone to a whole chunk")
    func roundTrip() throws {
        var choices = Choices(seed: 1)
        let cipher = ChunkCipher(dedupSecret: choices.bytes32())
        for count in [1, 2, 63, 64, 65, 512, 4096, 100_000, (4 << 20) + 1] {
            let plain = choices.bytes(count)
            let key = plain.withUnsafeBytes { cipher.key(of: $0) }
            let id = cipher.id(of: key)
            var sealed = [UInt8](repeating: 0, count: count + ChunkCipher.sealBytes)
            let sealedBytes = plain.withUnsafeBytes { plain in
                sealed.withUnsafeMutableBytes { cipher.seal(methodAndPayload: plain, key: key, id: id, into: $0) }
            }
            #expect(sealedBytes == sealed.count)
            #expect(try open(cipher, sealed, key, id) == plain)
        }
    }

    private func open(_ cipher: ChunkCipher, _ sealed: [UInt8], _ key: ChunkKey, _ id: ChunkID) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: sealed.count)
        let count = try sealed.withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { try cipher.open(sealed: input, key: key, id: id, into: $0) }
        }
        var inPlace = sealed
        let countInPlace = try inPlace.withUnsafeMutableBytes { buffer in
            let output = UnsafeMutableRawBufferPointer(rebasing: buffer[ChunkCipher.nonceBytes...])
            return try cipher.open(sealed: UnsafeRawBufferPointer(buffer), key: key, id: id, into: output)
        }
        #expect(countInPlace == count)
        #expect(inPlace[ChunkCipher.nonceBytes...].prefix(count) == output.prefix(count))
        return Array(output.prefix(count))
    }

    @Test("refuses a chunk with any one byte changed, cut short, or under another key or id")
    func tampering() throws {
        var choices = Choices(seed: 2)
        let cipher = ChunkCipher(dedupSecret: choices.bytes32())
        let plain = choices.bytes(100)
        let key = plain.withUnsafeBytes { cipher.key(of: $0) }
        let id = cipher.id(of: key)
        var sealed = [UInt8](repeating: 0, count: 140)
        _ = plain.withUnsafeBytes { plain in
            sealed.withUnsafeMutableBytes { cipher.seal(methodAndPayload: plain, key: key, id: id, into: $0) }
        }
        for index in sealed.indices {
            var altered = sealed
            altered[index] ^= 1 << UInt8(choices.below(8))
            #expect(throws: CryptographyError.self) { try open(cipher, altered, key, id) }
            #expect(throws: CryptographyError.self) { try open(cipher, Array(sealed.prefix(index)), key, id) }
        }
        #expect(throws: CryptographyError.self) { try open(cipher, sealed, ChunkKey(choices.bytes32()), id) }
        #expect(throws: CryptographyError.self) { try open(cipher, sealed, key, ChunkID(choices.bytes32())) }
    }

    @Test("gives the same keys on several threads at once")
    func threads() async {
        let cipher = ChunkCipher(dedupSecret: .zero)
        let expected = [1, 2, 3].withUnsafeBytes { cipher.key(of: $0) }
        let wrong = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<50_000).count { _ in [1, 2, 3].withUnsafeBytes { cipher.key(of: $0) } != expected }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test("seals the same chunk under a fresh nonce each time")
    func freshNonces() {
        let cipher = ChunkCipher(dedupSecret: .zero)
        let key = ChunkKey(.zero)
        var nonces: Set<[UInt8]> = []
        for _ in 0..<100 {
            var sealed = [UInt8](repeating: 0, count: 41)
            _ = [0].withUnsafeBytes { plain in
                sealed.withUnsafeMutableBytes {
                    cipher.seal(
                        methodAndPayload: UnsafeRawBufferPointer(rebasing: plain.prefix(1)), key: key,
                        id: cipher.id(of: key), into: $0)
                }
            }
            nonces.insert(Array(sealed.prefix(24)))
        }
        #expect(nonces.count == 100)
    }

    @Test("opens a footer only unaltered and with the data it was bound to")
    func footers() throws {
        var choices = Choices(seed: 3)
        let cipher = FooterCipher(footerKey: choices.bytes32())
        for count in [0, 1, 1000] {
            let plain = choices.bytes(count)
            let header = choices.bytes(16)
            let sealed = plain.withUnsafeBytes { plain in
                header.withUnsafeBytes { cipher.seal(plain, associated: $0) }
            }
            #expect(sealed.count == count + FooterCipher.sealBytes)
            func open(_ sealed: [UInt8], _ header: [UInt8]) throws -> [UInt8] {
                try sealed.withUnsafeBytes { sealed in
                    try header.withUnsafeBytes { try cipher.open(sealed, associated: $0) }
                }
            }
            #expect(try open(sealed, header) == plain)
            #expect(throws: CryptographyError.self) { try open(sealed, []) }
            for index in sealed.indices {
                var altered = sealed
                altered[index] ^= 0x80
                #expect(throws: CryptographyError.self) { try open(altered, header) }
                #expect(throws: CryptographyError.self) { try open(Array(sealed.prefix(index)), header) }
            }
        }
    }
}
