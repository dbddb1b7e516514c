package import BackupFormat

/// Calls `each` for everything that differs between two snapshots at or below `path` (nil: everywhere), by path in tree order.
///
/// Folders whose trees have the same keys are never opened. A folder's own modification time is not compared: it follows
/// its entries. An added or removed folder is reported with all that it holds. A folder that cannot be read goes to `problem`.
/// Throws `notFound` when neither snapshot holds the path, `interrupted`, or what `each` throws.
package func compareSnapshots(
    _ before: SnapshotContents, _ after: SnapshotContents, at path: RawPath? = nil, _ source: any ChunkSource,
    _ progress: Progress, problem: (FileProblem) -> Void, each: (Difference) throws(ArchiveError) -> Void
) throws(ArchiveError) {
    let scratch = try ChunkScratch()
    let components = path?.components ?? []
    guard let name = components.last else {
        let comparison = TreeComparison(before.root, after.root, path: "/", source, scratch)
        return try comparison.run(progress, problem, each)
    }
    // The entry itself, then what is below: a tree of that one entry on each side.
    let base = RawPath(bytes: components.dropLast().flatMap { [0x2f] + $0.bytes })
    let full = base.bytes + [0x2f] + name.bytes
    let a = try findEntry(at: RawPath(bytes: full), in: before.root, source, scratch)
    let b = try findEntry(at: RawPath(bytes: full), in: after.root, source, scratch)
    guard a != nil || b != nil else {
        throw ArchiveError(.notFound, "compare", "neither snapshot holds this path", path: RawPath(bytes: full))
    }
    let comparison = TreeComparison(.empty, .empty, path: base, source, scratch)
    try comparison.compare(a, b, each)
    try comparison.run(progress, problem, each)
}

/// Two trees read side by side.
final class TreeComparison {
    private let before: TreeCursor
    private let after: TreeCursor
    /// For each open folder: which sides have it.
    private var sides: [(before: Bool, after: Bool)] = [(true, true)]

    init(_ before: KeyList, _ after: KeyList, path: RawPath, _ source: any ChunkSource, _ scratch: ChunkScratch) {
        self.before = TreeCursor(before, path: path, source, scratch)
        self.after = TreeCursor(after, path: path, source, scratch)
    }

    /// Compares all that is left of the open folders.
    func run(
        _ progress: Progress, _ problem: (FileProblem) -> Void, _ each: (Difference) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        while !sides.isEmpty {
            if progress.isStopping { throw interrupted("compare") }
            let pair: (TreeEntry?, TreeEntry?)?
            do { pair = try nextPair() } catch {
                let folder = sides.last?.before == true ? before.folder : after.folder
                problem(FileProblem(path: folder, operation: "list", reason: error.message))
                progress.problems.add(1, ordering: .relaxed)
                ascend()
                continue
            }
            guard let pair else {
                ascend()
                continue
            }
            try compare(pair.0, pair.1, each)
        }
    }

    private func ascend() {
        guard let left = sides.popLast() else { return }
        if left.before { before.ascend() }
        if left.after { after.ascend() }
    }

    /// The next entries of one name that are not the same in all bytes; nil at the folder's end.
    private func nextPair() throws(ArchiveError) -> (TreeEntry?, TreeEntry?)? {
        guard let side = sides.last else { return nil }
        while true {
            let a = side.before ? try before.next() : nil
            let b = side.after ? try after.next() : nil
            switch (a, b) {
            case (nil, nil): return nil
            case (let a?, nil): return (try decodeEntry(a), nil)
            case (nil, let b?): return (nil, try decodeEntry(b))
            case (let a?, let b?):
                let order = compareNames(a.name, b.name)
                if order < 0 {
                    let entry = try decodeEntry(a)
                    after.putBack()
                    return (entry, nil)
                }
                if order > 0 {
                    let entry = try decodeEntry(b)
                    before.putBack()
                    return (nil, entry)
                }
                if a.encoded.elementsEqual(b.encoded) { continue }
                return (try decodeEntry(a), try decodeEntry(b))
            }
        }
    }

    /// Reports how two entries of one name differ, and opens them where they are folders.
    func compare(_ a: TreeEntry?, _ b: TreeEntry?, _ each: (Difference) throws(ArchiveError) -> Void) throws(ArchiveError) {
        guard let name = a?.name ?? b?.name else { return }
        if let kind = differenceKind(a, b) {
            let path = sides.last?.before == true ? before.path(of: name) : after.path(of: name)
            try each(
                Difference(
                    kind: kind, path: path, sizeBefore: Int(clamping: a?.size ?? 0), sizeAfter: Int(clamping: b?.size ?? 0)))
        }
        let treeBefore = a.flatMap(subtree)
        let treeAfter = b.flatMap(subtree)
        guard treeBefore != treeAfter else { return }
        if let treeBefore { before.descend(name.bytes, treeBefore) }
        if let treeAfter { after.descend(name.bytes, treeAfter) }
        sides.append((treeBefore != nil, treeAfter != nil))
    }
}

/// A folder's tree; nil for anything else.
private func subtree(_ entry: TreeEntry) -> KeyList? {
    guard entry.type == .directory, case .stored(let keys) = entry.content else { return nil }
    return keys
}

/// How two entries differ by themselves; nil when they do not.
func differenceKind(_ a: TreeEntry?, _ b: TreeEntry?) -> Difference.Kind? {
    guard let a else { return b == nil ? nil : .added }
    guard let b else { return .removed }
    if a.type != b.type { return .type }
    if a.type != .directory {
        if a.content != b.content || a.size != b.size || a.extents != b.extents || a.deviceNumber != b.deviceNumber {
            return .content
        }
        if a.modified != b.modified { return .metadata }
    }
    return a.mode != b.mode || a.uid != b.uid || a.gid != b.gid || a.attributes != b.attributes ? .metadata : nil
}
