package import BackupFormat

/// Calls `each` for the entries of a snapshot at `path`: a folder's children (with `recursive`, all below it, each folder
/// before its children), or the one file itself. Nil is the root.
///
/// A part of a folder that cannot be read goes to `problem`, and the rest goes on. Throws `notFound`, `interrupted`, or what `each` throws.
package func listSnapshot(
    _ contents: SnapshotContents, at path: RawPath? = nil, recursive: Bool, _ source: any ChunkSource, _ progress: Progress,
    problem: (FileProblem) -> Void, each: (ListedEntry) throws(ArchiveError) -> Void
) throws(ArchiveError) {
    let scratch = try ChunkScratch()
    var tree = contents.root
    let components = path?.components ?? []
    let base = RawPath(bytes: components.flatMap { [0x2f] + $0.bytes })
    if !components.isEmpty {
        guard let entry = try findEntry(at: base, in: tree, source, scratch) else {
            throw ArchiveError(.notFound, "list", "the snapshot holds no such path", path: base)
        }
        guard entry.type == .directory else { return try each(ListedEntry(path: base, entry: entry)) }
        guard case .stored(let keys) = entry.content else { return }
        tree = keys
    }
    let cursor = TreeCursor(tree, path: base, source, scratch)
    while cursor.depth > 0 {
        if progress.isStopping { throw interrupted("list") }
        let entry: TreeEntry?
        do { entry = try cursor.next().map { view throws(ArchiveError) in try decodeEntry(view) } } catch {
            problem(FileProblem(path: cursor.folder, operation: "list", reason: error.message))
            progress.problems.add(1, ordering: .relaxed)
            if error.code == .interrupted || error.code == .storage { throw error }
            continue
        }
        guard let entry else {
            cursor.ascend()
            continue
        }
        try each(ListedEntry(path: cursor.path(of: entry.name), entry: entry))
        if recursive, entry.type == .directory, case .stored(let keys) = entry.content, keys != .empty {
            cursor.descend(entry.name.bytes, keys)
        }
    }
}

/// What an operation throws when it was asked to stop.
func interrupted(_ operation: String) -> ArchiveError {
    ArchiveError(.interrupted, operation, "stopped on request; run it again to go on")
}
