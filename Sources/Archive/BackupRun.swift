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
        source: any ChunkSource, scratchDirectory: RawPath, memo: SnapshotContents?, verifiesMemo: Bool, problems: ProblemLog
    ) {
        self.request = request
        self.plan = plan
        self.progress = progress
        self.scheduler = BackupScheduler(plan: plan)
        self.writerShared = writerShared
        self.gear = gear
        mounts = try? MountTable.current()
        self.cutter = GearCutter(gear: gear)
        let rules = ExclusionRules(request.exclusions.patterns)
        self.rules = rules.isEmpty ? nil : rules
        self.source = source
        self.scratchDirectory = scratchDirectory
        self.verifiesMemo = verifiesMemo
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

    /// Whether an entry of the memo can be taken over: false if some of its content is no longer stored.
    func mayReuse(_ view: TreeEntryView, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        guard verifiesMemo else { return true }
        guard let keys = try? view.storedKeys() else { return true }
        return try reuse(keys, worker) { _ in true }
    }

    /// The same for a whole tree.
    func reuseTree(_ tree: KeyList, _ worker: BackupWorker) throws(ArchiveError) -> Bool {
        try reuse(tree, worker) { (key) throws(ArchiveError) in
            let chunk = MemoChunk(try self.readChunk(key, worker))
            var entries = ByteReader(chunk.bytes, "tree")
            while !entries.isAtEnd {
                guard let view = try? TreeEntryView(parsing: &entries), let keys = try? view.storedKeys() ?? .empty else {
                    return false
                }
                if view.type == .directory {
                    if !(try self.reuseTree(keys, worker)) { return false }
                } else if !(try self.reuse(keys, worker, { _ in true })) {
                    return false
                }
            }
            return true
        }
    }

    private func reuse(
        _ list: KeyList, _ worker: BackupWorker, _ inside: (ChunkKey) throws(ArchiveError) -> Bool
    ) throws(ArchiveError) -> Bool {
        var keys = KeyListCursor(list)
        var complete = true
        do throws(ArchiveError) {
            while let key = try keys.next(read: { (key) throws(ArchiveError) in
                if !(try worker.writer.reuse(key)) { complete = false }
                return try self.readChunk(key, worker)
            }) {
                guard complete, try worker.writer.reuse(key), try inside(key) else { return false }
            }
        } catch {
            if error.code == .interrupted || error.code == .storage { throw error }
            return false
        }
        return complete
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

/// The problems of one backup: each is reported at once and kept for the snapshot, up to a bound.
final class ProblemLog: Sendable {
    private struct State {
        var encoded: [UInt8] = [0]
        var count = 0
        var first: [FileProblem] = []
    }

    private let state = Mutex(State())
    private let report: @Sendable (FileProblem) -> Void
    /// Bytes of encoded problems kept for the snapshot; all are counted and reported.
    private static let keptBytesMax = Limits.chunkBytesMax - (64 << 10)
    private static let listedMax = 10_000

    init(report: @escaping @Sendable (FileProblem) -> Void) { self.report = report }

    func add(_ problem: FileProblem) {
        state.withLock { state in
            state.count += 1
            if state.first.count < ProblemLog.listedMax { state.first.append(problem) }
            if state.encoded.count < ProblemLog.keptBytesMax {
                var writer = ByteWriter()
                writer.byteString(problem.path.bytes)
                writer.byteString(Array(problem.operation.utf8))
                writer.byteString(Array(problem.reason.utf8))
                if state.encoded.count + writer.count < ProblemLog.keptBytesMax { state.encoded.append(contentsOf: writer.bytes) }
            }
        }
        report(problem)
    }

    var count: Int { state.withLock { $0.count } }
    var listed: [FileProblem] { state.withLock { $0.first } }

    /// Stores them; the stream's keys.
    func store(_ writer: ChunkWriter) throws(ArchiveError) -> KeyList {
        var encoded = state.withLock { $0.encoded }
        if encoded.count == 1 { return .empty }
        return KeyList(levels: 0, keys: [try storeChunk(&encoded, writer)])
    }
}

/// Which users and groups own what is backed up, for their names.
final class OwnerCollector: Sendable {
    private struct State: ~Copyable {
        var users: [UInt32: [UInt8]]
        var groups: [UInt32: [UInt8]]
        var last: (uid: UInt32, gid: UInt32)?
        var lookup = OwnerNames()
    }

    private let state: Mutex<State>

    init(users: [SnapshotContents.OwnerName], groups: [SnapshotContents.OwnerName]) {
        func table(_ names: [SnapshotContents.OwnerName]) -> [UInt32: [UInt8]] {
            Dictionary(names.map { ($0.number, $0.name) }, uniquingKeysWith: { $1 })
        }
        state = Mutex(State(users: table(users), groups: table(groups), last: nil))
    }

    func note(uid: UInt32, gid: UInt32) {
        state.withLock { state in
            if let last = state.last, last.uid == uid, last.gid == gid { return }
            state.last = (uid, gid)
            if state.users[uid] == nil, state.users.count < Limits.ownerNamesMax {
                state.users[uid] = state.lookup.userName(uid)
            }
            if state.groups[gid] == nil, state.groups.count < Limits.ownerNamesMax {
                state.groups[gid] = state.lookup.groupName(gid)
            }
        }
    }

    func names() -> (users: [SnapshotContents.OwnerName], groups: [SnapshotContents.OwnerName]) {
        func list(_ table: [UInt32: [UInt8]]) -> [SnapshotContents.OwnerName] {
            table.keys.sorted().compactMap { number in
                table[number].flatMap { $0.isEmpty ? nil : SnapshotContents.OwnerName(number: number, name: $0) }
            }
        }
        return state.withLock { (list($0.users), list($0.groups)) }
    }
}
