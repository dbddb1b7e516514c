internal import CLinux
internal import Glibc

/// Threads, time and chance in place of the system's: a simulation lets all threads of its nodes take turns, one at a time, in an
/// order that follows from a seed. All waiting of this project goes through ``ConditionLock``, so that nothing else has to know.
package protocol ThreadTurns: AnyObject, Sendable {
    /// A new thread, which gets its turn later; its number, or nil when there is to be none left.
    func start(name: String, _ body: @escaping @Sendable () -> Void) -> Int?
    /// Lets others run until that thread has ended.
    func join(_ thread: Int)
    /// Lets others run until `isReady` says true, which is asked whenever `reason` is named to ``wake(_:)``, on any thread, and then not
    /// again; or until `deadline`, by ``monotonicNanoseconds()``. False when that time has come.
    func pause(_ reason: ObjectIdentifier, until deadline: UInt64?, isReady: @escaping () -> Bool) -> Bool
    /// Something has changed for those that pause for `reason`.
    func wake(_ reason: ObjectIdentifier)
    func monotonicNanoseconds() -> UInt64
    /// Since 1970, by the clock of the machine that the running thread belongs to.
    func realtimeNanoseconds() -> Int64
    func random() -> UInt64
    /// A number for a file that is the same in every run of one seed, where the kernel's is not.
    func fileNumber(_ inode: UInt64) -> UInt64
}

/// Nil, for the system's own threads, unless a simulation runs.
///
// SAFETY: set while the process has one thread.
nonisolated(unsafe) var installedTurns: (any ThreadTurns)?

/// Puts a simulation in place of the system's threads, for the rest of the process's life, or the system back in place of it. No
/// thread but the caller may run.
package func installThreadTurns(_ turns: (any ThreadTurns)?) { installedTurns = turns }

/// For a process of which up to so many threads sleep at once: with some kernels each wake-up else looks through hundreds of them.
package func expectSleepingThreads(_ count: UInt32) { linux_expect_sleeping_threads(count) }

/// From some moment in the past on; does not run back.
package func monotonicNanoseconds() -> UInt64 {
    installedTurns?.monotonicNanoseconds() ?? linux_monotonic_nanoseconds()
}

/// The time now, in nanoseconds since 1970.
package func currentTime() -> Int64 {
    if let installedTurns { return installedTurns.realtimeNanoseconds() }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}

/// From one moment to a later one, in whatever unit both have. Negative when the first is still to come, as after a clock was wrong; the
/// furthest there is where the difference is none that a number can hold: whoever can write to a disk can give a file any time.
package func elapsed(since moment: Int64, now: Int64) -> Int64 {
    let (passed, overflow) = now.subtractingReportingOverflow(moment)
    return overflow ? (moment < 0 ? .max : .min) : passed
}

/// Whether it is time again for what is done every so often, or was done at a time that is still to come, which is a clock's mistake.
package func isRepeatDue(every span: Int64, since last: Int64, now: Int64) -> Bool {
    let passed = elapsed(since: last, now: now)
    return passed < 0 || passed >= span
}

/// Lets some time pass.
package func sleep(milliseconds: Int) {
    let nobody = ConditionLock(())
    _ = nobody.wait(milliseconds: milliseconds) { _ -> Void? in nil }
}

/// The system's random numbers; a simulation's own while one runs.
package struct RandomNumbers: RandomNumberGenerator {
    private var system = SystemRandomNumberGenerator()

    package init() {}

    package mutating func next() -> UInt64 { installedTurns?.random() ?? system.next() }
}
