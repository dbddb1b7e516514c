/// Every bound of the formats in one place. A decoder rejects what exceeds them before it allocates.
///
/// Sizes are in bytes.
package enum Limits {
    /// Content-defined cut points: no chunk of a longer stream is shorter (but the last), aimed at, or longer.
    package static let chunkBytesMin = 256 << 10
    package static let chunkBytesTarget = 1 << 20
    package static let chunkBytesMax = 4 << 20
    /// Nonce (24), compression method (1) and tag (16) around a chunk's payload.
    package static let chunkOverheadBytes = 41
    /// A file of this size or less lives inside its tree entry.
    package static let inlineFileBytesMax = 512

    /// The largest pack a reader accepts; writers aim below it.
    package static let packBytesMax = 16 << 20
    package static let packChunksMax = 1 << 17
    /// Merkle leaves of a pack.
    package static let leafBytes = 4096

    package static let nameBytesMax = 255
    package static let linkTargetBytesMax = 4096
    package static let xattrNameBytesMax = 255
    package static let xattrValueBytesMax = 64 << 10
    package static let xattrsMax = 4096
    package static let xattrsTotalBytesMax = 1 << 20
    /// More extents than this, and a sparse file is stored without its holes.
    package static let extentsMax = 1 << 16
    /// Keys held directly in an entry; beyond, a list of keys is itself stored as chunks.
    package static let directKeysMax = 1 << 14
    /// How many times lists of keys may be nested.
    package static let keyListLevelsMax = 4
    /// One tree entry, encoded.
    package static let treeEntryBytesMax = 4 << 20

    package static let pagePacksMax = 512
    /// Head, count and ids of a full page.
    package static let pageBytesMax = 11 + 32 * pagePacksMax
    package static let snapshotPagesMax = 1 << 17
    package static let snapshotSealedBytesMax = 4 << 20
    package static let snapshotRecordBytesMax = 16 << 20
    package static let certificateBytesMax = 1024
    /// Snapshots that one order may remove.
    package static let forgetSnapshotsMax = 1 << 16
    package static let tagsMax = 64
    package static let tagBytesMax = 255
    package static let hostBytesMax = 255
    package static let pathsMax = 1024
    package static let pathBytesMax = 1 << 16
    package static let ownerNamesMax = 1 << 16
}
