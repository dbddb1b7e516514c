package import BackupFormat

/// A path as it was in some snapshots.
package struct PathVersion: Sendable {
    package var entry: TreeEntry
    /// Versions of the same number hold the same bytes (a folder: the same entries, in all that is kept of them). Counted from 1, by age.
    package var content: Int
    /// Those that hold it so, the oldest first.
    package var snapshots: [SnapshotSummary]
}

/// What a path was in each of `snapshots`, in order of its first appearance. Folders that did not change from one snapshot to the next are
/// looked into once.
///
/// A snapshot that cannot be read goes to `problem`. Throws `notFound` when none holds the path, or `interrupted`.
func pathVersions(
    of path: RawPath, in snapshots: [(summary: SnapshotSummary, root: KeyList)], _ source: any ChunkSource, _ progress: Progress,
    problem: (FileProblem) -> Void
) throws(ArchiveError) -> [PathVersion] {
    let scratch = try ChunkScratch()
    let components = path.components
    guard !components.isEmpty else {
        throw ArchiveError(.usage, "versions", "the root folder has no versions: name a file or folder", path: path)
    }
    /// What was found last on each level: in which tree, and what.
    var found: [(tree: KeyList, entry: TreeEntry?)] = []
    func entry(in root: KeyList) throws(ArchiveError) -> TreeEntry? {
        var tree = root
        for (level, component) in components.enumerated() {
            if level >= found.count || found[level].tree != tree {
                found.removeSubrange(min(level, found.count)...)
                found.append((tree, try findEntry(named: component, in: tree, source, scratch)))
            }
            guard let entry = found[level].entry else { return nil }
            if level == components.count - 1 { return entry }
            guard entry.type == .directory, case .stored(let keys) = entry.content else { return nil }
            tree = keys
        }
        return nil
    }
    var versions: [PathVersion] = []
    var contents = 0
    for (summary, root) in snapshots {
        if progress.isStopping { throw interrupted("versions") }
        let present: TreeEntry?
        do { present = try entry(in: root) } catch {
            if error.code == .interrupted { throw error }
            found = []
            progress.problems.add(1, ordering: .relaxed)
            problem(FileProblem(path: path, operation: "look into snapshot \(summary.id.hex.prefix(8))", reason: error.message))
            continue
        }
        guard let present else { continue }
        if let index = versions.firstIndex(where: { isSameVersion($0.entry, present) }) {
            versions[index].snapshots.append(summary)
            continue
        }
        let sameBytes = versions.first { $0.entry.type == present.type && hasSameContent($0.entry, present) }
        if sameBytes == nil { contents += 1 }
        versions.append(PathVersion(entry: present, content: sameBytes?.content ?? contents, snapshots: [summary]))
    }
    if versions.isEmpty, progress.problems.load(ordering: .relaxed) == 0 {
        throw ArchiveError(
            .notFound, "versions", "no snapshot holds this path; `find` looks for a path by parts of its name", path: path)
    }
    return versions
}

private func hasSameContent(_ a: TreeEntry, _ b: TreeEntry) -> Bool {
    a.content == b.content && a.size == b.size && a.extents == b.extents && a.deviceNumber == b.deviceNumber
}

/// All but what says where it lay, and when its inode changed.
private func isSameVersion(_ a: TreeEntry, _ b: TreeEntry) -> Bool {
    a.type == b.type && a.modified == b.modified && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid
        && a.attributes == b.attributes && hasSameContent(a, b)
}

extension ArchiveStore {
    /// See ``pathVersions(of:in:_:_:problem:)``.
    package func versions(
        of path: RawPath, in snapshots: [SnapshotSummary], progress: Progress, problem: (FileProblem) -> Void
    ) throws(ArchiveError) -> [PathVersion] {
        var roots: [(summary: SnapshotSummary, root: KeyList)] = []
        for summary in snapshots {
            // One that was forgotten or damaged since the list was made has no versions to show.
            guard let (_, contents) = try openSnapshot(summary.id) else { continue }
            roots.append((summary, contents.root))
        }
        return try pathVersions(of: path, in: roots, chunkSource(), progress, problem: problem)
    }
}
