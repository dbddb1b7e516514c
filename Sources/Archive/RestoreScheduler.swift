internal import HostFiles

/// What one worker of a restore does next.
enum RestoreJob: Sendable {
    /// Small entries of one folder, from first to last.
    case batch(RestoreBatch)
    /// A large file that no one has begun.
    case file(RestoreFile)
}

/// Hands jobs to the workers: new ones in order, of which a bounded number waits, so that each worker writes a file of its
/// own; when there is none, the chunks of the files that others have begun.
final class RestoreScheduler: Sendable {
    enum Task: Sendable {
        case job(RestoreJob)
        /// Take chunks of this file until none is left.
        case help(RestoreFile)
    }

    private struct State {
        var waiting: [RestoreJob] = []
        var active: [RestoreFile] = []
        /// Workers that have a task now, and may make more.
        var running = 0
        var closed = false
    }

    private let state = ConditionLock(State())
    private let waitingMax: Int

    init(waitingMax: Int) { self.waitingMax = waitingMax }

    /// Adds a job, waiting for room.
    func push(_ job: RestoreJob) {
        state.wait { state -> Void? in
            guard state.waiting.count < waitingMax else { return nil }
            state.waiting.append(job)
            return ()
        }
    }

    /// The next task; nil once all is done. Each task ends with ``finished()``.
    func next() -> Task? {
        let task = state.wait { state -> Task?? in
            if !state.waiting.isEmpty {
                state.running += 1
                return .some(.job(state.waiting.removeFirst()))
            }
            if let file = state.active.first {
                state.running += 1
                return .some(.help(file))
            }
            return state.closed && state.running == 0 ? .some(nil) : nil
        }
        return task
    }

    func finished() { state.withLock { $0.running -= 1 } }

    /// Offers a file's chunks to all workers.
    func activate(_ file: RestoreFile) { state.withLock { $0.active.append(file) } }

    /// No more chunks of this file are to be taken.
    func deactivate(_ file: RestoreFile) { state.withLock { $0.active.removeAll { $0 === file } } }

    /// No more jobs come.
    func close() { state.withLock { $0.closed = true } }
}
