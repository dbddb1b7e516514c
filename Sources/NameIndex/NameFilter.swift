package import BackupFormat

/// Which paths are looked at, and which of their versions.
package struct NameFilter: Sendable {
    /// Only this path and what is below it.
    package var folder: RawPath?
    /// Only these kinds; nil for all.
    package var types: Set<EntryType>?
    /// Bytes, of files; a folder has 0.
    package var sizeMin: UInt64?
    package var sizeMax: UInt64?
    /// Modified at this time or later, or earlier.
    package var newer: Timestamp?
    package var older: Timestamp?
    /// Only in these; nil for all.
    package var snapshots: Set<SnapshotID>?

    package init() {}

    var looksAtStates: Bool { types != nil || sizeMin != nil || sizeMax != nil || newer != nil || older != nil }

    /// Whether a version of that state is wanted.
    func allows(_ state: NameState) -> Bool {
        if let types, !types.contains(state.type) { return false }
        if let sizeMin, state.size < sizeMin { return false }
        if let sizeMax, state.size > sizeMax { return false }
        if let newer, state.modified < newer { return false }
        if let older, state.modified >= older { return false }
        return true
    }

    /// Whether a path is the folder or below it.
    func allows(_ path: UnsafeRawBufferPointer) -> Bool {
        guard let folder, folder.bytes.count > 1 else { return true }
        let count = folder.bytes.count
        guard path.count >= count, path.count == count || path[count] == 0x2f else { return false }
        return folder.bytes.withUnsafeBytes { sharedBytes($0, path) == count }
    }

    /// The blocks of a segment that may hold such paths.
    func blocks(of table: NameTable) -> Range<Int> {
        guard let folder, folder.bytes.count > 1 else { return 0..<table.blocks.count }
        guard !table.blocks.isEmpty else { return 0..<0 }
        let first = folder.bytes.withUnsafeBytes { table.block(for: $0) }
        // What is below stands right behind the folder itself.
        var end = first + 1
        while end < table.blocks.count, table.blocks[end].firstPath.bytes.withUnsafeBytes({ allows($0) }) { end += 1 }
        return first..<end
    }
}

/// A path that was found.
package struct NameMatch: Sendable {
    package var path: RawPath
    package var score: Int
    /// As it is in the newest of `snapshots`.
    package var state: NameState
    /// Those that hold a version that the filter allows, the oldest first.
    package var snapshots: [SnapshotID]
    /// It is in none of the snapshots that are the newest of their device, host and paths.
    package var isDeleted: Bool
}
