/// 32 bytes held as four machine words: the value behind every hash, key and identifier.
///
/// Ordered and compared as the byte string it stands for.
package struct Bytes32: Hashable, Sendable, Comparable, BitwiseCopyable {
    /// The bytes 0–7, 8–15, 16–23 and 24–31, each read as a big-endian number.
    package var words: (UInt64, UInt64, UInt64, UInt64)

    package static let count = 32
    package static let zero = Bytes32(words: (0, 0, 0, 0))

    package init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// The first 32 bytes of `buffer`, which must hold at least 32.
    @inlinable
    package init(_ buffer: UnsafeRawBufferPointer) {
        precondition(buffer.count >= 32)
        words = (
            UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
            UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
            UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        )
    }

    /// Exactly 32 bytes, or nil.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self = bytes.withUnsafeBytes { Bytes32($0) }
    }

    /// Writes the 32 bytes at the start of `buffer`.
    @inlinable
    package func store(to buffer: UnsafeMutableRawBufferPointer) {
        precondition(buffer.count >= 32)
        buffer.storeBytes(of: words.0.bigEndian, toByteOffset: 0, as: UInt64.self)
        buffer.storeBytes(of: words.1.bigEndian, toByteOffset: 8, as: UInt64.self)
        buffer.storeBytes(of: words.2.bigEndian, toByteOffset: 16, as: UInt64.self)
        buffer.storeBytes(of: words.3.bigEndian, toByteOffset: 24, as: UInt64.self)
    }

    /// Calls `body` with the 32 bytes.
    @inlinable
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var copy = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        return try withUnsafeBytes(of: &copy) { try body($0) }
    }

    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// 64 lower-case hexadecimal digits.
    package var hex: String { withBytes { hexadecimal($0) } }

    @inlinable
    package static func == (a: Bytes32, b: Bytes32) -> Bool {
        a.words.0 == b.words.0 && a.words.1 == b.words.1 && a.words.2 == b.words.2 && a.words.3 == b.words.3
    }

    @inlinable
    package static func < (a: Bytes32, b: Bytes32) -> Bool {
        if a.words.0 != b.words.0 { return a.words.0 < b.words.0 }
        if a.words.1 != b.words.1 { return a.words.1 < b.words.1 }
        if a.words.2 != b.words.2 { return a.words.2 < b.words.2 }
        return a.words.3 < b.words.3
    }

    @inlinable
    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

/// A 32-byte value with a meaning of its own, so that one kind never passes for another.
package protocol Identifier: Hashable, Sendable, Comparable, CustomStringConvertible {
    var value: Bytes32 { get }
    init(_ value: Bytes32)
}

extension Identifier {
    package static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    package var hex: String { value.hex }
    package var description: String { value.hex }
    package init?(hex: String) {
        guard let value = Bytes32(hex: hex) else { return nil }
        self.init(value)
    }
    package init?(hex: RawPath) {
        guard let value = Bytes32(hex: hex) else { return nil }
        self.init(value)
    }
}

/// Names a chunk: a keyed hash of its plaintext, hashed once more. May be seen by every device of the owner.
package struct ChunkID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Opens a chunk, and yields its id. Secret: stands only in trees and sealed snapshots.
package struct ChunkKey: Hashable, Sendable, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Names a pack: the Merkle root over its bytes, so that anyone can verify one without a key.
package struct PackID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Names a snapshot: the SHA-256 of its core (owner, device, sequence, sealed part), which a new pack list does not change.
package struct SnapshotID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Names a page of a pack list: the SHA-256 of its encoded bytes.
package struct PageID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Names an owner: their Ed25519 public signing key.
package struct OwnerID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Names a node: its Ed25519 public signing key.
package struct DeviceID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}
