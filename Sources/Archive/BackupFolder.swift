internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// The folder's entry in the last backup's tree of its parent.
struct FolderMemo: Sendable {
    /// Where that entry stands in the parent's memo, if that is one chunk.
    let range: Range<Int>?
    let encoded: [UInt8]
    let tree: KeyList
}

/// One folder on its way into a tree: scanned by one worker at a time, completed by whoever finishes its last entry.
///
/// While everything is as the memo says nothing is encoded: an unchanged folder keeps its tree. At the first difference
/// the entries so far are copied from the memo, and a new tree is built.
final class BackupFolder: @unchecked Sendable {
    // SAFETY: the fields of the scan belong to the worker that the scheduler gave the folder to; those of the result to the
    // one that ``BackupSlots`` lets drain. Both are handed over under locks.
    let run: BackupRun
    private(set) var parent: BackupFolder?
    /// Where the result goes in `parent`.
    let slot: Int
    let name: RawPath
    let memo: FolderMemo?
    /// What of it is to be backed up.
    let selection: PathSelection
    /// What a watch says of it.
    let place: WatchPlace
    let slots = BackupSlots()
    /// Something that is in it stays out of the snapshot.
    private let isIncomplete: Atomic<Bool>
    /// The scan, and those folders and files inside that are still to be opened by way of ``handle``.
    private let handleUses = Atomic<Int>(1)

    // The scan.
    private(set) var status: FileStatus
    private(set) var handle: DirectoryHandle?
    private var names: FolderNames?
    var cursor: MemoCursor?
    private var attributes: [ExtendedAttribute]?
    /// All of it is listed, so that what the memo has besides is not there any more.
    private(set) var isListedWhole = false

    // The result.
    private var builder: TreeBuilder?
    /// Bytes of the memo's chunk that the entries so far equal.
    private var sameBytes = 0
    /// The memo's only chunk; nil when there is no memo, or it has several. Set before the first entry.
    private(set) var memoChunk: MemoChunk?
    /// Set when the folder could not be listed: its last known tree stands.
    private var keepsMemo = false

    init(
        run: BackupRun, parent: BackupFolder?, slot: Int, name: RawPath, status: FileStatus, memo: FolderMemo?,
        selection: PathSelection, place: WatchPlace, isIncomplete: Bool = false
    ) {
        self.run = run
        self.parent = parent
        self.slot = slot
        self.name = name
        self.status = status
        self.memo = memo
        self.selection = selection
        self.place = place
        self.isIncomplete = Atomic(isIncomplete)
    }

    deinit {
        // One after the other: each released from within the last, those above in a deep walk would overflow the stack.
        var above = parent
        parent = nil
        while above != nil, isKnownUniquelyReferenced(&above) {
            let next = above?.parent
            above?.parent = nil
            above = next
        }
    }

    /// Made anew each time: kept in every folder on the way down, paths would take memory by the square of the depth.
    var path: RawPath {
        var names: [RawPath] = []
        var folder = self
        while let parent = folder.parent {
            names.append(folder.name)
            folder = parent
        }
        return names.isEmpty ? folder.name : RawPath(bytes: names.reversed().flatMap { [0x2f] + $0.bytes })
    }

    /// Notes that something which is in the folder will not be in the snapshot: a restore must not take it for deleted.
    func noteIncomplete() { isIncomplete.store(true, ordering: .relaxed) }

    /// Keeps ``handle`` for one more that will open something by way of it.
    func retainHandle() { handleUses.add(1, ordering: .relaxed) }

    /// Ends one use; with the last, the folder is closed. So, few are open however deep the walk is.
    func releaseHandle() {
        if handleUses.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { handle = nil }
    }

    /// Scans the folder, or goes on with it, and completes it if nothing is left to wait for.
    func scan(_ worker: BackupWorker) throws(ArchiveError) {
        if names == nil, !(try begin(worker)) {
            releaseHandle()
            slots.scanEnded()
            return try BackupFolder.settle(self, worker)
        }
        // Where there are patterns that ask for it.
        let directory = run.rules == nil ? nil : path
        while let entry = try nextName(worker) {
            if run.progress.isStopping { throw ArchiveError(.interrupted, "back up", "stopped on request") }
            try scanEntry(entry.name, hint: entry.type, directory, worker)
            if slots.mustSuspend() { return try BackupFolder.settle(self, worker) }
        }
        try endNames(directory, worker)
        if let names { worker.giveBack(names) }
        names = nil
        if cursor?.failed == true { noteMemoTrouble() }
        cursor = nil
        releaseHandle()
        run.progress.directories.add(1, ordering: .relaxed)
        slots.scanEnded()
        try BackupFolder.settle(self, worker)
    }

    /// Opens the folder; false, with the problem recorded, when it cannot be listed.
    private func begin(_ worker: BackupWorker) throws(ArchiveError) -> Bool {
        do throws(HostFilesError) {
            let handle = try openHandle()
            self.handle = handle
            // To open a folder may mount something on it, which to look at it does not.
            if handle.mountGuard != nil { status = try handle.status() }
            // What the mark of the last backup says may be that they could not be read then.
            if memoStatus(differsFrom: status) || memoView?.marks.contains(.incomplete) == true {
                attributes = readAttributes(handle)
            }
            let names = worker.names()
            self.names = names
            let only = selection.isWhole ? try onlyCacheTag(handle) : selection.names
            try names.read(handle, only: only)
            isListedWhole = only == nil
            if isListedWhole || !selection.isWhole, isLostMount, names.isEmpty || !holdsWhatWasThere(handle, worker) {
                throw BackupFolder.mountIsGone
            }
        } catch {
            if let names { worker.giveBack(names) }
            names = nil
            keepsMemo = memo != nil
            noteIncomplete()
            run.record(path, error.operation, error.cause + (keepsMemo ? "; its last known content is kept" : ""))
            return false
        }
        openMemo(worker)
        return true
    }

    private func openHandle() throws(HostFilesError) -> DirectoryHandle {
        guard let parent else { return try DirectoryHandle.open("/", mounts: run.mounts) }
        defer { parent.releaseHandle() }
        guard let above = parent.handle else { throw HostFilesError(.other, "open the folder") }
        return try name.withBytes { name throws(HostFilesError) in try above.openDirectory(name) }
    }

    /// The folder's own attributes; if they cannot be read, the last known ones, and the problem is recorded.
    private func readAttributes(_ handle: DirectoryHandle) -> [ExtendedAttribute] {
        do throws(HostFilesError) { return try handle.extendedAttributes() } catch {
            noteIncomplete()
            run.record(path, error.operation, error.cause)
            return memoEntry?.attributes ?? []
        }
    }

    /// With `--exclude-caches`, a folder marked as a cache is kept as just its mark, and what was named inside.
    private func onlyCacheTag(_ handle: DirectoryHandle) throws(HostFilesError) -> [RawPath]? {
        guard run.request.exclusions.caches, let file = try? handle.openFile(CacheDirectoryTag.name) else { return nil }
        var start = [UInt8](repeating: 0, count: CacheDirectoryTag.signature.count)
        let result = start.withUnsafeMutableBytes { start in
            Result { () throws(HostFilesError) in try file.read(into: start, at: 0) }
        }
        guard try result.get() == start.count, start == CacheDirectoryTag.signature else { return nil }
        noteIncomplete()
        return Set(selection.names + [CacheDirectoryTag.name]).sorted()
    }

    private func nextName(_ worker: BackupWorker) throws(ArchiveError) -> FolderNames.Name? {
        do throws(HostFilesError) { return try names?.next() } catch {
            throw ArchiveError(.storage, "list a folder", "\(error)", path: path)
        }
    }

    private func openMemo(_ worker: BackupWorker) {
        builder = TreeBuilder()
        guard let memo else { return }
        if memo.tree.levels == 0, memo.tree.keys.count <= 1 {
            let plain = memo.tree.keys.first.map { key in Result { () throws(ArchiveError) in try run.readChunk(key, worker) } }
            switch plain {
            case .failure:
                noteMemoTrouble()
                return
            case .success(let plain): memoChunk = MemoChunk(plain)
            case nil: memoChunk = MemoChunk([])
            }
            cursor = memoChunk.map { MemoCursor(chunk: $0) }
            if !run.verifiesMemo { builder = nil }
        } else {
            cursor = MemoCursor(memo.tree)
        }
        cursor?.keepsGone = run.watch != nil
    }

    var isMountPoint: Bool { parent.map { status.isMountPoint(in: $0.status) } ?? false }

    var memoView: TreeEntryView? {
        memo?.encoded.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, "tree entry")
            // The numbers that are used of it are copies; the bytes stay in `memo`.
            return try? TreeEntryView(parsing: &reader)
        }
    }

    private func memoStatus(differsFrom status: FileStatus) -> Bool {
        guard let view = memoView else { return true }
        return !isUnchanged(view, status) || !run.isSettled(view.changed)
    }

    /// The marks of its entry, once all that is in it is known.
    private var marks: EntryMarks {
        var marks: EntryMarks = isMountPoint ? .mountPoint : []
        if isIncomplete.load(ordering: .relaxed) { marks.insert(.incomplete) }
        return marks
    }

    /// Adds one entry, in order.
    func put(_ value: SlotValue, _ worker: BackupWorker) throws(ArchiveError) {
        if slots.mayApplyNow(orQueue: value) { try apply(value, worker) }
    }

    /// Adds an entry that is as the memo has it.
    func putUnchanged(_ view: TreeEntryView, _ status: FileStatus, _ worker: BackupWorker) throws(ArchiveError) {
        if run.request.dryRun { return }
        if let moved = renumbered(view, status) { return try put(.encoded(moved), worker) }
        if let range = rangeInMemo(view) { return try put(.unchanged(range), worker) }
        if slots.mayApplyNow(orQueue: .encoded(Array(view.encoded))) {
            try builder?.append(view.encoded, name: view.name, run.gear, worker.writer)
        }
    }

    /// Where the entry stands in the memo's chunk, if that is the only one.
    func rangeInMemo(_ view: TreeEntryView) -> Range<Int>? {
        guard let chunk = memoChunk?.bytes.baseAddress, let start = view.encoded.baseAddress else { return nil }
        let offset = start - chunk
        return offset..<offset + view.encoded.count
    }

    private func apply(_ value: SlotValue, _ worker: BackupWorker) throws(ArchiveError) {
        if run.request.dryRun { return }
        switch value {
        case .omitted: break
        case .unchanged(let range):
            if builder == nil {
                if range.lowerBound == sameBytes {
                    sameBytes = range.upperBound
                    return
                }
                try startBuilding(worker)
            }
            guard let chunk = memoChunk else { return }
            try builder?.append(
                encodedRun: UnsafeRawBufferPointer(rebasing: chunk.bytes[range]), run.gear, worker.writer)
        case .encoded(let bytes):
            if builder == nil { try startBuilding(worker) }
            try append(bytes, worker)
        }
    }

    private func append(_ bytes: [UInt8], _ worker: BackupWorker) throws(ArchiveError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(ArchiveError) in try builder?.append(encodedRun: bytes, run.gear, worker.writer) }
        }
        try result.get()
    }

    private func startBuilding(_ worker: BackupWorker) throws(ArchiveError) {
        builder = TreeBuilder()
        guard sameBytes > 0, let chunk = memoChunk else { return }
        try builder?.append(
            encodedRun: UnsafeRawBufferPointer(rebasing: chunk.bytes[..<sameBytes]), run.gear, worker.writer)
    }

    /// Completes the folder if its last entry is in, then those above it that only waited for this.
    static func settle(_ start: BackupFolder, _ worker: BackupWorker) throws(ArchiveError) {
        var folder = start
        while true {
            switch folder.slots.take() {
            case .apply(let values):
                for value in values { try folder.apply(value, worker) }
                folder.slots.applied()
            case .resume: return folder.run.scheduler.push(folder)
            case .nothing: return
            case .end:
                let tree = try folder.closeTree(worker)
                guard let parent = folder.parent else { return folder.run.finish(root: tree) }
                let value = try folder.entry(tree)
                if folder.selection.isNamed, !folder.isAsBefore(value) { folder.run.watch?.noteDifference() }
                parent.slots.resolve(folder.slot, value)
                folder = parent
            }
        }
    }

    /// The finished tree: the memo's if nothing differs.
    private func closeTree(_ worker: BackupWorker) throws(ArchiveError) -> KeyList {
        if run.request.dryRun { return .empty }
        if keepsMemo, let memo {
            if !run.verifiesMemo { return memo.tree }
            if try run.reuseTree(memo.tree, worker) { return memo.tree }
            run.record(path, "keep", "its last known content is no longer stored")
            return .empty
        }
        if builder == nil {
            if let memo, sameBytes == memoChunk?.bytes.count { return memo.tree }
            try startBuilding(worker)
        }
        return try builder?.finish(worker.writer) ?? .empty
    }

    /// This folder's entry in its parent's tree.
    private func entry(_ tree: KeyList) throws(ArchiveError) -> SlotValue {
        if let memo, tree == memo.tree, !keepsMemo, memoView?.marks == marks, !memoStatus(differsFrom: status),
            attributes == nil || attributes == memoEntry?.attributes
        {
            return memo.range.map { .unchanged($0) } ?? .encoded(memo.encoded)
        }
        var entry: TreeEntry
        if keepsMemo, let last = memoEntry {
            entry = last
            entry.marks.insert(.incomplete)
        } else {
            entry = run.entry(name: name, status: status, content: .stored(tree))
            entry.attributes = attributes ?? memoEntry?.attributes ?? []
            entry.marks = marks
        }
        entry.content = .stored(tree)
        return .encoded(encode(entry))
    }

    private func isAsBefore(_ value: SlotValue) -> Bool {
        switch value {
        case .unchanged: true
        case .encoded(let bytes): bytes == memo?.encoded
        case .omitted: memo == nil
        }
    }

    private var memoEntry: TreeEntry? { decodeEntry(memo?.encoded) }
}

/// An entry that is as the memo has it but for the number of its device, which changes from boot to boot: names of one file
/// must agree on it, whether they are taken over or read. Nil where that is the same or does not matter.
func renumbered(_ view: TreeEntryView, _ status: FileStatus) -> [UInt8]? {
    guard view.linkCount > 1, view.device != status.device, var entry = try? view.entry() else { return nil }
    entry.device = status.device
    return encode(entry)
}

/// The entry's bytes, as a tree holds them.
func encode(_ entry: TreeEntry) -> [UInt8] {
    var writer = ByteWriter(capacity: 128)
    entry.encode(into: &writer)
    return writer.bytes
}
