internal import BackupFormat
internal import Ledger

/// Walks everything that snapshots need: every chunk of every tree, list and file.
///
/// Trees are walked depth first, so that what is held grows neither with the number of folders nor with their depth, but for
/// some bytes a level. Subtrees that were walked lately are not walked again, so that snapshots that share most of their
/// trees cost little more than one. Forgetting which were walked costs time, never correctness.
final class Reachability {
    /// A folder that the walk is in.
    private struct Level {
        var keys: KeyListCursor
        /// The chunk of entries that is being read, and where in it the next one starts.
        var key: ChunkKey?
        var offset = 0
        /// Its plaintext; given up while the walk is far below.
        var chunk: MemoChunk?
        /// Length of the folder's path, in bytes.
        let pathBytes: Int
    }

    private let source: any ChunkSource
    private let scratch: ChunkScratch
    private let progress: Progress
    /// A direct-mapped memory of tree chunks that were walked to their end. It grows with their number: most walks of a small archive are
    /// over before so much memory was zeroed.
    private var walked = [Bytes32](repeating: .zero, count: Reachability.walkedCountMin)
    private var walkedAdded = 0
    private var levels: [Level] = []
    private var path: [UInt8] = []
    private var heldBytes = 0

    private static let walkedCountMin = 1 << 9
    private static let walkedCountMax = 1 << 17
    private static let heldBytesMax = 8 << 20

    init(source: any ChunkSource, progress: Progress) throws(ArchiveError) {
        self.source = source
        self.progress = progress
        scratch = try ChunkScratch()
    }

    /// Told of each chunk's key.
    typealias Visit = (ChunkKey) throws(ArchiveError) -> Void
    /// Told of each chunk's key and the path that needs it; false to pass over what lies behind it.
    typealias VisitPath = (ChunkKey, RawPath) throws(ArchiveError) -> Bool

    /// Visits all chunks below a tree.
    func visit(tree: KeyList, _ visit: Visit) throws(ArchiveError) {
        try walk(tree, tellsPaths: false, unreadable: { _ in }) { (key, _) throws(ArchiveError) in
            try visit(key)
            return true
        }
    }

    /// Visits a stream's chunks, and the lists that name them.
    func visit(stream: KeyList, _ visit: Visit) throws(ArchiveError) {
        try self.visit(stream, "") { (key, _) throws(ArchiveError) in
            try visit(key)
            return true
        }
    }

    /// Visits all chunks below a tree with the path that needs each, skipping nothing but what lies behind a chunk that
    /// `visit` answers false for, or that cannot be read: `unreadable` is told of that path.
    func visitPaths(tree: KeyList, unreadable: (RawPath) -> Void, _ visit: VisitPath) throws(ArchiveError) {
        try walk(tree, tellsPaths: true, unreadable: unreadable, visit)
    }

    /// Without `tellsPaths` nothing may be lost, and what was walked is remembered.
    private func walk(
        _ tree: KeyList, tellsPaths: Bool, unreadable: (RawPath) -> Void, _ visit: VisitPath
    ) throws(ArchiveError) {
        levels = [Level(keys: KeyListCursor(tree), pathBytes: 0)]
        path = []
        heldBytes = 0
        while let level = levels.indices.last {
            if progress.isStopping { throw ArchiveError(.interrupted, "walk the snapshots", "stopped on request") }
            do throws(ArchiveError) {
                guard let view = try nextEntry(level, remembers: !tellsPaths, visit) else {
                    levels.removeLast()
                    path.removeSubrange((levels.last?.pathBytes ?? 0)...)
                    continue
                }
                let list = try storedKeys(view)
                if tellsPaths { path += [0x2f] + Array(view.name) }
                if view.type == .directory, list != .empty {
                    levels.append(Level(keys: KeyListCursor(list), pathBytes: path.count))
                    if heldBytes > Reachability.heldBytesMax { releaseAbove() }
                    continue
                }
                try self.visit(list, folder, visit)
            } catch {
                guard tellsPaths, error.code == .damaged else { throw error }
                unreadable(folder)
            }
            path.removeSubrange(levels[level].pathBytes...)
        }
    }

    private var folder: RawPath { path.isEmpty ? "/" : RawPath(bytes: path) }

    /// The next entry of a folder. Valid until the next call.
    private func nextEntry(_ level: Int, remembers: Bool, _ visit: VisitPath) throws(ArchiveError) -> TreeEntryView? {
        while true {
            if let chunk = levels[level].chunk {
                if levels[level].offset < chunk.bytes.count {
                    var reader = ByteReader(UnsafeRawBufferPointer(rebasing: chunk.bytes[levels[level].offset...]), "tree")
                    guard let view = try? TreeEntryView(parsing: &reader) else {
                        leaveChunk(level)
                        throw ArchiveError(.damaged, "read a folder's entries", "the backup that wrote it was faulty")
                    }
                    levels[level].offset += view.encoded.count
                    return view
                }
                if remembers, let key = levels[level].key { remember(key.value) }
                leaveChunk(level)
            } else if let key = levels[level].key {
                do { hold(MemoChunk(Array(try source.read(key, scratch))), level) } catch {
                    leaveChunk(level)
                    throw error
                }
            } else {
                guard let key = try nextKey(&levels[level].keys, folder, visit) else { return nil }
                let isKnown = remembers && walked[slot(key.value)] == key.value
                if try visit(key, folder), !isKnown { levels[level].key = key }
            }
        }
    }

    private func storedKeys(_ view: TreeEntryView) throws(ArchiveError) -> KeyList {
        do { return try view.storedKeys() ?? .empty } catch {
            throw ArchiveError(.damaged, "read a folder's entries", "\(error)")
        }
    }

    private func slot(_ key: Bytes32) -> Int { Int(truncatingIfNeeded: key.words.0) & (walked.count - 1) }

    private func remember(_ key: Bytes32) {
        walked[slot(key)] = key
        walkedAdded += 1
        guard walkedAdded > walked.count / 4, walked.count < Reachability.walkedCountMax else { return }
        let before = walked
        walked = Array(repeating: .zero, count: min(before.count * 8, Reachability.walkedCountMax))
        for key in before where key != .zero { walked[slot(key)] = key }
    }

    private func visit(_ list: KeyList, _ path: RawPath, _ visit: VisitPath) throws(ArchiveError) {
        var keys = KeyListCursor(list)
        while let key = try nextKey(&keys, path, visit) { _ = try visit(key, path) }
    }

    private func nextKey(
        _ cursor: inout KeyListCursor, _ path: RawPath, _ visit: VisitPath
    ) throws(ArchiveError) -> ChunkKey? {
        try cursor.next { (list) throws(ArchiveError) in
            guard try visit(list, path) else { throw ArchiveError(.damaged, "read a list of chunks", "it is missing") }
            return Array(try source.read(list, scratch))
        }
    }

    // MARK: Memory

    private func hold(_ chunk: MemoChunk, _ level: Int) {
        levels[level].chunk = chunk
        heldBytes += chunk.bytes.count
    }

    private func letGo(_ level: Int) {
        heldBytes -= levels[level].chunk?.bytes.count ?? 0
        levels[level].chunk = nil
    }

    private func leaveChunk(_ level: Int) {
        letGo(level)
        levels[level].key = nil
        levels[level].offset = 0
    }

    /// Gives up the chunks of all folders above; they are read once more when the walk comes back.
    private func releaseAbove() { for level in levels.indices.dropLast() { letGo(level) } }
}
