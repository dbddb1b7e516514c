package import BackupFormat

/// One file or folder that could not be dealt with as asked. It never touches the others.
package struct FileProblem: Sendable, Equatable {
    package var path: RawPath
    /// What was being done: `open`, `read`, `list`, `stat`, `xattr`, `mount`, `write`, `owner`, …
    package var operation: String
    /// Why it failed, in words, with what was done instead where that matters.
    package var reason: String

    package init(path: RawPath, operation: String, reason: String) {
        self.path = path
        self.operation = operation
        self.reason = reason
    }
}
