internal import BackupFormat
internal import HostFiles

extension BackupFolder {
    /// Looks at one entry of the folder, and adds to the tree what comes of it.
    func scanEntry(_ name: UnsafeRawBufferPointer, hint: EntryType?, _ worker: BackupWorker) throws(ArchiveError) {
        guard isValidName(name), let handle else { return }
        let view = cursor?.find(name) { (key) throws(ArchiveError) in try run.readChunk(key, worker) }
        if let hint, isExcluded(name, hint) { return }
        let status: FileStatus
        do throws(HostFilesError) {
            status = try handle.status(of: name)
        } catch {
            return try putLastKnown(name, view, error, worker)
        }
        if hint == nil, isExcluded(name, status.type) { return }
        switch status.type {
        case .directory: try enter(name, status, view, worker)
        case .file: try scanFile(name, status, view, worker)
        default: try scanSpecial(name, status, view, worker)
        }
    }

    func path(of name: UnsafeRawBufferPointer) -> RawPath { path.appending(RawPath(bytes: Array(name))) }

    private func isExcluded(_ name: UnsafeRawBufferPointer, _ type: EntryType) -> Bool {
        guard let rules = run.rules else { return false }
        return rules.excludes(directory: path, name: name, isDirectory: type == .directory)
    }

    /// Whether this entry, unchanged on disk, can be taken over as the memo has it.
    private func isTakenOver(_ view: TreeEntryView?, _ status: FileStatus, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        guard let view, isUnchanged(view, status), run.isSettled(view.changed) else {
            return false
        }
        return try run.mayReuse(view, worker)
    }

    private func enter(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        if run.isForbidden(device: status.device, inode: status.inode) { return }
        let inside = selection?.child(RawPath(bytes: Array(name)))
        let crosses = status.device != self.status.device
        if crosses, run.request.exclusions.oneFileSystem, selection == nil {
            var entry = run.entry(name: RawPath(bytes: Array(name)), status: status, content: .stored(.empty))
            entry.attributes = (try? handle?.extendedAttributes(of: name)) ?? []
            return try put(.encoded(encode(entry)), worker)
        }
        var memo: FolderMemo?
        if let view, view.type == .directory, let tree = try? view.storedKeys() {
            memo = FolderMemo(
                range: rangeInMemo(view), encoded: Array(view.encoded), tree: tree,
                parentDevice: memoDevice ?? self.status.device)
        }
        let folder = BackupFolder(
            run: run, parent: self, slot: slots.reserve(), name: RawPath(bytes: Array(name)), path: path(of: name),
            status: status,
            memo: memo, selection: inside)
        run.scheduler.push(folder)
    }

    private func scanFile(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        if let limit = run.request.exclusions.largerThanBytes, status.size > UInt64(limit) { return }
        run.progress.files.add(1, ordering: .relaxed)
        if let view, try isTakenOver(view, status, worker) {
            run.progress.bytes.add(Int(clamping: status.size), ordering: .relaxed)
            run.unchangedFiles.add(1, ordering: .relaxed)
            return try putUnchanged(view, worker)
        }
        if run.request.dryRun {
            run.progress.bytes.add(Int(clamping: status.size), ordering: .relaxed)
            run.writerShared.newBytes.add(Int(clamping: status.size), ordering: .relaxed)
            return
        }
        if status.size <= UInt64(Limits.chunkBytesMin), !status.mayBeSparse {
            let value: SlotValue?
            do throws(SmallFileError) {
                value = try worker.backUpSmallFile(name, status, in: self)
            } catch {
                switch error {
                case .file(let error): return try putLastKnown(name, view, error, worker)
                case .archive(let error): throw error
                }
            }
            if let value { return try put(value, worker) }
        }
        let last = view.map { Array($0.encoded) }
        run.scheduler.push(BackupFile(self, slots.reserve(), RawPath(bytes: Array(name)), status, last: last))
    }

    private func scanSpecial(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        run.progress.files.add(1, ordering: .relaxed)
        if let view, try isTakenOver(view, status, worker) {
            run.unchangedFiles.add(1, ordering: .relaxed)
            return try putUnchanged(view, worker)
        }
        guard let handle else { return }
        var entry = run.entry(name: RawPath(bytes: Array(name)), status: status, content: .none)
        do throws(HostFilesError) {
            if status.type == .symlink { entry.content = .inline(try handle.readLink(name)) }
            entry.attributes = try handle.extendedAttributes(of: name)
        } catch {
            return try putLastKnown(name, view, error, worker)
        }
        try put(.encoded(encode(entry)), worker)
    }

    /// For what can't be read: its last known state, marked, if there is one. The problem is recorded.
    func putLastKnown(
        _ name: UnsafeRawBufferPointer, _ view: TreeEntryView?, _ error: HostFilesError, _ worker: BackupWorker
    ) throws(ArchiveError) {
        try put(lastKnown(view, path(of: name), error, worker), worker)
    }

    /// The same for an entry whose slot waits.
    func lastKnown(
        _ view: TreeEntryView?, _ path: RawPath, _ error: HostFilesError, _ worker: BackupWorker
    ) throws(ArchiveError) -> SlotValue {
        if error.code == .notFound {
            run.record(path, error.operation, "it vanished during the backup")
            return .omitted
        }
        if let view, var entry = try? view.entry(), try run.mayReuse(view, worker) {
            run.record(path, error.operation, error.reason + "; its last known content is kept")
            entry.marks.insert(.stale)
            return .encoded(encode(entry))
        }
        run.record(path, error.operation, error.reason)
        return .omitted
    }
}

/// Whether the memo's entry describes what `statx` says now: the same size, times, inode, mode and owner.
func isUnchanged(_ view: TreeEntryView, _ status: FileStatus) -> Bool {
    view.inode == status.inode && view.changed == status.changed && view.modified == status.modified && view.type == status.type
        && (view.type == .directory || view.size == status.size) && view.mode == status.permissions
        && view.uid == status.uid && view.gid == status.gid && view.marks.isEmpty
}
