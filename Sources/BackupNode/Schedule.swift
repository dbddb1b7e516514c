package import BackupFormat
internal import HostFiles

private let units = [("min", 60), ("h", 3600), ("d", 86_400)]

/// Seconds of `30min`, `4h` or `1d`: a minute to a year. Nil for anything else.
func interval(_ text: String) -> Int? {
    for (unit, seconds) in units where text.hasSuffix(unit) {
        guard let count = Int(text.dropLast(unit.count)), (1...527_040).contains(count) else { return nil }
        let total = count * seconds
        return total <= 366 * 86_400 ? total : nil
    }
    return nil
}

/// As ``interval(_:)`` reads it, in the largest unit that gives a whole number.
func showInterval(_ seconds: Int) -> String {
    let (unit, size) = units.last { seconds % $0.1 == 0 } ?? units[0]
    return "\(seconds / size)\(unit)"
}

/// When the running node backs up: a value, told when it was done last.
package struct Schedule: Sendable, Hashable {
    package let everySeconds: Int64

    /// Nil where the configuration wants none, or names nothing to back up.
    package init?(_ configuration: Configuration) {
        guard let every = configuration.everySeconds, !configuration.sourcePaths.isEmpty else { return nil }
        everySeconds = Int64(every)
    }

    /// When the next backup is due, in seconds since 1970. What was missed, because the machine slept or was off, is due at once, and once; so
    /// is everything where the last time is still to come, since a clock was wrong then.
    package func next(after last: Int64?, now: Int64) -> Int64 {
        guard let last, last <= now, last >= 0 else { return now }
        return max(now, last + everySeconds)
    }
}

extension Home {
    /// Its time of change is when the last scheduled backup ended.
    package var scheduleMarker: RawPath { ledgerDirectory.appending("backed-up") }

    package var lastScheduled: Int64? { (try? disk.status(scheduleMarker))?.modifiedSeconds }
}
