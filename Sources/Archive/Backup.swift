internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Synchronization
internal import Vault

extension ArchiveStore {
    /// Packs that vanish under a backup make it look again; more often than this, something else is wrong.
    private static let attemptsMax = 5

    /// Makes one snapshot of the requested paths and commits it to the vault.
    ///
    /// `report` is told of each problem as it is found, from any thread. Throws when nothing was committed; what was
    /// stored by then is found and used by the next backup.
    package func backUp(
        _ request: BackupRequest, progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(ArchiveError) -> BackupReport {
        try requireSources(request)
        return try oneAtATime.withLock { _ throws(ArchiveError) in
            try backUpAlone(request, progress: progress, report: report)
        }
    }

    /// Chunks that another backup through this store has reserved would be in packs that only its snapshot lists, so two of
    /// them take turns.
    private func backUpAlone(
        _ request: BackupRequest, progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(ArchiveError) -> BackupReport {
        var memo = try lastSnapshot(host: request.host, paths: request.paths)
        var verifiesMemo =
            try memo.map { (memo) throws(ArchiveError) in
                // The list of other paths names packs that this snapshot has no use for.
                if memo.isRewritten || memo.contents.paths != request.paths { return true }
                return try !areAllPresent(memo.pages)
            } ?? false
        let spool = try BackupSpool(self, request, progress)
        for _ in 0..<ArchiveStore.attemptsMax {
            // What an earlier backup through this store reserved, and failed to store, is nobody's any more.
            index.releaseReservations()
            let attempt = try BackupAttempt(
                store: self, request: request, memo: memo, verifiesMemo: verifiesMemo, spool: spool, progress: progress,
                report: report)
            switch try attempt.run() {
            case .done(let report): return report
            case .missing(let packs):
                // Another process swept packs that this backup relied on: forget them, and look at everything again. A stub among
                // them is of a pack that peers need not keep any more.
                for pack in packs { try? vault.removeStub(of: pack) }
                index.markGone(packs: packs)
                try synchroniseIndex()
                verifiesMemo = true
                memo = try lastSnapshot(host: request.host, paths: request.paths) ?? memo
            }
        }
        throw ArchiveError(
            .storage, "commit the snapshot",
            "packs kept vanishing from the vault while the backup ran; let sweeps finish, then run it again")
    }

    /// Whether every pack of these pages is in the vault and readable. A backup after a loss must not rely on what is lost.
    private func areAllPresent(_ pages: [SnapshotRecord.Page]) throws(ArchiveError) -> Bool {
        for page in pages {
            guard let packs = try? vault.page(page.id).packs else { return false }
            for pack in packs where !index.isReliable(pack) { return false }
        }
        return true
    }

    private func requireSources(_ request: BackupRequest) throws(ArchiveError) {
        guard !request.paths.isEmpty else {
            throw ArchiveError(.usage, "back up", "nothing to back up: name a path, or set sources.paths in bakare.toml")
        }
        for path in request.paths where path.bytes.first != 0x2f {
            throw ArchiveError(.usage, "back up", "the path must be absolute", path: path)
        }
    }
}

/// A snapshot that serves as memo: what it holds, and the packs that it keeps alive.
struct MemoSnapshot: Sendable {
    let id: SnapshotID
    let contents: SnapshotContents
    let pages: [SnapshotRecord.Page]
    /// Its list of packs was made anew since: by a sweep, or by a repair that took off it what is lost. What the snapshot
    /// needs may be in no pack any more, and the list does not tell.
    let isRewritten: Bool

    init(_ contents: SnapshotContents, _ record: SnapshotRecord) {
        id = record.id
        self.contents = contents
        pages = record.pages
        isRewritten = record.revision > 0
    }
}

/// One try at a backup: walk, store, commit.
private struct BackupAttempt {
    enum Outcome {
        case done(BackupReport)
        case missing([PackID])
    }

    private let store: ArchiveStore
    private let request: BackupRequest
    private let memo: MemoSnapshot?
    private let progress: Progress
    private let problems: ProblemLog
    private let sink: PackSink
    private let shared: ChunkWriterShared
    private let run_: BackupRun

    init(
        store: ArchiveStore, request: BackupRequest, memo: MemoSnapshot?, verifiesMemo: Bool, spool: BackupSpool?,
        progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(ArchiveError) {
        self.store = store
        self.request = request
        self.memo = memo
        self.progress = progress
        problems = ProblemLog(report: report)
        sink = PackSink(vault: store.vault, index: store.index, cipher: store.footerCipher, plan: store.plan, spool: spool)
        shared = ChunkWriterShared(
            cipher: store.cipher, index: store.index, sink: sink, listKeysMax: request.listKeysMax)
        progress.reset()
        run_ = BackupRun(
            request: request, plan: store.plan, progress: progress, writerShared: shared, gear: store.identity.keys.gearTable(),
            source: store.chunkSource(), scratchDirectory: store.scratchDirectory, memo: memo?.contents,
            verifiesMemo: verifiesMemo,
            watch: BackupAttempt.watch(request, memo, verifiesMemo: verifiesMemo), problems: problems)
    }

    /// What a watch says counts only from the very snapshot that it counts from, and for what was asked for then.
    private static func watch(_ request: BackupRequest, _ memo: MemoSnapshot?, verifiesMemo: Bool) -> BackupWatch? {
        guard let changes = request.changes, let memo, !verifiesMemo, memo.id == changes.base, changes.folders.isCertain,
            memo.contents.paths == request.paths, changes.digest == request.digest
        else { return nil }
        return BackupWatch(changes)
    }

    func run() throws(ArchiveError) -> Outcome {
        let started = ContinuousClock.now
        let places = request.paths.map { DirectoryHandle.places(of: $0, mounts: run_.mounts) }
        try pushRoot(PathSelection(places.flatMap(\.taken)))
        var workers: [BackupWorker] = []
        for _ in 0..<store.plan.workers { workers.append(try BackupWorker(run_)) }
        let sink = sink
        guard let sinkThread = WorkerThread(name: "packs", { sink.run() }) else {
            throw ArchiveError(.storage, "back up", "no thread left on this system")
        }
        defer {
            sink.close()
            sinkThread.join()
        }
        runInParallel(workers) { $0.work() }
        if let failure = run_.scheduler.failure { throw failure }
        guard let first = workers.first, let root = run_.rootTree else {
            throw ArchiveError(.storage, "back up", "the walk ended early")
        }
        var report = BackupReport()
        report.places = places
        report.files = progress.files.load(ordering: .relaxed)
        report.directories = progress.directories.load(ordering: .relaxed)
        report.bytes = progress.bytes.load(ordering: .relaxed)
        report.unchangedFiles = run_.unchangedFiles.load(ordering: .relaxed)
        if let watch = run_.watch { add(watch, to: &report) }
        if let id = unchangedSnapshot(root) {
            report.snapshot = id
            report.isUnchanged = true
        } else if !request.dryRun {
            let outcome = try commit(root, workers, problems: try problems.store(first.writer), report)
            guard case .success(let snapshot) = outcome else {
                guard case .failure(let missing) = outcome else { return .missing([]) }
                return .missing(missing.packs)
            }
            report.snapshot = snapshot
        }
        report.newBytes = shared.newBytes.load(ordering: .relaxed)
        report.storedBytes = shared.storedBytes.load(ordering: .relaxed)
        report.errors = problems.listed
        report.errorCount = problems.count
        report.seconds = (ContinuousClock.now - started) / .seconds(1)
        return .done(report)
    }

    /// What a backup that a watch guided did not look at is as it was.
    private func add(_ watch: BackupWatch, to report: inout BackupReport) {
        let untold = watch.untold
        (report.untold, report.untoldCount) = (untold.folders, untold.count)
        guard watch.takesOver, let last = memo?.contents else { return }
        let replaced = watch.replaced
        let before = (files: Int(last.files), directories: Int(last.directories), bytes: Int(last.bytes))
        report.isGuided = true
        report.doubt = watch.doubt
        report.unchangedFiles += max(0, before.files - replaced.files)
        report.files = max(0, report.files + before.files - replaced.files)
        report.directories = max(0, report.directories + before.directories - replaced.directories)
        report.bytes = max(0, report.bytes + before.bytes - replaced.bytes)
    }

    /// The last snapshot, if one more would say nothing else.
    private func unchangedSnapshot(_ root: KeyList) -> SnapshotID? {
        guard let memo, let watch = run_.watch, watch.takesOver, !request.dryRun,
            memo.contents.tags.filter({ $0 != SnapshotContents.watchedTag }) == request.tags,
            problems.count == 0, memo.contents.problemCount == 0
        else { return nil }
        return root == memo.contents.root || !watch.isDifferent ? memo.id : nil
    }

    private struct Missing: Error { let packs: [PackID] }

    /// Starts the walk at `/`, which leads only to what was asked for, by links too: these are kept, and what they lead to.
    private func pushRoot(_ selection: PathSelection) throws(ArchiveError) {
        let status: FileStatus
        do { status = try DirectoryHandle.open("/").status() } catch {
            throw ArchiveError(.storage, "back up", "\(error)")
        }
        var folderMemo: FolderMemo?
        if let contents = memo?.contents {
            folderMemo = FolderMemo(range: nil, encoded: [], tree: contents.root)
        }
        run_.scheduler.push(
            BackupFolder(
                run: run_, parent: nil, slot: 0, name: "/", status: status, memo: folderMemo,
                selection: selection, place: run_.watch?.root ?? .unwatched))
    }

    /// Makes the packs durable, then the snapshot that needs them.
    private func commit(
        _ root: KeyList, _ workers: [BackupWorker], problems: KeyList, _ report: BackupReport
    ) throws(ArchiveError) -> Result<SnapshotID, Missing> {
        ChunkWriter.finish(workers.map(\.writer), shared)
        let made = try sink.drain()
        var reused = PackSet()
        for worker in workers { reused.formUnion(worker.writer.reused) }
        let names = run_.ownerNames
        let mark = run_.watch?.takesOver == true ? [SnapshotContents.watchedTag] : []
        let contents = SnapshotContents(
            root: root, host: request.host, time: request.time, paths: request.paths,
            tags: Array((request.tags + mark).prefix(Limits.tagsMax)),
            files: UInt64(report.files),
            directories: UInt64(report.directories), bytes: UInt64(report.bytes), users: names.users, groups: names.groups,
            problemCount: UInt64(self.problems.count), problems: problems)
        let outcome = try store.commit(
            contents, made: made, reused: reused, basis: run_.verifiesMemo ? [] : memo?.pages ?? [])
        switch outcome {
        case .committed(let id): return .success(id)
        case .missing(let packs): return .failure(Missing(packs: packs))
        }
    }
}

private struct Handed<Element>: @unchecked Sendable {
    // SAFETY: each element is used by the one thread that it is handed to, until that thread is joined.
    let element: Element
}

/// Runs `body` on each element, all at once, the first on this thread. Elements are not shared between threads.
func runInParallel<Element>(_ elements: [Element], _ body: @escaping @Sendable (Element) -> Void) {
    guard let first = elements.first else { return }
    var threads: [WorkerThread] = []
    for element in elements.dropFirst() {
        let handed = Handed(element: element)
        if let thread = WorkerThread(name: "worker", { body(handed.element) }) { threads.append(thread) }
    }
    body(first)
    for thread in threads { thread.join() }
}
