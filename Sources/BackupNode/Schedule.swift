package import BackupFormat
internal import Glibc
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

/// The minute of the day of `07:05`, nil for anything else.
func minuteOfDay(_ text: String) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...2).contains(parts[0].count), parts[1].count == 2,
        text.utf8.allSatisfy({ $0 == 0x3a || (0x30...0x39).contains($0) }), let hour = Int(parts[0]), let minute = Int(parts[1]),
        hour < 24, minute < 60
    else { return nil }
    return hour * 60 + minute
}

func showMinute(_ minute: Int) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(minute / 60)):\(two(minute % 60))"
}

/// When the running node backs a set up: a value, told when it was done last.
package struct Schedule: Sendable, Hashable {
    package let everySeconds: Int64?
    package let atMinutes: [Int]

    /// Nil where the set has no times, or names nothing to back up.
    package init?(_ set: SourceSet) {
        guard set.everySeconds != nil || !set.atMinutes.isEmpty, !set.paths.isEmpty else { return nil }
        everySeconds = set.everySeconds.map { Int64($0) }
        atMinutes = set.atMinutes
    }

    /// When the next backup is due, in seconds since 1970. What was missed, because the machine slept or was off, is due at once, and once; so
    /// is everything where the last time is still to come, since a clock was wrong then.
    package func next(
        after last: Int64?, now: Int64, calendar: (Int64) -> CalendarTime = CalendarTime.local,
        moment: (CalendarTime) -> Int64? = { $0.localSeconds }
    ) -> Int64 {
        guard let last, last <= now, last >= 0 else { return now }
        let moments = [everySeconds.map { last + $0 }, nextTime(after: last, calendar, moment)].compactMap { $0 }
        return max(now, moments.min() ?? now)
    }

    /// The first of the times of day after a moment.
    private func nextTime(after last: Int64, _ calendar: (Int64) -> CalendarTime, _ moment: (CalendarTime) -> Int64?) -> Int64? {
        let (nanoseconds, overflow) = last.multipliedReportingOverflow(by: 1_000_000_000)
        guard !atMinutes.isEmpty, !overflow else { return nil }
        let day = calendar(nanoseconds)
        // A time that a change of the clocks leaves out comes a little later that day: two days on, there is one for sure.
        for ahead in 0...2 {
            let times = atMinutes.compactMap { minute in
                moment(
                    CalendarTime(year: day.year, month: day.month, day: day.day + ahead, hour: minute / 60, minute: minute % 60))
            }
            if let found = times.filter({ $0 > last }).min() { return found }
        }
        return nil
    }
}

extension CalendarTime {
    /// Seconds since 1970 of this time in the machine's time zone; a day beyond the month's end counts on. Nil where it has none.
    package var localSeconds: Int64? {
        var parts = tm()
        parts.tm_year = Int32(clamping: year - 1900)
        parts.tm_mon = Int32(clamping: month - 1)
        parts.tm_mday = Int32(clamping: day)
        parts.tm_hour = Int32(clamping: hour)
        parts.tm_min = Int32(clamping: minute)
        parts.tm_sec = Int32(clamping: second)
        parts.tm_isdst = -1
        let seconds = mktime(&parts)
        return seconds == -1 ? nil : Int64(seconds)
    }
}

extension Home {
    /// Its time of change is when the last backup of a set that the running node made ended.
    package func scheduleMarker(_ set: String) -> RawPath {
        ledgerDirectory.appending(set == SourceSet.onlyName ? "backed-up" : "backed-up-\(set)")
    }

    package func lastScheduled(_ set: String) -> Int64? { (try? disk.status(scheduleMarker(set)))?.modifiedSeconds }
}
