/// Something that failed a cryptographic check, or a request that its key does not permit.
package struct CryptographyError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// A tag or signature that does not match: damaged, forged, or made under another key.
        case notAuthentic
        /// Sealed bytes too short to hold a nonce and a tag, or longer than a limit.
        case malformed
        /// A valid certificate that lacks the permission this needs.
        case notPermitted
        /// Made by or for another owner or device than the one expected.
        case mismatched
        /// A message of a session that its peer did not send so: another key or invitation, or changed on the way.
        case notGenuine
        /// A key that has served for as many messages as it may.
        case exhausted
    }

    package let code: Code
    /// What was being done, to what: "open a chunk".
    package let operation: String

    package init(_ code: Code, _ operation: String) {
        self.code = code
        self.operation = operation
    }

    package var description: String {
        switch code {
        case .notAuthentic: "cannot \(operation): it is damaged, or was made with another key; run check --repair"
        case .malformed: "cannot \(operation): its length is impossible; run check --repair"
        case .notPermitted:
            "cannot \(operation): the device's certificate does not permit it; use a device that has the permission"
        case .mismatched: "cannot \(operation): it belongs to another owner or device; check which home and key are in use"
        case .notGenuine:
            "cannot \(operation): the peer does not hold the key or invitation it should, or somebody changes what is sent; compare fingerprints and try again"
        case .exhausted: "cannot \(operation): the session has lasted too long; connect again"
        }
    }
}
