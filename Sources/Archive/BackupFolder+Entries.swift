internal import BackupFormat
internal import HostFiles

extension BackupFolder {
    /// Looks at one entry of the folder, and adds to the tree what comes of it.
    ///
    /// `directory` is the folder's path, where there are patterns that ask for it.
    func scanEntry(
        _ name: UnsafeRawBufferPointer, hint: EntryType?, _ directory: RawPath?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        guard let handle else { return }
        guard isValidName(name) else {
            noteIncomplete()
            return run.record(path(of: name), "list", "its name is longer than \(Limits.nameBytesMax) bytes; left out")
        }
        let view = cursor?.find(name) { (key) throws(ArchiveError) in try run.readChunk(key, worker) }
        if run.watch != nil {
            try noteGone(worker)
            if let view { run.watch?.replace(view) }
        }
        if cursor?.skippedMounts.isEmpty == false { try keepSkippedMounts(directory, worker) }
        var inside: PathSelection?
        if let hint {
            inside = wanted(name, hint, directory)
            if inside == nil { return }
        }
        let status: FileStatus
        do throws(HostFilesError) {
            status = try handle.status(of: name)
        } catch {
            return try putLastKnown(name, view, error, worker)
        }
        if hint != status.type { inside = wanted(name, status.type, directory) }
        guard let inside else { return }
        noteFound(name, status, view)
        if status.type != .directory { try noteDropped(view, worker) }
        switch status.type {
        case .directory: try enter(name, status, view, inside, worker)
        case .file: try scanFile(name, status, view, worker)
        default: try scanSpecial(name, status, view, worker)
        }
    }

    /// After the last name: what of the memo is left is not there any more.
    func endNames(_ directory: RawPath?, _ worker: BackupWorker) throws(ArchiveError) {
        guard isListedWhole else { return }
        cursor?.skipRest { (key) throws(ArchiveError) in try run.readChunk(key, worker) }
        try noteGone(worker)
        if cursor?.skippedMounts.isEmpty == false { try keepSkippedMounts(directory, worker) }
    }

    func path(of name: UnsafeRawBufferPointer) -> RawPath { path.appending(RawPath(bytes: Array(name))) }

    /// What of an entry is to be backed up; nil for nothing.
    ///
    /// A pattern leaves out what is meant because of a folder above, and what was named; never the way to what was named.
    func wanted(
        _ name: UnsafeRawBufferPointer, _ type: EntryType, _ directory: RawPath?
    ) -> PathSelection? {
        guard let inside = selection.child(name) else { return nil }
        guard let rules = run.rules, let directory, inside.isWhole,
            rules.excludes(directory: directory, name: name, isDirectory: type == .directory)
        else { return inside }
        noteIncomplete()
        return type == .directory ? inside.onlyNamedBelow : nil
    }

    /// Whether this entry, unchanged on disk, can be taken over as the memo has it.
    private func isTakenOver(_ view: TreeEntryView?, _ status: FileStatus, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        guard let view, isUnchanged(view, status), run.isSettled(view.changed) else {
            return false
        }
        return try run.mayReuse(view, worker)
    }

    private func enter(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ wanted: PathSelection,
        _ worker: BackupWorker
    ) throws(ArchiveError) {
        if run.isForbidden(device: status.device, inode: status.inode) { return noteIncomplete() }
        var inside: PathSelection? = wanted
        if run.request.exclusions.oneFileSystem, status.device != self.status.device, wanted.isWhole, !wanted.isNamed {
            inside = wanted.onlyNamedBelow
        }
        guard let inside else {
            try noteDropped(view, worker)
            return try putLeftOut(name, status, worker)
        }
        let place = place(name, status, view)
        if let view, isQuiet(status, view, inside, place) {
            run.watch?.keepFolder()
            return try putUnchanged(view, status, worker)
        }
        var memo: FolderMemo?
        if let view, view.type == .directory, let tree = try? view.storedKeys() {
            memo = FolderMemo(range: rangeInMemo(view), encoded: Array(view.encoded), tree: tree)
        }
        let folder = BackupFolder(
            run: run, parent: self, slot: slots.reserve(), name: RawPath(bytes: Array(name)), status: status, memo: memo,
            selection: inside, place: place, isIncomplete: selection.isWhole && !inside.isWhole)
        retainHandle()
        run.scheduler.push(folder)
    }

    /// With `--one-file-system`: the folder on which another one is mounted, without what is in that.
    private func putLeftOut(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ worker: BackupWorker
    ) throws(ArchiveError) {
        var entry = run.entry(name: RawPath(bytes: Array(name)), status: status, content: .stored(.empty))
        entry.marks = [.incomplete, .mountPoint]
        if let handle {
            run.addAttributes(to: &entry, last: nil, of: path(of: name)) { () throws(HostFilesError) in
                try handle.extendedAttributes(of: name)
            }
        }
        try put(.encoded(encode(entry)), worker)
    }

    private func scanFile(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        if let limit = run.request.exclusions.largerThanBytes, status.size > UInt64(limit) { return noteIncomplete() }
        run.progress.files.add(1, ordering: .relaxed)
        if let view, try isTakenOver(view, status, worker) {
            run.progress.bytes.add(Int(clamping: status.size), ordering: .relaxed)
            run.unchangedFiles.add(1, ordering: .relaxed)
            return try putUnchanged(view, status, worker)
        }
        if run.request.dryRun {
            run.progress.bytes.add(Int(clamping: status.size), ordering: .relaxed)
            run.writerShared.newBytes.add(Int(clamping: status.size), ordering: .relaxed)
            return
        }
        if let known = run.linkedFiles.entry(name, status) {
            run.progress.bytes.add(Int(clamping: status.size), ordering: .relaxed)
            return try put(.encoded(known), worker)
        }
        if status.size <= UInt64(Limits.chunkBytesMin), !status.mayBeSparse {
            let value: SlotValue?
            do throws(SmallFileError) {
                value = try worker.backUpSmallFile(name, status, last: view, in: self)
            } catch {
                switch error {
                case .file(let error): return try putLastKnown(name, view, error, worker)
                case .archive(let error): throw error
                }
            }
            if let value { return try put(value, worker) }
        }
        let last = view.map { Array($0.encoded) }
        let identity = status.linkCount > 1 ? FileIdentity(device: status.device, inode: status.inode) : nil
        let file = BackupFile(self, slots.reserve(), RawPath(bytes: Array(name)), identity, last: last)
        retainHandle()
        if let identity, !run.linkedFiles.begin(file, identity) { return }
        run.scheduler.push(file)
    }

    private func scanSpecial(
        _ name: UnsafeRawBufferPointer, _ status: FileStatus, _ view: TreeEntryView?, _ worker: BackupWorker
    ) throws(ArchiveError) {
        run.progress.files.add(1, ordering: .relaxed)
        if let view, try isTakenOver(view, status, worker) {
            run.unchangedFiles.add(1, ordering: .relaxed)
            return try putUnchanged(view, status, worker)
        }
        guard let handle else { return }
        var entry = run.entry(name: RawPath(bytes: Array(name)), status: status, content: .none)
        do throws(HostFilesError) {
            if status.type == .symlink { entry.content = .inline(try handle.readLink(name)) }
        } catch {
            return try putLastKnown(name, view, error, worker)
        }
        run.addAttributes(to: &entry, last: try? view?.entry(), of: path(of: name)) { () throws(HostFilesError) in
            try handle.extendedAttributes(of: name)
        }
        try put(.encoded(encode(entry)), worker)
    }

    /// For what can't be read: its last known state, marked, if there is one. The problem is recorded.
    func putLastKnown(
        _ name: UnsafeRawBufferPointer, _ view: TreeEntryView?, _ error: HostFilesError, _ worker: BackupWorker
    ) throws(ArchiveError) {
        // What was asked for by name and is not there is as likely away as deleted.
        let isKept = error.code != .notFound || selection.leads(to: name)
        try put(lastKnown(view, path(of: name), error, isKept: isKept, worker), worker)
    }

    /// The same for an entry whose slot waits. Without `isKept` it is left out, as it vanished.
    func lastKnown(
        _ view: TreeEntryView?, _ path: RawPath, _ error: HostFilesError, isKept: Bool, _ worker: BackupWorker
    ) throws(ArchiveError) -> SlotValue {
        if !isKept {
            run.record(path, error.operation, "it vanished during the backup")
            return .omitted
        }
        noteIncomplete()
        if let view, var entry = try? view.entry(), try run.mayReuse(view, worker) {
            run.record(path, error.operation, error.cause + "; its last known content is kept")
            entry.marks.insert(.incomplete)
            return .encoded(encode(entry))
        }
        run.record(path, error.operation, error.cause)
        return .omitted
    }
}

extension HostFilesError {
    /// Why, in words, without what was done and on what.
    var cause: String {
        if detail.isEmpty { return reason }
        return errno == 0 ? detail : "\(reason): \(detail)"
    }
}

/// Whether the memo's entry describes what `statx` says now: the same size, times, inode, mode and owner.
///
/// The marks of a folder are not looked at: they say of what is in it.
func isUnchanged(_ view: TreeEntryView, _ status: FileStatus) -> Bool {
    #if MUTANTS
        if Mutant.trustSizes.isOn, view.type == .file, status.type == .file { return view.size == status.size }
    #endif
    return view.inode == status.inode && view.changed == status.changed && view.modified == status.modified
        && view.type == status.type
        && (view.type == .directory || view.size == status.size) && view.mode == status.permissions
        && view.uid == status.uid && view.gid == status.gid
        && (view.marks.isEmpty || view.type == .directory)
}
