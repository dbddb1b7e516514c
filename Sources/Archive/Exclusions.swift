/// What a backup leaves out.
package struct Exclusions: Sendable {
    /// gitignore-style patterns, in order.
    package var patterns: [String]
    package var largerThanBytes: Int?
    package var caches: Bool
    package var oneFileSystem: Bool

    package init(patterns: [String] = [], largerThanBytes: Int? = nil, caches: Bool = false, oneFileSystem: Bool = false) {
        self.patterns = patterns
        self.largerThanBytes = largerThanBytes
        self.caches = caches
        self.oneFileSystem = oneFileSystem
    }
}
