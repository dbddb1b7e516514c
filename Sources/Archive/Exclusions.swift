package import BackupFormat

/// What a backup leaves out.
package struct Exclusions: Sendable {
    /// gitignore-style patterns, in order: see ``ExclusionRules``.
    package var patterns: [RawPath]
    /// Files above this size are left out.
    package var largerThanBytes: Int?
    /// Of folders with a `CACHEDIR.TAG`, keep the tag alone.
    package var caches: Bool
    /// Do not go down into other mounts.
    package var oneFileSystem: Bool

    package init(patterns: [RawPath] = [], largerThanBytes: Int? = nil, caches: Bool = false, oneFileSystem: Bool = false) {
        self.patterns = patterns
        self.largerThanBytes = largerThanBytes
        self.caches = caches
        self.oneFileSystem = oneFileSystem
    }
}
