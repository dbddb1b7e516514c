package import BackupFormat

/// The tag by which programs mark a folder as a cache (https://bford.info/cachedir/).
///
/// With `--exclude-caches`, a folder that holds a regular file of this name with this beginning is kept with the tag alone.
package enum CacheDirectoryTag {
    package static let name: RawPath = "CACHEDIR.TAG"
    package static let signature = Array("Signature: 8a477f597d28d172789f06886806bc55".utf8)

    /// Whether `head`, the first bytes of the file, is signed as a tag.
    package static func isSigned(_ head: UnsafeRawBufferPointer) -> Bool { head.starts(with: signature) }
}
