internal import BackupFormat
internal import NameIndex

/// Goes through two trees side by side and tells which paths are in another state in the second, in the order of the name index.
///
/// Folders whose trees have the same keys are never opened.
final class NameChanges {
    private struct Level {
        let hasBefore: Bool
        let hasAfter: Bool
        /// Length of the folder's path with the slash behind it.
        let pathBytes: Int
    }

    private let before: TreeCursor
    private let after: TreeCursor
    private var levels: [Level]
    private var path: [UInt8] = [0x2f]

    init(_ before: KeyList, _ after: KeyList, _ source: any ChunkSource, _ scratch: ChunkScratch) {
        self.before = TreeCursor(before, path: "/", source, scratch)
        self.after = TreeCursor(after, path: "/", source, scratch)
        levels = before == after ? [] : [Level(hasBefore: true, hasAfter: true, pathBytes: 1)]
    }

    /// The folder being read, for messages.
    var folder: RawPath { levels.last.map { RawPath(bytes: Array(path.prefix(max(1, $0.pathBytes - 1)))) } ?? "/" }

    /// Calls `each` for the next entries; false at the end. After an error it goes on behind what could not be read.
    func step(_ each: (UnsafeRawBufferPointer, NameState?) throws(NameIndexError) -> Void) throws -> Bool {
        guard let level = levels.last else { return false }
        var a = level.hasBefore ? try before.next() : nil
        var b = level.hasAfter ? try after.next() : nil
        if let first = a, let second = b {
            let order = compareNames(first.name, second.name)
            if order < 0 {
                after.putBack()
                b = nil
            } else if order > 0 {
                before.putBack()
                a = nil
            } else if first.encoded.elementsEqual(second.encoded) {
                return true
            }
        }
        guard let name = a?.name ?? b?.name else {
            ascend()
            return true
        }
        path.removeSubrange(level.pathBytes...)
        path.append(contentsOf: name)
        let state = b.map(nameState)
        if a.map(nameState) != state { try path.withPathBytes { path throws(NameIndexError) in try each(path, state) } }
        let treeBefore = try a.flatMap(subtree)
        let treeAfter = try b.flatMap(subtree)
        if treeBefore != treeAfter { descend(Array(name), treeBefore, treeAfter) }
        return true
    }

    private func descend(_ name: [UInt8], _ treeBefore: KeyList?, _ treeAfter: KeyList?) {
        if let treeBefore { before.descend(name, treeBefore) }
        if let treeAfter { after.descend(name, treeAfter) }
        path.append(0x2f)
        levels.append(Level(hasBefore: treeBefore != nil, hasAfter: treeAfter != nil, pathBytes: path.count))
    }

    private func ascend() {
        guard let left = levels.popLast() else { return }
        if left.hasBefore { before.ascend() }
        if left.hasAfter { after.ascend() }
    }
}

/// What the index keeps of an entry.
private func nameState(_ entry: TreeEntryView) -> NameState {
    NameState(type: entry.type, size: entry.size, modified: entry.modified)
}

/// A folder's tree; nil for anything else.
private func subtree(_ entry: TreeEntryView) throws -> KeyList? {
    guard entry.type == .directory, let keys = try entry.storedKeys(), keys != .empty else { return nil }
    return keys
}
