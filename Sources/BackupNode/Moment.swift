package import BackupFormat
internal import Glibc

/// The moment that a person names: a span before now (`30d`, `1y6m`, `12h`), or a date of the machine's time zone, with or without a
/// time: `2026-11-22`, `2026-11-22 23:59`, `2026-11-22T23:59:07`. Nil for anything else. `now` is nanoseconds since 1970.
package func moment(_ text: String, now: Int64) -> Timestamp? {
    if let span = CalendarSpan(text) {
        let here = CalendarTime.local(now)
        let seconds = Int64(here.secondNumber - span.secondNumber(before: here))
        return Timestamp(seconds: now / 1_000_000_000 - seconds, nanoseconds: 0)
    }
    let parts = text.split(omittingEmptySubsequences: false) { $0 == " " || $0 == "T" }
    let date = parts.first.map { numbers($0, by: "-") } ?? []
    let clock = parts.count == 2 ? numbers(parts[1], by: ":") : [0, 0]
    guard parts.count <= 2, date.count == 3, (2...3).contains(clock.count), (1...9999).contains(date[0]),
        (1...12).contains(date[1]), (1...31).contains(date[2]), clock[0] < 24, clock[1] < 60, clock.last ?? 0 < 60
    else { return nil }
    var fields = tm()
    fields.tm_year = Int32(date[0] - 1900)
    fields.tm_mon = Int32(date[1] - 1)
    fields.tm_mday = Int32(date[2])
    fields.tm_hour = Int32(clock[0])
    fields.tm_min = Int32(clock[1])
    fields.tm_sec = Int32(clock.count == 3 ? clock[2] : 0)
    fields.tm_isdst = -1
    let seconds = mktime(&fields)
    // A day that the month does not have would count on into the next.
    guard fields.tm_mday == Int32(date[2]) else { return nil }
    return Timestamp(seconds: Int64(seconds), nanoseconds: 0)
}

/// Whole numbers with something between them; empty if there is anything else.
private func numbers(_ text: Substring, by separator: Character) -> [Int] {
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in
        part.utf8.count <= 4 && part.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(part) : nil
    }
    return numbers.count == parts.count ? numbers : []
}
