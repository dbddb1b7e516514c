package import BackupFormat

/// What became of a snapshot that was offered.
package enum CommitOutcome: Sendable, Equatable {
    /// It and every pack it needs are durable, and stay.
    case committed
    /// Nothing has changed: upload these, then commit again. Packs and pages may both be empty only if the other is not.
    case missing(packs: [PackID], pages: [PageID])
    /// It may not stand in this vault, and why.
    case rejected(String)
}

/// What a sweep did.
package struct SweepReport: Sendable, Equatable {
    /// The vault's generation after it.
    package var generation: UInt64 = 0
    /// Packs that nothing references, moved to the trash, and the bytes of their files.
    package var trashedPacks = 0
    package var trashedBytes = 0
    /// Packs whose grace was over, removed for good, and the bytes of their files.
    package var purgedPacks = 0
    package var purgedBytes = 0
    /// Packs and pages brought back from the trash because a snapshot references them.
    package var restored = 0
    /// Left-over temporary files and records of dead uploads that were removed.
    package var tmpRemoved = 0

    package init() {}
}

/// What reading a pack to its end has shown.
package enum PackHealth: Sendable, Equatable {
    case whole
    /// It was damaged, and is as it was written now.
    case mended
    case beyondRepair
    /// It is not here, or not any more.
    case gone
}

/// A pack that parity cannot rebuild.
package struct DamagedPack: Sendable, Equatable {
    package let id: PackID
    /// Its length as far as known; 0 if not even that is left.
    package let contentBytes: Int
    /// Its bytes that are lost, in order; all of them if nobody can tell which.
    package let lost: [Range<Int>]
}

/// What a check of the vault found.
package struct ScrubReport: Sendable, Equatable {
    package var snapshots = 0
    package var pages = 0
    /// Packs that the snapshots reference.
    package var packs = 0
    /// Of these, the ones that only peers have, and of which a whole stub is here.
    package var elsewhere = 0
    /// Of these, the part that is to be read, where it is.
    package var elsewhereToRead: [PackID] = []
    /// Packs that are to be read, every byte of them.
    package var packsToRead = 0
    /// Packs whose every byte was read, and the bytes of their files.
    package var packsRead = 0
    package var bytesRead = 0
    /// Files with damaged blocks, and those of them that are whole again.
    package var damagedFiles = 0
    /// Those of them that parity can rebuild, or has.
    package var mendableFiles = 0
    package var repairedFiles = 0
    /// Packs and pages found in the trash though a snapshot references them; brought back.
    package var restored = 0
    /// Referenced packs that are in neither folder.
    package var missingPacks: [PackID] = []
    package var damagedPacks: [DamagedPack] = []
    /// Referenced pages that are missing or beyond repair.
    package var lostPages: [PageID] = []
    /// Committed snapshots whose record is beyond repair or not authentic.
    package var lostSnapshots: [SnapshotID] = []
    /// Snapshots that need a page or pack that is missing or damaged.
    package var incompleteSnapshots: [SnapshotID] = []
    /// Files that do not belong in a vault.
    package var strangers: [RawPath] = []

    package init() {}

    /// Whether something is lost that a snapshot references.
    package var isHurt: Bool { !missingPacks.isEmpty || !damagedPacks.isEmpty || !lostPages.isEmpty }

    /// Whether every committed snapshot can be restored, as far as was read.
    package var isWhole: Bool {
        missingPacks.isEmpty && damagedPacks.isEmpty && lostPages.isEmpty && lostSnapshots.isEmpty
            && incompleteSnapshots.isEmpty
    }
}

/// How much a vault holds. Bytes are those of the files, parity and all.
package struct VaultUsage: Sendable, Equatable {
    package var packs = 0
    package var packBytes = 0
    package var pages = 0
    package var pageBytes = 0
    package var snapshots = 0
    package var snapshotBytes = 0
    /// Packs that only peers have, and the bytes of the files that stand for them here.
    package var stubs = 0
    package var stubBytes = 0
    package var trashedPacks = 0
    package var trashBytes = 0

    package init() {}

    package var totalBytes: Int { packBytes + pageBytes + snapshotBytes + stubBytes + trashBytes }
}
