internal import Glibc
internal import NIOCore

/// The one clock of the shell: it counts on while the machine is suspended, so that a session learns that it slept.
package struct ShellClock: Sendable {
    /// 1; more in tests, where time passes so many times faster.
    private let speed: Int

    package init(speed: Int = 1) {
        precondition(speed >= 1)
        self.speed = speed
    }

    /// Since some moment in the past.
    func now() -> Duration { read(CLOCK_BOOTTIME) * speed }

    /// Since some moment in the past, without the time in which the machine was suspended.
    func nowAwake() -> Duration { read(CLOCK_MONOTONIC) * speed }

    /// What a timer of an event loop has to be set to.
    func timeAmount(_ duration: Duration) -> TimeAmount {
        let (seconds, attoseconds) = (duration / speed).components
        return .nanoseconds(max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
    }

    private func read(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
