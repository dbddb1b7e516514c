internal import BackupFormat
internal import HostFiles

/// Why the index could not be read or brought up to date. Never a reason for a backup to fail.
package struct NameIndexError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The file system refused or failed.
        case storage
        /// A file is missing, or not what was written: it is to be made anew.
        case damaged
        /// Another process is at it.
        case busy
        /// More snapshots or names than an index takes.
        case tooLarge
        case interrupted
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    init(_ cause: HostFilesError) {
        self.init(cause.code == .notFound ? .damaged : .storage, "\(cause)")
    }

    init(_ cause: FormatError) { self.init(.damaged, "\(cause)") }

    package var description: String { message }
}

extension [UInt8] {
    /// Calls `body` with the bytes; unlike `withUnsafeBytes`, keeps the type of its error.
    package func withPathBytes<R>(_ body: (UnsafeRawBufferPointer) throws(NameIndexError) -> R) throws(NameIndexError) -> R {
        try withUnsafeBufferPointer { buffer throws(NameIndexError) in try body(UnsafeRawBufferPointer(buffer)) }
    }
}
