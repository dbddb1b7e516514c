internal import COpenSSL
package import BackupFormat

/// SHA-256 over bytes that come piece by piece, by libcrypto, which uses the processor's SHA instructions. A copy goes on by itself.
package struct SHA256Stream: Sendable {
    private var state = SHA256_CTX()

    // libcrypto's three functions fail for no input.
    package init() { precondition(SHA256_Init(&state) == 1) }

    package mutating func append(_ buffer: UnsafeRawBufferPointer) {
        precondition(SHA256_Update(&state, buffer.baseAddress, buffer.count) == 1)
    }

    /// The hash of everything appended so far; appending may go on.
    package func finish() -> Bytes32 {
        var copy = self
        return copy.end()
    }

    /// The hash of everything that was appended, of which nothing is left here then.
    mutating func end() -> Bytes32 {
        defer { withUnsafeMutableBytes(of: &state) { wipe($0) } }
        return Bytes32.filled { precondition(SHA256_Final($0, &state) == 1) }
    }
}

/// SHA-256 of one buffer.
package func sha256(_ buffer: UnsafeRawBufferPointer) -> Bytes32 {
    var hasher = SHA256Stream()
    hasher.append(buffer)
    return hasher.end()
}

/// SHA-256 of two buffers one after the other.
package func sha256(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bytes32 {
    var hasher = SHA256Stream()
    hasher.append(first)
    hasher.append(second)
    return hasher.end()
}

/// SHA-256 of byte strings one after the other. Nothing marks where one ends: give lengths where that matters.
package func sha256(_ parts: [UInt8]...) -> Bytes32 {
    var hasher = SHA256Stream()
    for part in parts { part.withUnsafeBytes { hasher.append($0) } }
    return hasher.end()
}

/// HMAC-SHA-256 (RFC 2104) under one key, with the key's two blocks hashed beforehand: halves the cost of a tiny input.
struct KeyedHash: Sendable {
    private let inner: SHA256Stream
    private let outer: SHA256Stream

    /// `key` holds at most 64 bytes, the block of SHA-256.
    init(key: UnsafeRawBufferPointer) {
        precondition(key.count <= 64)
        inner = KeyedHash.primed(key, 0x36)
        outer = KeyedHash.primed(key, 0x5c)
    }

    private static func primed(_ key: UnsafeRawBufferPointer, _ pad: UInt8) -> SHA256Stream {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { block in
            for index in 0..<64 { block[index] = pad ^ (index < key.count ? key[index] : 0) }
            var hasher = SHA256Stream()
            hasher.append(UnsafeRawBufferPointer(block))
            wipe(block)
            return hasher
        }
    }

    func code(of message: UnsafeRawBufferPointer) -> Bytes32 {
        var innerHasher = inner
        innerHasher.append(message)
        var outerHasher = outer
        innerHasher.end().withBytes { outerHasher.append($0) }
        return outerHasher.end()
    }
}
