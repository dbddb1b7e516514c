package import BackupFormat

/// The entry at `path` below the tree `root`; nil if there is none. The path's own root has no entry.
package func findEntry(
    at path: RawPath, in root: KeyList, _ source: any ChunkSource, _ scratch: ChunkScratch
) throws(ArchiveError) -> TreeEntry? {
    var tree = root
    var found: TreeEntry?
    let components = path.components
    for (index, component) in components.enumerated() {
        guard let entry = try findEntry(named: component, in: tree, source, scratch) else { return nil }
        found = entry
        if index == components.count - 1 { break }
        guard entry.type == .directory, case .stored(let keys) = entry.content else { return nil }
        tree = keys
    }
    return found
}

/// The entry of that name in a folder, or nil. Reads about log2 of the folder's chunks.
package func findEntry(
    named name: RawPath, in tree: KeyList, _ source: any ChunkSource, _ scratch: ChunkScratch
) throws(ArchiveError) -> TreeEntry? {
    // Each chunk starts with an entry: the last chunk whose first name is not beyond `name` is the only one to read.
    var chunks = tree
    if tree.levels == 0 {
        var low = 0
        var high = tree.keys.count
        while high - low > 1 {
            let middle = (low + high) / 2
            let reader = TreeReader(KeyList(levels: 0, keys: [tree.keys[middle]]), source, scratch)
            guard let first = try reader.next() else { break }
            if name.bytes.withUnsafeBytes({ compareNames(first.name, $0) }) <= 0 { low = middle } else { high = middle }
        }
        chunks = KeyList(levels: 0, keys: Array(tree.keys[low..<high]))
    }
    let reader = TreeReader(chunks, source, scratch)
    while let view = try reader.next() {
        let order = name.bytes.withUnsafeBytes { compareNames(view.name, $0) }
        if order == 0 { return try decodeEntry(view) }
        if order > 0 { return nil }
    }
    return nil
}

/// The whole of an entry; a malformed one is damage.
func decodeEntry(_ view: TreeEntryView) throws(ArchiveError) -> TreeEntry {
    do { return try view.entry() } catch {
        throw ArchiveError(
            .damaged, "read a folder", "\(error); the backup that wrote it was faulty, use another snapshot",
            path: RawPath(bytes: Array(view.name)))
    }
}
