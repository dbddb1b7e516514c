/// Bytes that are not what a format requires. Thrown by every decoder; never a trap.
package struct FormatError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The input ended before the value did.
        case truncated
        /// A magic number, type or version that this reader does not know.
        case unknown
        /// A length, count or number outside its limit.
        case outOfRange
        /// Values that contradict each other, or the order that the format demands.
        case inconsistent
        /// A checksum, tag or signature that does not match.
        case checksum
        /// Bytes after the end of the value.
        case trailing
    }

    package let code: Code
    /// What was being decoded, in the words of the format document.
    package let what: String
    /// Where in the input, in bytes.
    package let offset: Int

    package init(_ code: Code, _ what: String, at offset: Int = 0) {
        self.code = code
        self.what = what
        self.offset = offset
    }

    package var description: String {
        switch code {
        case .truncated: "\(what): the data ends too early, at byte \(offset)"
        case .unknown: "\(what): not a kind or version this program knows, at byte \(offset)"
        case .outOfRange: "\(what): a number outside its limits, at byte \(offset)"
        case .inconsistent: "\(what): contradicts itself, at byte \(offset)"
        case .checksum: "\(what): damaged (checksum does not match)"
        case .trailing: "\(what): has bytes after its end, at byte \(offset)"
        }
    }
}
