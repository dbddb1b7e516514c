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
    #expect(Schedule(read)?.everySeconds == Int64(seconds))
}

@Test("what is no such span is refused", arguments: ["", "1", "0h", "-1d", "1 h", "1w", "367d", "99999999999999999999min", "h"])
func noScheduleSpan(_ text: String) {
    #expect(!configuration("[sources]\nevery = \"\(text)\"\n").1)
}

@Test("a backup is due when its time has come, at once after sleep or a wrong clock, and never without something to back up")
func scheduleNext() throws {
    let schedule = try #require(Schedule(configuration("[sources]\npaths = [\"/x\"]\nevery = \"1h\"\n").0))
    #expect(schedule.next(after: nil, now: 1000) == 1000)
    #expect(schedule.next(after: 900, now: 1000) == 4500)
    #expect(schedule.next(after: 900, now: 4500) == 4500)
    // Asleep for days: once, not as often as it was missed.
    #expect(schedule.next(after: 900, now: 900_000) == 900_000)
    #expect(schedule.next(after: 2000, now: 1000) == 1000)
    #expect(schedule.next(after: .min, now: 1000) == 1000)
    #expect(Schedule(configuration("[sources]\nevery = \"1h\"\n").0) == nil)
    #expect(Schedule(configuration("[sources]\npaths = [\"/x\"]\n").0) == nil)
}
