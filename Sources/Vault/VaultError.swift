package import HostFiles

/// A vault operation that failed: what was tried, on what, and what to do about it.
package struct VaultError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The vault holds no such pack, page or snapshot, or is no vault.
        case notFound
        /// Only a stub of the pack is here: peers have it.
        case elsewhere
        /// Bytes that are wrong beyond what parity rebuilds.
        case damaged
        /// The file system is full.
        case noSpace
        /// A record, order or pack that the owner's vault may not take.
        case rejected
        /// Sweeps kept coming in between; the same call will do later.
        case busy
        /// Stopped on request.
        case interrupted
        /// A file operation failed: see `cause`.
        case files
    }

    package let code: Code
    /// What was being done, as a verb phrase.
    package let operation: String
    /// The pack, page, snapshot or file that it was done on.
    package let subject: String
    package let cause: HostFilesError?
    /// More on the cause; may be empty.
    package let detail: String

    package init(_ code: Code, _ operation: String, _ subject: String, detail: String = "", cause: HostFilesError? = nil) {
        self.code = code
        self.operation = operation
        self.subject = subject
        self.detail = detail
        self.cause = cause
    }

    init(_ cause: HostFilesError, _ operation: String, _ subject: String) {
        let code: Code =
            switch cause.code {
            case .notFound: .notFound
            case .damaged: .damaged
            case .noSpace: .noSpace
            default: .files
            }
        self.init(code, operation, subject, cause: cause)
    }

    package var description: String {
        var text = "cannot \(operation) \(subject)"
        if !detail.isEmpty { text += ": \(detail)" }
        if let cause { return text + ": \(cause)" }
        switch code {
        case .notFound: text += "; it is not in the vault: run `check`, or back up again"
        case .elsewhere: text += "; only peers have it"
        case .damaged: text += "; run `check --repair`, which also fetches it from a peer that has it"
        case .noSpace: text += "; free some space, then run again"
        case .rejected: text += "; check which home and key are in use"
        case .busy: text += "; run again"
        case .interrupted: text += "; stopped on request"
        case .files: break
        }
        return text
    }
}
