internal import BackupFormat
internal import Ledger

/// Walks everything that snapshots need: every chunk of every tree, list and file.
///
/// Subtrees that were walked lately are not walked again, so that snapshots that share most of their trees cost little
/// more than one. Forgetting which were walked costs time, never correctness.
struct Reachability {
    private let source: any ChunkSource
    private let scratch: ChunkScratch
    /// A direct-mapped memory of tree chunks that were walked to their end.
    private var walked: [Bytes32]
    private let progress: Progress

    private static let walkedCount = 1 << 17

    init(source: any ChunkSource, progress: Progress) throws(ArchiveError) {
        self.source = source
        self.progress = progress
        scratch = try ChunkScratch()
        walked = Array(repeating: .zero, count: Reachability.walkedCount)
    }

    /// Told of each chunk's key.
    typealias Visit = (ChunkKey) throws(ArchiveError) -> Void

    /// Visits all chunks below a tree.
    mutating func visit(tree: KeyList, _ visit: Visit) throws(ArchiveError) {
        // Folders to walk, and, below those inside it, the chunk that is walked once they are.
        enum Step {
            case walk(KeyList)
            case done(ChunkKey)
        }
        var pending = [Step.walk(tree)]
        while let next = pending.popLast() {
            if progress.isStopping { throw ArchiveError(.interrupted, "walk the snapshots", "stopped on request") }
            guard case .walk(let tree) = next else {
                if case .done(let key) = next { walked[slot(key)] = key.value }
                continue
            }
            var keys = KeyListCursor(tree)
            while let key = try nextKey(&keys, visit) {
                try visit(key)
                if walked[slot(key)] == key.value { continue }
                pending.append(.done(key))
                let chunk = MemoChunk(Array(try source.read(key, scratch)))
                var reader = ByteReader(chunk.bytes, "tree")
                while !reader.isAtEnd {
                    let (type, list, _) = try entry(&reader)
                    if type == .directory { pending.append(.walk(list)) } else { try self.visit(stream: list, visit) }
                }
            }
        }
    }

    private func slot(_ key: ChunkKey) -> Int { Int(truncatingIfNeeded: key.value.words.0) & (Reachability.walkedCount - 1) }

    /// Visits a stream's chunks, and the lists that name them.
    func visit(stream: KeyList, _ visit: Visit) throws(ArchiveError) {
        var keys = KeyListCursor(stream)
        while let key = try nextKey(&keys, visit) { try visit(key) }
    }

    private func nextKey(_ cursor: inout KeyListCursor, _ visit: Visit) throws(ArchiveError) -> ChunkKey? {
        try cursor.next { (list) throws(ArchiveError) in
            try visit(list)
            return Array(try source.read(list, scratch))
        }
    }

    /// Visits all chunks below a tree with the path that needs each, skipping nothing but what lies behind a chunk that
    /// `visit` answers false for, or that cannot be read.
    func visitPaths(tree: KeyList, _ visit: (ChunkKey, RawPath) throws(ArchiveError) -> Bool) throws(ArchiveError) {
        var pending: [(tree: KeyList, path: RawPath)] = [(tree, "/")]
        while let (tree, path) = pending.popLast() {
            if progress.isStopping { throw ArchiveError(.interrupted, "walk the snapshots", "stopped on request") }
            try forEachKey(tree, path, visit) { (key) throws(ArchiveError) in
                let chunk = MemoChunk(Array(try source.read(key, scratch)))
                var reader = ByteReader(chunk.bytes, "tree")
                while !reader.isAtEnd {
                    let (type, list, name) = try entry(&reader)
                    let inner = path.appending(name)
                    if type == .directory { pending.append((list, inner)) } else { try forEachKey(list, inner, visit) { _ in } }
                }
            }
        }
    }

    private func forEachKey(
        _ list: KeyList, _ path: RawPath, _ visit: (ChunkKey, RawPath) throws(ArchiveError) -> Bool,
        _ body: (ChunkKey) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        var keys = KeyListCursor(list)
        do throws(ArchiveError) {
            while let key = try keys.next(read: { (key) throws(ArchiveError) in
                guard try visit(key, path) else { throw ArchiveError(.damaged, "read a list of chunks", "it is missing") }
                return Array(try source.read(key, scratch))
            }) {
                if try visit(key, path) { try body(key) }
            }
        } catch {
            if error.code != .damaged { throw error }
        }
    }

    private func entry(_ reader: inout ByteReader) throws(ArchiveError) -> (EntryType, KeyList, RawPath) {
        do throws(FormatError) {
            let view = try TreeEntryView(parsing: &reader)
            return (view.type, try view.storedKeys() ?? .empty, RawPath(bytes: Array(view.name)))
        } catch {
            throw ArchiveError(.damaged, "read a folder's entries", "\(error)")
        }
    }
}
