internal import CLinux
internal import Glibc

/// A lock around some state, with which threads also wait for that state to change.
///
/// Waiting and waking go through one condition variable; every change of the state wakes all that wait.
package final class ConditionLock<State>: @unchecked Sendable {
    // SAFETY: `state` is touched only while `mutex` is held; mutex and condition stay at one address until deinit.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State
    /// Threads that wait, so that a change nobody waits for costs no system call.
    private var waiting = 0

    package init(_ state: sending State) {
        self.state = state
        makeLock(mutex)
        makeCondition(condition)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` alone, then wakes those that wait for a change, unless it is none that anybody waits for. `body` must be short and must
    /// not block.
    package func withLock<R>(wakes: Bool = true, _ body: (inout State) -> R) -> R {
        if let turns = installedTurns {
            defer { if wakes, waiting > 0 { turns.wake(ObjectIdentifier(self)) } }
            return body(&state)
        }
        pthread_mutex_lock(mutex)
        defer {
            if wakes, waiting > 0 { pthread_cond_broadcast(condition) }
            pthread_mutex_unlock(mutex)
        }
        return body(&state)
    }

    /// Looks at the state alone. Nothing changes, so nobody is woken. `body` must be short and must not block.
    package func read<R>(_ body: (State) -> R) -> R {
        if installedTurns != nil { return body(state) }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(state)
    }

    /// Waits until `body` gives a value, trying again at each change.
    package func wait<R>(for body: (inout State) -> R?) -> R {
        if let turns = installedTurns {
            while true { if let result = wait(turns, until: nil, for: body) { return result } }
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                if waiting > 0 { pthread_cond_broadcast(condition) }
                return result
            }
            waiting += 1
            pthread_cond_wait(condition, mutex)
            waiting -= 1
        }
    }

    /// Waits as `wait(for:)` does, at most `milliseconds`; nil when that time has passed. Wakes others as ``withLock(wakes:_:)`` does.
    package func wait<R>(milliseconds: Int, wakes: Bool = true, for body: (inout State) -> R?) -> R? {
        let deadline = monotonicNanoseconds() &+ UInt64(max(0, milliseconds)) &* 1_000_000
        if let turns = installedTurns { return wait(turns, until: deadline, wakes: wakes, for: body) }
        var moment = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                if wakes, waiting > 0 { pthread_cond_broadcast(condition) }
                return result
            }
            if linux_monotonic_nanoseconds() >= deadline { return nil }
            waiting += 1
            _ = pthread_cond_timedwait(condition, mutex, &moment)
            waiting -= 1
        }
    }
}

extension ConditionLock {
    /// The same among threads that take turns, where nobody else runs meanwhile.
    fileprivate func wait<R>(
        _ turns: any ThreadTurns, until deadline: UInt64?, wakes: Bool = true, for body: (inout State) -> R?
    ) -> R? {
        if let result = body(&state) {
            if wakes, waiting > 0 { turns.wake(ObjectIdentifier(self)) }
            return result
        }
        waiting += 1
        defer { waiting -= 1 }
        return withoutActuallyEscaping(body) { body in
            var result: R?
            _ = turns.pause(ObjectIdentifier(self), until: deadline) {
                result = body(&self.state)
                return result != nil
            }
            return result
        }
    }
}

private func makeLock(_ mutex: UnsafeMutablePointer<pthread_mutex_t>) {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
}

/// A condition whose time-outs count on the monotonic clock.
private func makeCondition(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
    condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
}

/// A thread of the system that runs one closure to its end.
package final class WorkerThread: @unchecked Sendable {
    // SAFETY: `handle` is written before init returns; `joined` only under the lock.
    private var handle = pthread_t()
    /// Its number among threads that take turns.
    private var turn: Int?
    private let joined = ConditionLock(false)

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts `body` on a thread of its own. The first 15 bytes of `name` show in `top` and debuggers.
    ///
    /// `stackBytes` is address space; memory is used only as the stack is touched. Nil when the system has no thread left.
    package init?(name: String, stackBytes: Int = 2 << 20, _ body: @escaping @Sendable () -> Void) {
        if let turns = installedTurns {
            turn = turns.start(name: name, body)
            guard turn != nil else { return nil }
            return
        }
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, max(stackBytes, 1 << 20))
        let result = pthread_create(
            &handle, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                linux_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        guard result == 0 else {
            start.release()
            return nil
        }
    }

    deinit {
        if turn == nil, !joined.withLock({ $0 }) { pthread_detach(handle) }
    }

    /// Waits for the end of the closure. Harmless when repeated.
    package func join() {
        if let turn, let turns = installedTurns { return turns.join(turn) }
        let first = joined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        if first { pthread_join(handle, nil) }
    }
}
