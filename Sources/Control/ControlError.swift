internal import BackupFormat
internal import HostFiles

/// Why a command and the running node do not understand each other.
package struct ControlError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// A node runs on this home already.
        case alreadyRuns
        /// The node that was asked ended, or is of another version.
        case lost
        case failed
    }

    package let code: Code
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    init(_ error: HostFilesError) { self.init(.failed, error.description) }

    static let otherVersion = ControlError(
        .lost, "the running node is of another version of bakare-node; restart it (`bakare-node start`)")
}
