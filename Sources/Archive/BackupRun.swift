internal import BackupFormat
internal import Chunking
internal import HostFiles
internal import Synchronization

/// What the workers of one backup share: the request, the memo, and what is found on the way.
final class BackupRun: Sendable {
    let request: BackupRequest
    let plan: MemoryPlan
    let progress: Progress
    let scheduler: BackupScheduler
    let writerShared: ChunkWriterShared
    let gear: [UInt64]
    /// Which mounts may hang, as they were at the start.
    let mounts: MountTable?
    let cutter: GearCutter
    let rules: ExclusionRules?
    let unchangedFiles = Atomic<Int>(0)
    let linkedFiles = LinkedFiles()
    /// Where a watch says what has changed.
    let watch: BackupWatch?
    /// Everything taken over from the memo is looked up first: some packs have gone since it was made.
    let verifiesMemo: Bool

    private let source: any ChunkSource
    let scratchDirectory: RawPath
    private let memoTime: Int64
    private let problems: ProblemLog
    private let owners: OwnerCollector
    private let root = Mutex<KeyList?>(nil)
    private let memoTroubled = Atomic<Bool>(false)

    init(
        request: BackupRequest, plan: MemoryPlan, progress: Progress, writerShared: ChunkWriterShared, gear: [UInt64],
        source: any ChunkSource, scratchDirectory: RawPath, memo: SnapshotContents?, verifiesMemo: Bool, watch: BackupWatch?,
        problems: ProblemLog
    ) {
        self.request = request
        self.plan = plan
        self.progress = progress
        self.scheduler = BackupScheduler(plan: plan)
        self.writerShared = writerShared
        self.gear = gear
        do throws(HostFilesError) { mounts = try MountTable.current() } catch {
            mounts = nil
            progress.problems.add(1, ordering: .relaxed)
            problems.add(
                FileProblem(
                    path: error.path ?? "/proc", operation: error.operation,
                    reason: error.cause + "; a network disk that gives no answer would stop this backup"))
        }
        self.cutter = GearCutter(gear: gear)
        let rules = ExclusionRules(request.exclusions.patterns)
        self.rules = rules.isEmpty ? nil : rules
        self.source = source
        self.scratchDirectory = scratchDirectory
        self.verifiesMemo = verifiesMemo
        self.watch = watch
        self.problems = problems
        memoTime = memo?.time ?? .min
        owners = OwnerCollector(users: memo?.users ?? [], groups: memo?.groups ?? [])
    }

    /// A file whose change time is this close to the memo's making may have changed again without a newer time.
    private static let settlingNanoseconds: Int64 = 2_000_000_000

    /// Whether an equal change time proves that nothing changed since the memo was made.
    func isSettled(_ changed: Timestamp) -> Bool {
        let (scaled, overflow) = changed.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow || scaled < memoTime &- BackupRun.settlingNanoseconds
    }

    /// The plaintext of a stored chunk.
    func readChunk(_ key: ChunkKey, _ worker: BackupWorker) throws(ArchiveError) -> [UInt8] {
        Array(try source.read(key, worker.scratch))
    }

    /// Whether an entry of the memo can be taken over, a folder with all below it: false if some of it is no longer stored.
    func mayReuse(_ view: TreeEntryView, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        guard verifiesMemo, let keys = try? view.storedKeys() else { return true }
        return view.type == .directory ? try reuseTree(keys, worker) : try reuse(keys, worker)
    }

    /// The same for a whole tree.
    func reuseTree(_ tree: KeyList, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        guard try reuse(tree, worker) else { return false }
        let cursor = TreeCursor(tree, path: "/", source, worker.scratch)
        while cursor.depth > 0 {
            if progress.isStopping { throw interrupted("back up") }
            let found: (type: EntryType, name: [UInt8], keys: KeyList)?
            do {
                if let view = try cursor.next() {
                    found = (view.type, Array(view.name), try view.storedKeys() ?? .empty)
                } else {
                    found = nil
                }
            } catch {
                try rethrowUnlessLost(error)
                return false
            }
            guard let found else {
                cursor.ascend()
                continue
            }
            guard try reuse(found.keys, worker) else { return false }
            if found.type == .directory, found.keys != .empty { cursor.descend(found.name, found.keys) }
        }
        return true
    }

    /// Calls `body` for every entry of a stored tree and of all trees below it.
    func forEachEntry(
        below tree: KeyList, _ worker: BackupWorker, _ body: (TreeEntryView) -> Void
    ) throws(ArchiveError) {
        let cursor = TreeCursor(tree, path: "/", source, worker.scratch)
        while cursor.depth > 0 {
            if progress.isStopping { throw interrupted("back up") }
            guard let view = try cursor.next() else {
                cursor.ascend()
                continue
            }
            body(view)
            if view.type == .directory, let keys = try? view.storedKeys(), keys != .empty {
                cursor.descend(Array(view.name), keys)
            }
        }
    }

    /// Notes that the chunks of a stream, and the lists that name them, are still needed; false if some are not stored.
    private func reuse(_ list: KeyList, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        var keys = KeyListCursor(list)
        var isComplete = true
        do {
            while let key = try keys.next(read: { (key) throws(ArchiveError) in
                if !(try worker.writer.reuse(key)) { isComplete = false }
                return try self.readChunk(key, worker)
            }) {
                guard isComplete, try worker.writer.reuse(key) else { return false }
            }
        } catch {
            try rethrowUnlessLost(error)
            return false
        }
        return isComplete
    }

    private func rethrowUnlessLost(_ error: any Error) throws(ArchiveError) {
        if let error = error as? ArchiveError, error.code == .interrupted || error.code == .storage { throw error }
    }

    func noteMemoTrouble() { memoTroubled.store(true, ordering: .relaxed) }

    func isForbidden(device: UInt64, inode: UInt64) -> Bool {
        request.forbidden.contains { $0.inode == inode && $0.device == device }
    }

    /// An entry with everything that `statx` tells.
    func entry(name: RawPath, status: FileStatus, content: TreeEntry.Content) -> TreeEntry {
        owners.note(uid: status.uid, gid: status.gid)
        let type = status.type
        var entry = TreeEntry(
            name: name, type: type, mode: status.permissions, uid: status.uid, gid: status.gid,
            modified: status.modified, changed: status.changed, inode: status.inode, device: status.device,
            linkCount: type == .directory ? 1 : max(1, status.linkCount),
            size: type == .directory ? 0 : status.size, content: content)
        if type == .characterDevice || type == .blockDevice { entry.deviceNumber = status.deviceNumber }
        return entry
    }

    func record(_ path: RawPath, _ operation: String, _ reason: String) {
        progress.problems.add(1, ordering: .relaxed)
        problems.add(FileProblem(path: path, operation: operation, reason: reason))
    }

    func finish(root tree: KeyList) {
        root.withLock { $0 = tree }
        scheduler.finish()
    }

    var rootTree: KeyList? { root.withLock { $0 } }
    var ownerNames: (users: [SnapshotContents.OwnerName], groups: [SnapshotContents.OwnerName]) { owners.names() }
}
