// Whom this node knows, and what it keeps for them: the book of peers, invitations, and the service that answers requests on vaults.
//
// It knows requests and answers, and nothing of sockets. This module must never let a peer read, change or even learn of what belongs
// to another owner, keep a byte beyond a quota, or acknowledge what is not durable.
package import BackupFormat
internal import Cryptography

/// A node's agreement key as two people read it out to each other: six groups of five digits, about 99 bits of
/// SHA-256("bakare fingerprint v1" || key).
///
/// Each group is five bytes of the hash, big-endian, modulo 100,000.
package func fingerprint(_ agreementKey: Bytes32) -> String {
    let hash = sha256(Array("bakare fingerprint v1".utf8), agreementKey.bytes).bytes
    return (0..<6).map { group in
        let number = hash[group * 5..<group * 5 + 5].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 100_000
        let digits = String(number)
        return String(repeating: "0", count: 5 - digits.count) + digits
    }.joined(separator: " ")
}
