import BackupFormat
import BackupNode
import Testing

private func configuration(_ text: String) -> (Configuration, Bool) {
    var configuration = Configuration()
    let problems = configuration.apply(Array(text.utf8), file: "bakare.toml")
    return (configuration, problems.isEmpty)
}

@Test(
    "spans of a schedule: minutes, hours and days, and nothing else",
    arguments: [
        ("1min", 60), ("90min", 5400), ("4h", 14_400), ("1d", 86_400), ("366d", 366 * 86_400),
    ])
func scheduleSpans(_ text: String, _ seconds: Int) {
    let (read, isRight) = configuration("[sources]\npaths = [\"/x\"]\nevery = \"\(text)\"\n")
    #expect(isRight)
    #expect(Schedule(read.sources)?.everySeconds == Int64(seconds))
}

@Test("what is no such span is refused", arguments: ["", "1", "0h", "-1d", "1 h", "1w", "367d", "99999999999999999999min", "h"])
func noScheduleSpan(_ text: String) {
    #expect(!configuration("[sources]\nevery = \"\(text)\"\n").1)
}

@Test("a backup is due when its time has come, at once after sleep or a wrong clock, and never without something to back up")
func scheduleNext() throws {
    let schedule = try #require(Schedule(configuration("[sources]\npaths = [\"/x\"]\nevery = \"1h\"\n").0.sources))
    #expect(schedule.next(after: nil, now: 1000) == 1000)
    #expect(schedule.next(after: 900, now: 1000) == 4500)
    #expect(schedule.next(after: 900, now: 4500) == 4500)
    // Asleep for days: once, not as often as it was missed.
    #expect(schedule.next(after: 900, now: 900_000) == 900_000)
    #expect(schedule.next(after: 2000, now: 1000) == 1000)
    #expect(schedule.next(after: .min, now: 1000) == 1000)
    #expect(Schedule(configuration("[sources]\nevery = \"1h\"\n").0.sources) == nil)
    #expect(Schedule(configuration("[sources]\npaths = [\"/x\"]\n").0.sources) == nil)
}

@Test("times of day come each day once, are made up for after sleep, and follow the machine's clock through its changes")
func timesOfDay() throws {
    let text = "[sources]\npaths = [\"/x\"]\nat = [\"02:30\", \"22:00\"]\n"
    let schedule = try #require(Schedule(configuration(text).0.sources))
    // In UTC, from midnight of 2 January 1970.
    let midnight: Int64 = 86_400
    func next(after last: Int64?, _ now: Int64) -> Int64 {
        schedule.next(after: last, now: now, calendar: CalendarTime.utc) { time in
            Int64((time.day - 1) * 86_400 + time.hour * 3600 + time.minute * 60)
        }
    }
    #expect(next(after: nil, midnight) == midnight)
    #expect(next(after: midnight, midnight + 60) == midnight + 9000)
    #expect(next(after: midnight + 9000, midnight + 9001) == midnight + 79_200)
    #expect(next(after: midnight + 79_200, midnight + 79_300) == midnight + 86_400 + 9000)
    // Asleep over several: once, now.
    #expect(next(after: midnight, midnight + 500_000) == midnight + 500_000)
    #expect(next(after: midnight + 600, midnight) == midnight)
    // A time that has no moment, as where the clocks are set forward, is passed over.
    let gap = schedule.next(after: midnight, now: midnight, calendar: CalendarTime.utc) { time in
        time.hour == 2 ? nil : Int64((time.day - 1) * 86_400 + time.hour * 3600)
    }
    #expect(gap == midnight + 79_200)
    // The real calendar: never in the past, and within a day and an hour.
    let now: Int64 = 1_790_000_000
    let real = schedule.next(after: now, now: now)
    #expect(real > now && real <= now + 90_000)
}
