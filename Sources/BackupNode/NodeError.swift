package import BackupFormat

/// Why a command failed as a whole: what, on what, why, and what to do.
package struct NodeError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The command line or a name given there makes no sense.
        case usage
        /// A value of the configuration is wrong.
        case configuration
        /// The home is missing, or cannot be made or used.
        case home
        /// A key is missing, damaged, or not the one expected.
        case key
        /// This node lacks the key or the permission that the operation needs.
        case notAllowed
        /// Ctrl-C or a stop request.
        case interrupted
        /// Nobody reads the output any more.
        case brokenPipe
        /// Anything else that the operation itself reports.
        case failed
    }

    package let code: Code
    /// What was being done, in the user's words; may be empty.
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

    package var description: String {
        [operation, path?.description ?? "", message].filter { !$0.isEmpty }.joined(separator: ": ")
    }
}
