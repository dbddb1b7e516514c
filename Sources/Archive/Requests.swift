package import BackupFormat
internal import Cryptography
package import HostFiles

/// What to back up, and how.
package struct BackupRequest: Sendable {
    /// Absolute paths, each a file or a folder.
    package var paths: [RawPath]
    package var exclusions: Exclusions
    package var tags: [String]
    package var dryRun: Bool
    /// The machine's name, recorded in the snapshot.
    package var host: String
    /// Nanoseconds since 1970 at the start.
    package var time: Int64
    /// Folders never backed up, however they are reached: the node's own home, as (device, inode).
    package var forbidden: [FileIdentity]
    /// Nil to store all that there is room for.
    package var spool: Spool?
    /// Keys in one list, at most: fewer in tests, of files that are not as large as it takes.
    package var listKeysMax = Limits.directKeysMax
    /// What a watch has told since an earlier snapshot; nil where there is none, or it is in doubt: everything is walked.
    package var changes: WatchedChanges?

    package init(
        paths: [RawPath], exclusions: Exclusions, tags: [String] = [], dryRun: Bool = false, host: String, time: Int64,
        forbidden: [FileIdentity] = []
    ) {
        self.paths = paths
        self.exclusions = exclusions
        self.tags = tags
        self.dryRun = dryRun
        self.host = host
        self.time = time
        self.forbidden = forbidden
    }
}

extension BackupRequest {
    /// Of all that decides what is in the snapshot, besides the files.
    package var digest: Bytes32 {
        var writer = ByteWriter()
        func add(_ paths: [RawPath]) {
            writer.count(paths.count)
            for path in paths { writer.byteString(path.bytes) }
        }
        add(paths)
        add(exclusions.patterns)
        add(tags.map { RawPath($0) })
        writer.byteString(Array(host.utf8))
        writer.signedVarint(Int64(exclusions.largerThanBytes ?? -1))
        writer.byte((exclusions.caches ? 1 : 0) + (exclusions.oneFileSystem ? 2 : 0))
        return sha256(writer.bytes)
    }
}

/// What has changed since a snapshot, says a watch of the file system.
package struct WatchedChanges: Sendable {
    package enum Use: UInt8, Sendable {
        /// Only these folders are looked into; all else is taken over from the snapshot.
        case instead
        /// Everything is walked, and what has changed besides these is told.
        case compared
    }

    /// Counts only with this snapshot as the last one.
    package var base: SnapshotID
    /// What ``BackupRequest/digest`` was when that was made.
    package var digest: Bytes32
    package var folders: ChangedFolders
    package var use: Use

    package init(base: SnapshotID, digest: Bytes32, folders: ChangedFolders, use: Use) {
        self.base = base
        self.digest = digest
        self.folders = folders
        self.use = use
    }
}

/// A file by device and inode number.
package struct FileIdentity: Hashable, Sendable {
    package var device: UInt64
    package var inode: UInt64
    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

/// What a backup did. Sizes are in bytes.
package struct BackupReport: Sendable {
    /// Nil for a dry run.
    package var snapshot: SnapshotID?
    /// Everything that is no folder: links and special files too.
    package var files = 0
    package var directories = 0
    /// Apparent size of all regular files.
    package var bytes = 0
    /// Plain size of chunks that were not stored before.
    package var newBytes = 0
    /// What those take in packs.
    package var storedBytes = 0
    package var unchangedFiles = 0
    /// The first 10,000 problems; `errorCount` counts all.
    package var errors: [FileProblem] = []
    package var errorCount = 0
    package var seconds = 0.0
    /// Only the folders that a watch told of were looked into.
    package var isGuided = false
    /// Nothing that was asked for has changed: the snapshot named is the last one, and no new one was made.
    package var isUnchanged = false
    /// Why a walk may find more than a guided backup has, if it may.
    package var doubt: String?
    /// Folders in which something has changed without the watch having told, the first 1,000; and how many in all.
    package var untold: [RawPath] = []
    package var untoldCount = 0
    /// Where what was asked for stands.
    package var places: [PathPlaces] = []
    package init() {}
}

/// One snapshot, as `snapshots` lists it.
package struct SnapshotSummary: Sendable {
    package var id: SnapshotID
    /// Nanoseconds since 1970.
    package var time: Int64
    package var host: String
    package var paths: [RawPath]
    package var tags: [String]
    package var files: Int
    package var directories: Int
    package var bytes: Int
    /// Files that could not be read then.
    package var errorCount: Int
    /// Who made it: proven by a signature, where host, paths and time are only what that device says.
    package var device: DeviceID

    package init(
        id: SnapshotID, time: Int64, host: String, paths: [RawPath], tags: [String], files: Int, directories: Int, bytes: Int,
        errorCount: Int, device: DeviceID
    ) {
        self.id = id
        self.time = time
        self.host = host
        self.paths = paths
        self.tags = tags
        self.files = files
        self.directories = directories
        self.bytes = bytes
        self.errorCount = errorCount
        self.device = device
    }
}

/// What to bring back, and where to.
package struct RestoreRequest: Sendable {
    package enum Overwrite: String, Sendable, CaseIterable {
        case always
        case ifNewer = "if-newer"
        case never
    }

    package var snapshot: SnapshotID
    /// Paths inside the snapshot (absolute, as backed up); empty for all.
    package var paths: [RawPath]
    package var target: RawPath
    package var overwrite: Overwrite
    /// Remove what the snapshot does not hold, in folders of which it holds all that the backup found.
    package var deleteExtraneous: Bool
    /// Read everything back and compare after writing.
    package var verify: Bool
    package var dryRun: Bool
    /// Folders that are never removed, nor emptied: the node's own home, as (device, inode).
    package var forbidden: [FileIdentity]

    package init(
        snapshot: SnapshotID, paths: [RawPath] = [], target: RawPath, overwrite: Overwrite = .always,
        deleteExtraneous: Bool = false, verify: Bool = false, dryRun: Bool = false, forbidden: [FileIdentity] = []
    ) {
        self.snapshot = snapshot
        self.paths = paths
        self.target = target
        self.overwrite = overwrite
        self.deleteExtraneous = deleteExtraneous
        self.verify = verify
        self.dryRun = dryRun
        self.forbidden = forbidden
    }
}

/// What a restore did. Sizes are in bytes.
package struct RestoreReport: Sendable {
    package var files = 0
    package var directories = 0
    package var bytes = 0
    /// Content that had to be written; what was already right in place is not counted.
    package var writtenBytes = 0
    package var unchangedFiles = 0
    /// Left as they are there, as the user wished; counted nowhere else.
    package var keptFiles = 0
    package var deleted = 0
    package var errors: [FileProblem] = []
    package var seconds = 0.0
    package init() {}
}

/// One line of `ls`: a path inside a snapshot with its metadata.
package struct ListedEntry: Sendable {
    package var path: RawPath
    package var entry: TreeEntry
    package init(path: RawPath, entry: TreeEntry) {
        self.path = path
        self.entry = entry
    }
}

/// One line of `diff`.
package struct Difference: Sendable {
    package enum Kind: String, Sendable {
        case added, removed, content, metadata, type
    }
    package var kind: Kind
    package var path: RawPath
    /// Size in bytes before and after, 0 where there is none.
    package var sizeBefore: Int
    package var sizeAfter: Int
    package init(kind: Kind, path: RawPath, sizeBefore: Int, sizeAfter: Int) {
        self.kind = kind
        self.path = path
        self.sizeBefore = sizeBefore
        self.sizeAfter = sizeAfter
    }
}

/// What `check` found and did.
package struct CheckReport: Sendable {
    package var snapshots = 0
    package var packs = 0
    /// Of these, the ones that only peers have.
    package var elsewherePacks = 0
    package var bytesRead = 0
    /// Packs that only peers have and that were to be read: what came of it.
    package var evidence = PackEvidence()
    /// Damage that parity or a rebuild mended (or, without `repair`, would mend).
    package var repairable: [String] = []
    package var repaired: [String] = []
    /// What is lost: each names the snapshot and paths concerned, or the pack where no snapshot needs it.
    package var lost: [String] = []
    package var seconds = 0.0
    package var isClean: Bool { repairable.isEmpty && lost.isEmpty && evidence.faults.isEmpty }
    package init() {}
}

/// What a sweep freed. Sizes are in bytes.
package struct ReclaimReport: Sendable {
    package var removedPacks = 0
    package var removedBytes = 0
    package var rewrittenPacks = 0
    package var purgedBytes = 0
    package var keptBytes = 0
    package var seconds = 0.0
    package init() {}
}
