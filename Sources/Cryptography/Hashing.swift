internal import Crypto
package import BackupFormat

/// SHA-256 of one buffer.
package func sha256(_ buffer: UnsafeRawBufferPointer) -> Bytes32 {
    var hasher = SHA256()
    hasher.update(bufferPointer: buffer)
    return hasher.finish()
}

/// SHA-256 of two buffers one after the other.
package func sha256(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bytes32 {
    var hasher = SHA256()
    hasher.update(bufferPointer: first)
    hasher.update(bufferPointer: second)
    return hasher.finish()
}

/// SHA-256 of byte strings one after the other. Nothing marks where one ends: give lengths where that matters.
package func sha256(_ parts: [UInt8]...) -> Bytes32 {
    var hasher = SHA256()
    for part in parts { part.withUnsafeBytes { hasher.update(bufferPointer: $0) } }
    return hasher.finish()
}

/// SHA-256 over bytes that come piece by piece.
package struct SHA256Stream {
    private var hasher = SHA256()

    package init() {}

    package mutating func append(_ buffer: UnsafeRawBufferPointer) { hasher.update(bufferPointer: buffer) }

    /// The hash of everything appended so far; appending may go on.
    package func finish() -> Bytes32 { hasher.finish() }
}

extension SHA256 {
    func finish() -> Bytes32 { finalize().withUnsafeBytes { Bytes32($0) } }
}

/// HMAC-SHA-256 (RFC 2104) under one key, with the key's two blocks hashed beforehand: halves the cost of a tiny input.
struct KeyedHash: Sendable {
    private let inner: SHA256
    private let outer: SHA256

    /// `key` holds at most 64 bytes, the block of SHA-256.
    init(key: UnsafeRawBufferPointer) {
        precondition(key.count <= 64)
        inner = KeyedHash.primed(key, 0x36)
        outer = KeyedHash.primed(key, 0x5c)
    }

    private static func primed(_ key: UnsafeRawBufferPointer, _ pad: UInt8) -> SHA256 {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { block in
            for index in 0..<64 { block[index] = pad ^ (index < key.count ? key[index] : 0) }
            var hasher = SHA256()
            hasher.update(bufferPointer: UnsafeRawBufferPointer(block))
            for index in 0..<64 { block[index] = 0 }
            return hasher
        }
    }

    func code(of message: UnsafeRawBufferPointer) -> Bytes32 {
        var innerHasher = inner
        innerHasher.update(bufferPointer: message)
        var outerHasher = outer
        innerHasher.finalize().withUnsafeBytes { outerHasher.update(bufferPointer: $0) }
        return outerHasher.finish()
    }
}
