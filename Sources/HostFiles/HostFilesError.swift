package import BackupFormat
internal import Glibc

/// A file operation that failed: what was tried, on what, why, and what to do about it.
package struct HostFilesError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// No such file or directory.
        case notFound
        /// Something of that name is there already.
        case exists
        /// The user who runs this may not do that.
        case permission
        /// The file system is full, or a quota is reached.
        case noSpace
        /// The file system is mounted read-only.
        case readOnly
        /// The device or network file system reported an error.
        case io
        /// Bytes that fail their checksum, beyond what parity rebuilds.
        case damaged
        /// No answer within the time allowed, as from a dead network mount.
        case hung
        /// A component of the path is not a directory.
        case notADirectory
        /// The path is a directory, where a file was meant.
        case isADirectory
        /// The directory still holds entries.
        case notEmpty
        /// Symbolic links in a circle, or one where none may be.
        case tooManyLinks
        /// A name or path longer than the file system takes.
        case nameTooLong
        /// The process or the system has no file descriptor left.
        case tooManyOpenFiles
        /// Stopped on request.
        case interrupted
        /// The file system cannot do that.
        case unsupported
        /// The file changed while it was read.
        case changed
        /// Anything else: see `errno`.
        case other
    }

    package let code: Code
    /// What was being done, as a verb phrase: "open", "read", "sync the folder".
    package let operation: String
    /// The file it was done on, if any.
    package let path: RawPath?
    /// The system's error number, or 0 when the error is not the system's.
    package let errno: Int32
    /// More on the cause, for the codes that have no error number; may be empty.
    package let detail: String

    package init(_ code: Code, _ operation: String, path: RawPath? = nil, errno: Int32 = 0, detail: String = "") {
        self.code = code
        self.operation = operation
        self.path = path
        self.errno = errno
        self.detail = detail
    }

    /// From an error number that a system call left.
    package init(errno: Int32, _ operation: String, path: RawPath? = nil) {
        self.init(HostFilesError.code(of: errno), operation, path: path, errno: errno)
    }

    package static func code(of errno: Int32) -> Code {
        switch errno {
        case ENOENT: .notFound
        case EEXIST: .exists
        case EACCES, EPERM: .permission
        case ENOSPC, EDQUOT: .noSpace
        case EROFS: .readOnly
        case EIO, ESTALE, EREMOTEIO, ENXIO, ENODEV, EUCLEAN, EBADMSG: .io
        case ETIMEDOUT, EHOSTDOWN: .hung
        case ENOTDIR: .notADirectory
        case EISDIR: .isADirectory
        case ENOTEMPTY: .notEmpty
        case ELOOP, EMLINK: .tooManyLinks
        case ENAMETOOLONG: .nameTooLong
        case EMFILE, ENFILE: .tooManyOpenFiles
        case EINTR, ECANCELED: .interrupted
        case EOPNOTSUPP, ENOSYS, EXDEV: .unsupported
        default: .other
        }
    }

    package var description: String {
        var text = "cannot \(operation)"
        if let path { text += " \(path)" }
        text += ": \(reason)"
        if !detail.isEmpty { text += " (\(detail))" }
        if let advice { text += "; \(advice)" }
        return text
    }

    /// Why it failed, in the system's words where it has any.
    package var reason: String {
        if errno != 0 {
            var buffer = [CChar](repeating: 0, count: 256)
            let found = strerror_r(errno, &buffer, buffer.count) == 0
            let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return found ? String(decoding: text, as: UTF8.self) : "error \(errno)"
        }
        return switch code {
        case .damaged: "its bytes are damaged"
        case .hung: "no answer in time"
        case .interrupted: "interrupted"
        case .changed: "it changed while it was read"
        case .notFound: "it does not exist"
        case .exists: "it exists already"
        case .noSpace: "no space left"
        case .unsupported: "not supported here"
        default: "failed"
        }
    }

    /// What the user can do, where that is known.
    private var advice: String? {
        switch code {
        case .permission: "run as a user who may, or change its permissions"
        case .noSpace: "free some space or raise the quota, then run again"
        case .readOnly: "mount the file system for writing"
        case .io: "check the device and its connection (see the kernel log)"
        case .damaged: "run `check --repair`, which also fetches it from a peer that has it"
        case .hung: "check the mount it is on"
        case .tooManyOpenFiles: "raise the limit on open files (ulimit -n)"
        case .changed: "run again when nothing writes to it"
        default: nil
        }
    }
}
