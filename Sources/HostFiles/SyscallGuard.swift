package import BackupFormat
internal import CLinux

/// Makes blocking calls on helper threads, so that a mount whose server is gone can't stop the caller.
///
/// One guard stands for one mount. A call that gives no answer in time is abandoned with its thread and all the memory
/// it writes to; from then on every call through this guard fails at once.
package final class SyscallGuard: Sendable {
    private struct State {
        var idle: [Helper] = []
        var isHung = false
        var closing: Helper?
    }

    /// Where the mount is.
    package let mountPoint: RawPath
    private let timeoutMilliseconds: Int
    private let state = ConditionLock(State())

    package init(mountPoint: RawPath, timeoutMilliseconds: Int = 30_000) {
        self.mountPoint = mountPoint
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    deinit {
        state.withLock { state in
            for helper in state.idle { helper.stop() }
            state.closing?.stop()
        }
    }

    /// A call was abandoned here.
    package var isHung: Bool { state.withLock { $0.isHung } }

    /// What `body` gives, made on another thread.
    ///
    /// `body` must own everything that it touches: it may go on after this has thrown `hung`, and what it gives is then
    /// dropped on its thread.
    package func run<T: Sendable>(
        _ operation: String, path: UnsafeRawBufferPointer? = nil, _ body: @escaping @Sendable () -> T
    ) throws(HostFilesError) -> T {
        let (hung, idle) = state.withLock { state in (state.isHung, state.isHung ? nil : state.idle.popLast()) }
        if hung { throw hungError(operation, path) }
        guard let helper = idle ?? Helper.start() else {
            throw HostFilesError(.other, operation, path: path.map { RawPath(bytes: Array($0)) }, detail: "no thread left")
        }
        let answer = ConditionLock<T?>(nil)
        helper.submit {
            let value = body()
            answer.withLock { $0 = value }
        }
        guard let value = answer.wait(milliseconds: timeoutMilliseconds, for: { $0 }) else {
            state.withLock { $0.isHung = true }
            helper.stop()
            throw hungError(operation, path)
        }
        state.withLock { $0.idle.append(helper) }
        return value
    }

    /// Closes a descriptor without waiting for it: on FUSE and network mounts that too may hang.
    func close(_ fd: Int32) {
        let closing = state.withLock { state -> Helper? in
            if state.closing == nil { state.closing = Helper.start() }
            return state.closing
        }
        // Without a thread to spare a descriptor that stays open does less harm than a caller that hangs.
        closing?.submit { _ = linux_close(fd) }
    }

    private func hungError(_ operation: String, _ path: UnsafeRawBufferPointer?) -> HostFilesError {
        HostFilesError(
            .hung, operation, path: path.map { RawPath(bytes: Array($0)) },
            detail: "the mount \(mountPoint) gives no answer")
    }
}

/// A thread that does one job after the other until it is told to stop.
private final class Helper: Sendable {
    private struct Mailbox {
        var jobs: [@Sendable () -> Void] = []
        var stopped = false
    }
    private let mailbox: ConditionLock<Mailbox>

    private init(_ mailbox: ConditionLock<Mailbox>) { self.mailbox = mailbox }

    /// Nil where the system has no thread left.
    static func start() -> Helper? {
        let mailbox = ConditionLock(Mailbox())
        let thread = WorkerThread(name: "syscall guard", stackBytes: 1 << 20) {
            while true {
                let job: (@Sendable () -> Void)?? = mailbox.wait { box in
                    if !box.jobs.isEmpty { return .some(box.jobs.removeFirst()) }
                    return box.stopped ? .some(nil) : nil
                }
                guard let job = job ?? nil else { return }
                job()
            }
        }
        return thread == nil ? nil : Helper(mailbox)
    }

    func submit(_ job: @escaping @Sendable () -> Void) { mailbox.withLock { $0.jobs.append(job) } }

    /// Ends the thread after the jobs that it has.
    func stop() { mailbox.withLock { $0.stopped = true } }
}
