// Keys, sealing, keyed hashes, signatures and Merkle trees.
//
// This module does no I/O, reads no clock and keeps no state but keys. It must never: return plaintext whose tag has not
// been checked, use a nonce twice under one key, compare secrets byte by byte with an early exit, log or describe a
// secret, or invent a primitive. SHA-256, and ChaCha20-Poly1305 of long messages, come from OpenSSL's
// libcrypto, which uses what the processor has for them; all else comes from libsodium. Every derivation has a domain of its own, listed in `Domain`.

internal import CSodium

/// The labels that keep one use of a key or hash from passing for another. Each is part of the format: never change one.
enum Domain {
    static let chunkID: StaticString = "bakare chunk id v1"
    static let gearTable: StaticString = "bakare gear table v1"
    static let recoveryKey: StaticString = "bakare recovery key v1"
    static let snapshotSignature: StaticString = "bakare snapshot signature v1"
    static let certificateSignature: StaticString = "bakare certificate signature v1"
    static let forgetSignature: StaticString = "bakare forget signature v1"
    static let recoverySignature: StaticString = "bakare recovery signature v1"
    static let invitation: StaticString = "bakare invitation v1"
}

/// Makes libsodium ready: picks the fastest code for this processor and opens the system's random source, once a process.
///
/// Every entry point that reaches libsodium touches this first; it costs one load when done.
let sodiumReady: Void = {
    let result = sodium_init()
    precondition(result >= 0, "libsodium cannot start: the system gives no random bytes")
}()

/// Fills `buffer` with bytes from the system's secure random source.
package func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
    _ = sodiumReady
    guard let base = buffer.baseAddress else { return }
    randombytes_buf(base, buffer.count)
}

extension StaticString {
    /// The label's bytes, in place.
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}
