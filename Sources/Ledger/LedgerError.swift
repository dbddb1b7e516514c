package import BackupFormat
package import HostFiles

/// An operation on the ledger that failed: what was tried, on which file, why, and what to do about it.
package struct LedgerError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The file system refused or failed; `cause` says how.
        case storage
        /// Bytes beyond repair.
        case damaged
        /// Written by a newer version of this program.
        case unknownVersion
        /// A value or count above its limit.
        case tooLarge
    }

    package let code: Code
    /// What was being done, as a verb phrase: "write an index segment".
    package let operation: String
    /// The file it was done on, if any.
    package let path: RawPath?
    /// The failure of the file system behind it, if any.
    package let cause: HostFilesError?
    /// More on what was wrong; may be empty.
    package let detail: String

    package init(
        _ code: Code, _ operation: String, path: RawPath? = nil, cause: HostFilesError? = nil, detail: String = ""
    ) {
        self.code = code
        self.operation = operation
        self.path = path
        self.cause = cause
        self.detail = detail
    }

    /// From a failed file operation: damage stays damage, everything else is the file system's.
    package init(_ cause: HostFilesError, _ operation: String, path: RawPath? = nil) {
        self.init(cause.code == .damaged ? .damaged : .storage, operation, path: path ?? cause.path, cause: cause)
    }

    /// The system's error number behind it, or 0.
    package var errno: Int32 { cause?.errno ?? 0 }

    package var description: String {
        var text = "cannot \(operation)"
        if let path { text += " \(path)" }
        if !detail.isEmpty { text += ": \(detail)" }
        if let cause { text += ": \(cause)" }
        switch code {
        case .damaged: text += "; delete the file, it is rebuilt from the packs"
        case .tooLarge, .storage, .unknownVersion: break
        }
        return text
    }
}
