package import BackupFormat
internal import HostFiles

/// Brings back what a snapshot holds, into a folder.
///
/// `workers` threads read, decrypt and write; each takes at most 17 MiB of buffers, and the calling thread, which reads
/// the trees, about 25 MiB; nothing grows with the number of files. Every problem of one file goes to `onProblem` at once (from any
/// thread) and to the report, and touches no other file.
/// What it reports as restored is on the disk, and stays there through a power cut.
/// Throws `interrupted`, `storage` (the target is full, or a write failed later), `notFound` (a path that the snapshot lacks), `usage`, `damaged`
/// (nothing of the snapshot can be read). Whatever it throws, no file in the target is half-written, and the same request goes on from there.
package func restoreSnapshot(
    _ request: RestoreRequest, _ contents: SnapshotContents, _ source: any ChunkSource, workers: Int, _ progress: Progress,
    onProblem: (@Sendable (FileProblem) -> Void)? = nil
) throws(ArchiveError) -> RestoreReport {
    let clock = ContinuousClock()
    let begin = clock.now
    let scratch = try ChunkScratch()
    for path in request.paths where !path.components.isEmpty {
        guard try findEntry(at: path, in: contents.root, source, scratch) != nil else {
            throw ArchiveError(.notFound, "restore", "the snapshot holds no such path", path: path)
        }
    }
    if request.paths.isEmpty {
        progress.totalFiles.store(Int(clamping: contents.files), ordering: .relaxed)
        progress.totalBytes.store(Int(clamping: contents.bytes), ordering: .relaxed)
    }
    let count = min(max(workers, 1), 64)
    let run = RestoreRun(request, contents, source, workers: count, progress, onProblem: onProblem)
    let root: RestoreDirectory
    do throws(HostFilesError) { root = try openTarget(run) } catch {
        throw ArchiveError(error.code == .exists ? .usage : .storage, "restore", "\(error)", path: request.target)
    }
    let walk = try RestoreWalk(run, contents, root)
    var threads: [WorkerThread] = []
    for index in 0..<count {
        // Made here, so that a lack of memory ends the restore before it begins.
        let worker = RestoreWorkerBox(try RestoreWorker(run, index: index))
        if let thread = WorkerThread(name: "restore \(index)", { worker.work() }) { threads.append(thread) }
    }
    if threads.isEmpty { run.fail(ArchiveError(.storage, "restore", "the system has no thread left; raise its limit")) }
    if !threads.isEmpty { walk.walk() }
    run.scheduler.close()
    for thread in threads { thread.join() }
    // The staging folders stay until all is on the disk: what is found of them says that it may not be.
    let unsynced = syncError(run)
    let cleaning = unsynced == nil ? run.stagings.remove(isFinished: run.outcome == nil) : nil
    run.releaseHosts()
    if let error = run.outcome { throw error }
    if let error = unsynced ?? syncError(run) {
        let reason = "\(error): not all of what was restored has reached the disk; check it, then run the same restore again"
        throw ArchiveError(.storage, "restore", reason, path: request.target)
    }
    if let cleaning { run.report(request.target, "clean up", "\(cleaning)") }
    let elapsed = begin.duration(to: clock.now)
    return run.makeReport(seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
}

private func syncError(_ run: RestoreRun) -> HostFilesError? {
    do throws(HostFilesError) { try run.stagings.sync() } catch { return error }
    return nil
}

/// Hands a worker to its thread.
private final class RestoreWorkerBox: @unchecked Sendable {
    // SAFETY: made by one thread and used by one other, which starts after that.
    private let worker: RestoreWorker
    init(_ worker: RestoreWorker) { self.worker = worker }
    func work() { worker.work() }
}

private func openTarget(_ run: RestoreRun) throws(HostFilesError) -> RestoreDirectory {
    let target = run.request.target
    if run.request.dryRun {
        let handle: RestoreHandle?
        do { handle = try DirectoryHandle.open(target) } catch  where error.code == .notFound { handle = nil }
        return RestoreDirectory(
            parent: nil, name: target, entry: nil, handle: handle, status: try handle?.status(), isNew: false, staging: nil)
    }
    let handle = try DirectoryHandle.openOrMake(target)
    let status = try handle.status()
    return RestoreDirectory(
        parent: nil, name: target, entry: nil, handle: handle, status: status, isNew: false,
        staging: try run.stagings.staging(for: handle, status).staging, isStagingHost: true)
}
