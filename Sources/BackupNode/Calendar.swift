package import BackupFormat
internal import Glibc

/// A moment on the calendar and clock of some time zone.
package struct CalendarTime: Hashable, Sendable {
    package var year: Int
    /// 1 to 12.
    package var month: Int
    /// 1 to 31.
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int

    package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// In the machine's time zone, from nanoseconds since 1970.
    package static func local(_ nanoseconds: Int64) -> CalendarTime {
        local(seconds: floorSeconds(nanoseconds)) ?? utc(nanoseconds)
    }

    /// The same of a file's time; nil for one too far away to be reckoned.
    package static func local(_ timestamp: Timestamp) -> CalendarTime? {
        timestamp.seconds.magnitude < 1 << 50 ? local(seconds: Int(timestamp.seconds)) : nil
    }

    private static func local(seconds: Int) -> CalendarTime? {
        var seconds = time_t(seconds)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return nil }
        return CalendarTime(
            year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday), hour: Int(parts.tm_hour),
            minute: Int(parts.tm_min), second: Int(parts.tm_sec))
    }

    package static func utc(_ nanoseconds: Int64) -> CalendarTime { utc(seconds: floorSeconds(nanoseconds)) }

    /// Nil for a time too far away to be reckoned.
    package static func utc(_ timestamp: Timestamp) -> CalendarTime? {
        timestamp.seconds.magnitude < 1 << 56 ? utc(seconds: Int(timestamp.seconds)) : nil
    }

    private static func utc(seconds: Int) -> CalendarTime {
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        let date = CalendarTime(days: days)
        return CalendarTime(
            year: date.year, month: date.month, day: date.day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60)
    }

    /// A date from days since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    private init(days: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month, day: dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// Days since 1970-01-01; a day or month out of its range counts on into the next or previous one.
    var dayNumber: Int {
        let months = year * 12 + month - 1
        let monthOfYear = ((months % 12) + 12) % 12 + 1
        let shiftedYear = (months - (monthOfYear - 1)) / 12 - (monthOfYear <= 2 ? 1 : 0)
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (monthOfYear + (monthOfYear > 2 ? -3 : 9)) + 2) / 5
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468 + day - 1
    }

    /// As if the time zone had no shifts: for comparing moments of one zone.
    var secondNumber: Int { dayNumber * 86_400 + hour * 3600 + minute * 60 + second }

    /// The ISO 8601 week: the year it belongs to, and its number.
    var week: (year: Int, number: Int) {
        // Day 0 was a Thursday, and a week belongs to the year of its Thursday.
        let number = dayNumber
        let weekday = ((number + 3) % 7 + 7) % 7
        let thursday = CalendarTime(days: number - weekday + 3)
        let firstOfYear = CalendarTime(year: thursday.year, month: 1, day: 1).dayNumber
        return (thursday.year, (thursday.dayNumber - firstOfYear) / 7 + 1)
    }

    /// `2026-11-22 23:59`
    package var minuteText: String { "\(dateText) \(two(hour)):\(two(minute))" }
    /// `2026-11-22 23:59:07`
    package var secondText: String { "\(minuteText):\(two(second))" }
    private var dateText: String { "\(year)-\(two(month))-\(two(day))" }
}

/// RFC 3339 in UTC with as many decimals as it takes, e.g. `2026-11-22T23:59:07.25Z`; from nanoseconds since 1970.
package func timestampText(_ nanoseconds: Int64) -> String {
    let (seconds, remainder) = (Int64(floorSeconds(nanoseconds)), nanoseconds % 1_000_000_000)
    return timestampText(
        Timestamp(seconds: seconds, nanoseconds: UInt32(remainder < 0 ? remainder + 1_000_000_000 : remainder)))
}

/// The same of a file's time, which may lie further away. Beyond the years -9999 to 9999: `@` and seconds since 1970.
package func timestampText(_ timestamp: Timestamp) -> String {
    guard let time = CalendarTime.utc(timestamp), (-9999...9999).contains(time.year) else { return "@\(timestamp.seconds)" }
    var year = String(time.year.magnitude)
    while year.utf8.count < 4 { year = "0" + year }
    let date = "\(time.year < 0 ? "-" : "")\(year)-\(two(time.month))-\(two(time.day))"
    var text = "\(date)T\(two(time.hour)):\(two(time.minute)):\(two(time.second))"
    if timestamp.nanoseconds != 0 {
        var digits = String(timestamp.nanoseconds)
        while digits.utf8.count < 9 { digits = "0" + digits }
        while digits.hasSuffix("0") { digits.removeLast() }
        text += "." + digits
    }
    return text + "Z"
}

private func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

private func floorSeconds(_ nanoseconds: Int64) -> Int {
    let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return Int(quotient) - (remainder < 0 ? 1 : 0)
}

/// A span in calendar units, as restic writes `--keep-within`: `30d`, `2y5m7d3h`; `w` is a week, `m` a month.
package struct CalendarSpan: Hashable, Sendable {
    package var years = 0
    package var months = 0
    package var days = 0
    package var hours = 0

    package init(years: Int = 0, months: Int = 0, days: Int = 0, hours: Int = 0) {
        self.years = years
        self.months = months
        self.days = days
        self.hours = hours
    }

    /// Nil for what is not a span, or holds a number above 100,000.
    package init?(_ text: String) {
        var number: Int?
        for character in text.lowercased().utf8 {
            if character >= 0x30, character <= 0x39 {
                let next = (number ?? 0) * 10 + Int(character - 0x30)
                guard next <= 100_000 else { return nil }
                number = next
                continue
            }
            guard let count = number else { return nil }
            number = nil
            switch character {
            case UInt8(ascii: "y"): years += count
            case UInt8(ascii: "m"): months += count
            case UInt8(ascii: "w"): days += 7 * count
            case UInt8(ascii: "d"): days += count
            case UInt8(ascii: "h"): hours += count
            default: return nil
            }
        }
        guard number == nil, self != CalendarSpan() else { return nil }
    }

    package var text: String {
        [(years, "y"), (months, "m"), (days, "d"), (hours, "h")].filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
    }

    /// `secondNumber` of the moment this long before `time`.
    func secondNumber(before time: CalendarTime) -> Int {
        var start = time
        start.year -= years
        start.month -= months
        start.day -= days
        start.hour -= hours
        return start.secondNumber
    }
}
