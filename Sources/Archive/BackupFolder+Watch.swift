internal import BackupFormat
internal import HostFiles

extension BackupFolder {
    /// Whether a folder in this one stays as the memo has it, with all below: a watch saw no change there, and it looks as it did.
    func isQuiet(
        _ status: FileStatus, _ view: TreeEntryView?, _ wanted: PathSelection, _ place: WatchPlace
    ) -> Bool {
        guard let watch = run.watch, watch.takesOver, case .quiet = place, let view, view.type == .directory else { return false }
        return wanted.isWhole && isUnchanged(view, status)
    }

    /// Where a folder in this one stands. One that took the place of another is new, whatever is told.
    func place(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?
    ) -> WatchPlace {
        if case .unwatched = place { return .unwatched }
        guard let view, view.type == .directory, view.inode == status.inode else { return .new }
        return place.child(name)
    }

    func noteMemoTrouble() {
        run.noteMemoTrouble()
        run.watch?.doubt("a folder of the last snapshot cannot be read")
    }

    /// Notes what an entry that is there says of the watch.
    func noteFound(_ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?) {
        guard let watch = run.watch else { return }
        let isChanged = view.map { !isUnchanged($0, status) } ?? true
        watch.found(view, status, isChanged: isChanged)
        guard isChanged, selection.isWhole, !place.isTold else { return }
        // Who writes to a file under another of its names is told of there alone.
        if status.type != .directory, status.linkCount > 1 || (view?.linkCount ?? 1) > 1 { return }
        if status.type != .directory { return watch.noteUntold(path) }
        // What changes a folder is told of as in that folder.
        if view == nil { return watch.noteUntold(path) }
        if !place.child(name).isTold { watch.noteUntold(path(of: name)) }
    }

    /// Takes out of the counts what the memo has and is not there any more.
    func noteGone(_ worker: BackupWorker) throws(ArchiveError) {
        guard let watch = run.watch, let gone = cursor?.takeGone() else { return }
        if gone.isIncomplete { watch.doubt("much was removed at once") }
        for encoded in gone.entries {
            guard let entry = decodeEntry(encoded) else { continue }
            try forget(entry, encoded, worker)
        }
        if !gone.entries.isEmpty, selection.isWhole, !place.isTold { watch.noteUntold(path) }
    }

    /// Takes a folder that does not stay one out of the counts, with all below.
    func noteDropped(_ view: TreeEntryView?, _ worker: BackupWorker) throws(ArchiveError) {
        guard let watch = run.watch, watch.takesOver, let view, view.type == .directory, let tree = try? view.storedKeys() else {
            return
        }
        try forgetAll(below: tree, worker)
    }

    private func forget(_ entry: TreeEntry, _ encoded: [UInt8], _ worker: BackupWorker) throws(ArchiveError) {
        encoded.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, "tree entry")
            guard let view = try? TreeEntryView(parsing: &reader) else { return }
            run.watch?.replace(view)
            run.watch?.gone(view)
        }
        if entry.type == .directory, case .stored(let tree) = entry.content { try forgetAll(below: tree, worker) }
    }

    private func forgetAll(below tree: KeyList, _ worker: BackupWorker) throws(ArchiveError) {
        guard let watch = run.watch, watch.takesOver else { return }
        do throws(ArchiveError) {
            try run.forEachEntry(below: tree, worker) { view in
                watch.replace(view)
                watch.gone(view)
            }
        } catch {
            if error.code == .interrupted { throw error }
            watch.doubt("a folder of the last snapshot cannot be read")
        }
    }
}
