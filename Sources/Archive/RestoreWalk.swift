internal import BackupFormat
internal import HostFiles

/// The one thread of a restore that reads the trees: it makes the folders, and gives the workers what is to go into them.
final class RestoreWalk {
    /// A folder that the walk is in.
    private struct Level {
        let directory: RestoreDirectory
        /// What of it is to be restored, and what of it was backed up.
        let wanted: PathSelection
        let backedUp: PathSelection
    }

    private let run: RestoreRun
    private let scratch: ChunkScratch
    private let cursor: TreeCursor
    private var levels: [Level]
    private var batch: RestoreBatch?
    private let rootTree: KeyList

    /// Folders deeper than this keep only every so many of the folders above them open.
    private static let openLevels = 64

    init(_ run: RestoreRun, _ contents: SnapshotContents, _ root: RestoreDirectory) throws(ArchiveError) {
        self.run = run
        scratch = try ChunkScratch()
        rootTree = contents.root
        cursor = TreeCursor(contents.root, path: "/", run.source, scratch)
        let wanted = run.request.paths.isEmpty ? PathSelection.everything : PathSelection(run.request.paths)
        levels = [Level(directory: root, wanted: wanted, backedUp: PathSelection(contents.paths))]
    }

    /// Walks until the end or until the run stops; then waits for no one.
    func walk() {
        if let level = levels.first { deleteExtraneous(level, rootTree) }
        while let level = levels.last, !run.isStopping {
            let view: TreeEntryView?
            do { view = try cursor.next() } catch {
                if error.code == .interrupted || error.code == .storage { run.fail(error) }
                run.report(level.directory.path, "list", "some of what was in the folder is lost: \(error.message)")
                continue
            }
            guard let view else {
                leave()
                continue
            }
            guard let wanted = level.wanted.child(view.name) else { continue }
            do { try take(view, wanted, level) } catch {
                run.report(level.directory.path(of: RawPath(bytes: Array(view.name))), error)
            }
        }
        while !levels.isEmpty { leave() }
    }

    private func take(_ view: TreeEntryView, _ wanted: PathSelection, _ level: Level) throws(RestoreFailure) {
        if view.name.elementsEqual(RestoreStaging.name.bytes), level.directory.isStagingHost {
            throw .entry(operation: "write", reason: "this name is kept for unfinished files of a restore; left out")
        }
        if view.type == .directory {
            flush()
            let backedUp = level.backedUp.child(view.name) ?? PathSelection([])
            return try enter(try decode(view), wanted, backedUp, level)
        }
        if view.type == .file, try isLarge(view) {
            let entry = try decode(view)
            guard case .stored(let keys) = entry.content else { return }
            flush()
            let file = try RestoreFile(entry, keys, in: level.directory, run.source)
            level.directory.retain()
            return run.scheduler.push(.file(file))
        }
        if batch == nil {
            batch = RestoreBatch(level.directory)
            level.directory.retain()
        }
        batch?.append(view)
        if batch?.isFull == true { flush() }
    }

    private func decode(_ view: TreeEntryView) throws(RestoreFailure) -> TreeEntry {
        do { return try decodeEntry(view) } catch { throw RestoreFailure(error) }
    }

    private func isLarge(_ view: TreeEntryView) throws(RestoreFailure) -> Bool {
        // Shorter than the shortest of several chunks; no need to look at its keys.
        if view.size <= UInt64(Limits.chunkBytesMin) { return false }
        do throws(FormatError) {
            guard let keys = try view.storedKeys() else { return false }
            return keys.keys.count > 1 || keys.levels > 0
        } catch {
            throw .entry(operation: "read a folder", reason: "\(error)")
        }
    }

    private func flush() {
        if let batch { run.scheduler.push(.batch(batch)) }
        batch = nil
    }

    // MARK: Folders

    private func enter(
        _ entry: TreeEntry, _ wanted: PathSelection, _ backedUp: PathSelection, _ level: Level
    ) throws(RestoreFailure) {
        let place = RestorePlace(run)
        guard let directory = try place.folder(entry, in: level.directory, isWanted: wanted.isWhole && backedUp.isWhole) else {
            return
        }
        if wanted.isWhole { run.directories.add(1, ordering: .relaxed) }
        run.progress.directories.add(1, ordering: .relaxed)
        let next = Level(directory: directory, wanted: wanted, backedUp: backedUp)
        guard case .stored(let keys) = entry.content else {
            run.report(directory.path, "list", "the snapshot does not hold what was in this folder; it could not be read then")
            return directory.release(run)
        }
        if !entry.marks.contains(.incomplete) { deleteExtraneous(next, keys) }
        if keys == .empty { return directory.release(run) }
        cursor.descend(entry.name.bytes, keys)
        levels.append(next)
        // Folders far above give up their descriptors, but for some to begin from when the walk comes back.
        let far = levels.count - 1 - RestoreWalk.openLevels
        if far > 0, far % RestoreWalk.openLevels != 0 { levels[far].directory.close() }
    }

    private func leave() {
        flush()
        cursor.ascend()
        levels.popLast()?.directory.release(run)
    }

    private func deleteExtraneous(_ level: Level, _ tree: KeyList) {
        guard run.request.deleteExtraneous, level.wanted.isWhole, level.backedUp.isWhole, !level.directory.isNew,
            !level.directory.isMissing, !run.isOurs(level.directory.status)
        else { return }
        do {
            try RestoreDeletion(run).deleteExtraneous(in: level.directory, tree, scratch)
        } catch {
            run.report(level.directory.path, error)
        }
    }
}
