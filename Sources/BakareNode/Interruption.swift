internal import Archive
internal import BackupNode
internal import Glibc
internal import HostFiles
internal import Synchronization

/// Ctrl-C and SIGTERM: the first asks the running operation to end, a second ends the process at once.
///
/// A thread of its own waits for the signals, so that nothing runs in a signal handler. An operation that cannot be asked
/// ends at once: everything on disk is safe at any instant.
enum Interruption {
    private static let running = Mutex<Progress?>(nil)

    /// Must come before any other thread starts, so that all of them leave these signals alone.
    static func begin() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let thread = WorkerThread(name: "signals") {
            var signals = sigset_t()
            sigemptyset(&signals)
            for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
            while true {
                var number: Int32 = 0
                guard sigwait(&signals, &number) == 0 else { continue }
                let progress = running.withLock { $0 }
                guard let progress, !progress.isStopping else {
                    Screen.restore()
                    _exit(ExitStatus.interrupted.rawValue)
                }
                progress.stop()
            }
        }
        // Without a thread to wait for them, the signals end the process as they always do.
        if thread == nil { pthread_sigmask(SIG_UNBLOCK, &signals, nil) }
    }

    /// Runs `body`, which the signals ask to stop by way of `progress`.
    static func during<R>(_ progress: Progress, _ body: () throws(NodeError) -> R) throws(NodeError) -> R {
        running.withLock { $0 = progress }
        defer { running.withLock { $0 = nil } }
        return try body()
    }
}
