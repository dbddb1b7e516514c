package import BackupFormat

/// Why an operation on snapshots failed as a whole.
package struct ArchiveError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// Ctrl-C or a stop request.
        case interrupted
        /// No such snapshot, path, or an ambiguous prefix.
        case notFound
        /// This home lacks the key or permission that the operation needs.
        case notAllowed
        /// Data that should be there is missing or damaged beyond repair.
        case damaged
        /// Only peers have what is needed, and none of them can be asked.
        case unreachable
        /// Only peers have what is needed, those that can be asked have not, and others that may have it are away.
        case away
        /// The disk is full or cannot be written.
        case storage
        /// Nobody reads the output any more.
        case brokenPipe
        /// The request contradicts itself.
        case usage
    }

    package let code: Code
    package let operation: String
    package let path: RawPath?
    /// What happened, why, and what to do.
    package let message: String

    package init(_ code: Code, _ operation: String, _ message: String, path: RawPath? = nil) {
        self.code = code
        self.operation = operation
        self.message = message
        self.path = path
    }

    /// Whether no other file can be read either.
    var endsReading: Bool { code == .interrupted || code == .unreachable }

    /// The same, naming the file that it happened to, if it names none yet.
    func at(_ path: RawPath) -> ArchiveError { ArchiveError(code, operation, message, path: self.path ?? path) }

    package var description: String {
        if let path { "\(operation): \(path): \(message)" } else { "\(operation): \(message)" }
    }
}
