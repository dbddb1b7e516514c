internal import CSodium
package import BackupFormat

/// Secret bytes in guarded memory: never swapped out where the system allows it, never in a core dump, zeroed at the end.
// SAFETY: the memory is written only before `init` returns or by whoever has it exclusively, and freed only when no one can reach it.
package struct SecretBytes: ~Copyable, @unchecked Sendable {
    private let pointer: UnsafeMutableRawPointer
    package let count: Int

    /// `count` bytes (at least 1) that `fill` writes.
    package init(count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
        _ = sodiumReady
        pointer = SecretMemory.take(count)
        self.count = count
        fill(UnsafeMutableRawBufferPointer(start: pointer, count: count))
    }

    /// A copy of `value`. The caller's own copy stays where it was.
    package init(_ value: Bytes32) { self.init(count: Bytes32.count) { value.store(to: $0) } }

    /// 32 fresh random bytes.
    package static func random32() -> SecretBytes { SecretBytes(count: Bytes32.count) { fillRandom($0) } }

    deinit { SecretMemory.giveBack(pointer, count) }

    /// Calls `body` with the bytes, which must not be kept.
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(start: pointer, count: count))
    }

    /// The start of the bytes, for libsodium's calls in this module.
    var base: UnsafePointer<UInt8> { UnsafePointer(pointer.assumingMemoryBound(to: UInt8.self)) }

    /// Another secret in place of this one, of as many bytes.
    mutating func overwrite(with bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == count)
        UnsafeMutableRawBufferPointer(start: pointer, count: count).copyMemory(from: bytes)
    }

    /// A copy on the stack of the first 32 bytes (there must be as many).
    package var value: Bytes32 { withBytes { Bytes32($0) } }
}

extension Bytes32 {
    /// 32 fresh bytes from the system's secure random source.
    package static func random() -> Bytes32 {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) {
            fillRandom($0)
            return Bytes32(UnsafeRawBufferPointer($0))
        }
    }

    /// Calls `body` with a pointer to the 32 bytes, for libsodium.
    @inline(__always)
    func withPointer<R>(_ body: (UnsafePointer<UInt8>) -> R) -> R {
        var copy = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        return withUnsafeBytes(of: &copy) { buffer in
            buffer.withMemoryRebound(to: UInt8.self) { bytes in
                guard let base = bytes.baseAddress else { preconditionFailure("a tuple has an address") }
                return body(base)
            }
        }
    }

    /// The 32 bytes that `fill` writes through a pointer, for libsodium.
    @inline(__always)
    static func filled(_ fill: (UnsafeMutablePointer<UInt8>) -> Void) -> Bytes32 {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("32 bytes have an address") }
            base.initialize(repeating: 0, count: 32)
            fill(base)
            defer { sodium_memzero(base, 32) }
            return Bytes32(UnsafeRawBufferPointer(buffer))
        }
    }
}
