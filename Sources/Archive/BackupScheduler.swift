internal import BackupFormat
internal import HostFiles

/// One piece of a large file, read and cut, to be hashed, compressed and sealed by whichever worker is free.
struct ChunkJob: Sendable {
    let buffer: ChunkBuffer
    let content: FileContent
    let index: Int
}

/// Hands work to the workers of one backup: chunks first, since they hold buffers, then files, then folders, the latest
/// first, so that the walk goes deep before it goes wide and little is open at a time.
final class BackupScheduler: Sendable {
    private struct State {
        var buffers: [ChunkBuffer]
        var chunks: [ChunkJob] = []
        var files: [BackupFile] = []
        var folders: [BackupFolder] = []
        var finished = false
        var failure: ArchiveError?
    }

    enum Work {
        case chunk(ChunkJob)
        case file(BackupFile)
        case folder(BackupFolder)
    }

    enum BufferOrWork {
        case buffer(ChunkBuffer)
        case chunk(ChunkJob)
    }

    private let state: ConditionLock<State>
    private let chunksQueuedMax: Int

    init(plan: MemoryPlan) {
        chunksQueuedMax = max(1, plan.chunkBuffers - plan.workers)
        state = ConditionLock(State(buffers: (0..<plan.chunkBuffers).map { _ in ChunkBuffer() }))
    }

    /// The next piece of work, waiting for one. Nil once the backup is finished or has failed.
    func next() -> Work? {
        let work: Work?? = state.wait { state in
            if state.finished || state.failure != nil { return .some(nil) }
            if let job = state.chunks.popLast() { return .some(.chunk(job)) }
            if let file = state.files.popLast() { return .some(.file(file)) }
            if let folder = state.folders.popLast() { return .some(.folder(folder)) }
            return nil
        }
        return work ?? nil
    }

    func push(_ folder: BackupFolder) { state.withLock { $0.folders.append(folder) } }
    func push(_ file: BackupFile) { state.withLock { $0.files.append(file) } }

    /// Queues a chunk; false when enough wait already and the caller had better do it itself.
    func tryPush(_ job: ChunkJob) -> Bool {
        state.withLock { state in
            guard state.chunks.count < chunksQueuedMax else { return false }
            state.chunks.insert(job, at: 0)
            return true
        }
    }

    /// An empty buffer; or, while there is none, a chunk to work on, which will free one. Throws once the backup has failed.
    func bufferOrWork() throws(ArchiveError) -> BufferOrWork {
        let result: Result<BufferOrWork, ArchiveError> = state.wait { state in
            if let failure = state.failure { return .failure(failure) }
            if let buffer = state.buffers.popLast() { return .success(.buffer(buffer)) }
            return state.chunks.popLast().map { .success(.chunk($0)) }
        }
        return try result.get()
    }

    func put(_ buffer: ChunkBuffer) {
        buffer.count = 0
        state.withLock { $0.buffers.append(buffer) }
    }

    /// Ends all workers: the root folder is done.
    func finish() { state.withLock { $0.finished = true } }

    /// Ends all workers: the backup cannot go on. The first reason counts.
    func fail(_ error: ArchiveError) {
        state.withLock { state in
            state.failure = state.failure ?? error
            // Break the cycles between folders, files and jobs.
            state.chunks.removeAll()
            state.files.removeAll()
            state.folders.removeAll()
        }
    }

    var failure: ArchiveError? { state.withLock { $0.failure } }
}
