import Archive
import BackupFormat
import BackupNode
import Testing

private func nanoseconds(_ year: Int, _ month: Int, _ day: Int, _ hour: Int = 12, _ minute: Int = 0) -> Int64 {
    var days = 0
    for y in 1970..<year { days += y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 366 : 365 }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    days += lengths[..<(month - 1)].reduce(0, +) + day - 1
    return Int64(days * 86_400 + hour * 3600 + minute * 60) * 1_000_000_000
}

private func snapshot(
    _ time: Int64, host: String = "h", paths: [RawPath] = ["/p"], tags: [String] = [], device: UInt64 = 1
) -> SnapshotSummary {
    let id = SnapshotID(Bytes32(words: (UInt64(bitPattern: time), 0, device - 1, UInt64(paths.count))))
    return SnapshotSummary(
        id: id, time: time, host: host, paths: paths, tags: tags, files: 0, directories: 0, bytes: 0, errorCount: 0,
        device: DeviceID(Bytes32(words: (device, 0, 0, 0))))
}

private func kept(_ policy: RetentionPolicy, _ times: [Int64], now: Int64 = .max) -> [Int64] {
    applyRetention(policy, to: times.map { snapshot($0) }, now: now, calendar: CalendarTime.utc)
        .flatMap { $0.keep.map(\.snapshot.time) }
}

private func policy(_ set: (inout RetentionPolicy) -> Void) -> RetentionPolicy {
    var policy = RetentionPolicy()
    set(&policy)
    return policy
}

// Restic's manual, "Removing snapshots according to a policy": a backup every Sunday, kept by day, week, month and year.
@Test("restic's example: weekly backups under --keep-daily 4 keep the last four Sundays, and the same for weeks")
func sundays() {
    let sundays = [
        nanoseconds(2019, 9, 1), nanoseconds(2019, 9, 8), nanoseconds(2019, 9, 15), nanoseconds(2019, 9, 22),
        nanoseconds(2019, 9, 29), nanoseconds(2019, 10, 6), nanoseconds(2019, 10, 13),
    ]
    #expect(kept(policy { $0.daily = 4 }, sundays) == Array(sundays.suffix(4).reversed()))
    #expect(kept(policy { $0.weekly = 4 }, sundays) == Array(sundays.suffix(4).reversed()))
    // The newest of October and of September.
    #expect(kept(policy { $0.monthly = 2 }, sundays) == [sundays[6], sundays[4]])
}

@Test("restic's example: --keep-last 1 --keep-daily 2 counts a snapshot once for each rule")
func severalRules() {
    let times = [nanoseconds(2024, 1, 1), nanoseconds(2024, 1, 2, 8), nanoseconds(2024, 1, 2, 20), nanoseconds(2024, 1, 3)]
    let rule = policy {
        $0.last = 1
        $0.daily = 2
    }
    #expect(kept(rule, times) == [times[3], times[2]])
    let groups = applyRetention(rule, to: times.map { snapshot($0) }, now: .max, calendar: CalendarTime.utc)
    #expect(groups[0].keep.map(\.reasons) == [["last", "daily"], ["daily"]])
    #expect(groups[0].remove.map(\.time) == [times[1], times[0]])
}

@Test("the oldest is kept while a rule's count is not used up")
func oldest() {
    let times = (1...5).map { nanoseconds(2024, 3, $0 + 9) }
    let groups = applyRetention(policy { $0.yearly = 3 }, to: times.map { snapshot($0) }, now: .max, calendar: CalendarTime.utc)
    #expect(groups[0].keep.map(\.reasons) == [["yearly"], ["oldest yearly"]])
    #expect(groups[0].keep.map(\.snapshot.time) == [times[4], times[0]])
}

@Test("hours, weeks across a new year, months and years")
func periods() {
    let times = [
        nanoseconds(2019, 12, 29), nanoseconds(2019, 12, 30), nanoseconds(2020, 1, 1), nanoseconds(2020, 1, 5, 9, 1),
        nanoseconds(2020, 1, 5, 9, 59), nanoseconds(2020, 1, 5, 10),
    ]
    // Monday 2019-12-30 to Sunday 2020-01-05 is the first week of 2020.
    #expect(kept(policy { $0.weekly = 2 }, times) == [times[5], times[0]])
    #expect(kept(policy { $0.hourly = 2 }, times) == [times[5], times[4]])
    #expect(kept(policy { $0.yearly = 2 }, times) == [times[5], times[1]])
}

@Test("--keep-within counts back from the newest, by the calendar; one from the future does not count")
func within() {
    let times = [nanoseconds(2024, 2, 28), nanoseconds(2024, 2, 29, 12, 1), nanoseconds(2024, 3, 30), nanoseconds(2024, 3, 31)]
    #expect(kept(policy { $0.within = CalendarSpan("31d") }, times) == [times[3], times[2], times[1]])
    #expect(kept(policy { $0.within = CalendarSpan("1y") }, times).count == 4)
    let future = nanoseconds(2030, 1, 1)
    #expect(kept(policy { $0.within = CalendarSpan("1d") }, times + [future], now: times[3]) == [future, times[3]])
}

@Test("tags: all of one list are needed")
func tags() {
    let all = [
        snapshot(1, tags: ["a"]), snapshot(2, tags: ["a", "b"]), snapshot(3, tags: ["c"]), snapshot(4),
    ]
    let groups = applyRetention(policy { $0.tags = [["a", "b"], ["c"]] }, to: all, now: 9, calendar: CalendarTime.utc)
    #expect(groups[0].keep.map(\.snapshot.time) == [3, 2])
}

@Test("machines and sets of paths are counted apart, whatever the order of the paths")
func groups() {
    let all = [
        snapshot(1), snapshot(2), snapshot(3, host: "other"), snapshot(4, paths: ["/a", "/b"]), snapshot(5, paths: ["/b", "/a"]),
    ]
    let groups = applyRetention(policy { $0.last = 1 }, to: all, now: 9, calendar: CalendarTime.utc)
    #expect(groups.map { $0.keep.map(\.snapshot.time) } == [[5], [2], [3]])
    #expect(groups.map { $0.remove.map(\.time) } == [[4], [1], []])
}

@Test("a clock that was wrong for a week does not make the policy remove what was backed up since")
func snapshotsFromTheFuture() {
    let ahead = (1...7).map { nanoseconds(2030, 1, $0) }
    let real = (23...25).map { nanoseconds(2026, 11, $0) }
    let now = nanoseconds(2026, 11, 25, 13)
    for rule in [policy { $0.daily = 7 }, policy { $0.last = 3 }, policy { $0.yearly = 1 }] {
        #expect(Set(kept(rule, ahead + real, now: now)).isSuperset(of: ahead + [real[2]]))
    }
    #expect(kept(policy { $0.daily = 7 }, ahead + real, now: now).count == 10)
    let groups = applyRetention(
        policy { $0.last = 1 }, to: (ahead + real).map { snapshot($0) }, now: now, calendar: CalendarTime.utc)
    #expect(groups[0].keep.map(\.reasons) == Array(repeating: ["from the future"], count: 7) + [["last"]])
    #expect(groups[0].remove.map(\.time) == [real[1], real[0]])
    // With this machine's own clock set back, all of them are from the future: nothing goes.
    #expect(kept(policy { $0.last = 1 }, real, now: 0) == real.reversed())
}

@Test("snapshots that a stolen device makes in the name of another machine push out none of that machine's")
func forgedGroup() {
    let real = (1...7).map { snapshot(nanoseconds(2026, 11, $0, 3)) }
    let forged = (1...7).map { snapshot(nanoseconds(2026, 11, $0, 23), device: 2) }
    let groups = applyRetention(
        policy { $0.daily = 7 }, to: real + forged, now: nanoseconds(2026, 11, 8), calendar: CalendarTime.utc)
    let keptIDs = Set(groups.flatMap { $0.keep.map(\.snapshot.id) })
    #expect(keptIDs.isSuperset(of: real.map(\.id)))
}

@Test("an empty policy keeps everything")
func emptyPolicy() { #expect(kept(RetentionPolicy(), [1, 2, 3]) == [3, 2, 1]) }

@Test("any policy keeps the newest, if it counts anything at all", arguments: 0..<200)
func keepsNewest(seed: Int) {
    var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1
    func random(_ limit: UInt64) -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 33) % limit
    }
    let times = (0..<random(40) + 1).map { _ in Int64(random(3 * 366 * 24)) * 3_600_000_000_000 }
    let rule = policy {
        $0.last = Int(random(3))
        $0.daily = Int(random(8))
        $0.weekly = Int(random(5))
        $0.monthly = Int(random(5)) + 1
    }
    let result = kept(rule, times)
    #expect(result.first == times.max())
    #expect(result.count <= rule.last + rule.daily + rule.weekly + rule.monthly)
    #expect(result == result.sorted(by: >))
}

@Test("a snapshot from the future is not the latest, and those made since are")
func latestWithAWrongClock() throws {
    let hour: Int64 = 3_600_000_000_000
    let now = nanoseconds(2026, 11, 25)
    let all = [snapshot(nanoseconds(2030, 1, 1)), snapshot(now - hour), snapshot(now + hour / 2), snapshot(now - 2 * hour)]
    #expect(try resolveSnapshot("latest", in: all, now: now).time == now + hour / 2, "two clocks may differ a little")
    #expect(try resolveSnapshot("latest~1", in: all, now: now).time == now - hour)
    #expect(try resolveSnapshot("latest~3", in: all, now: now).time == all[0].time)
    #expect(try resolveSnapshot("latest", in: all, now: 0).time == all[0].time, "with nothing else, the newest")
}

@Test("snapshots are named by age or by the beginning of the id, and what is not clear is told")
func names() throws {
    let all = (1...30).map { snapshot(Int64($0)) }
    #expect(try resolveSnapshot("latest", in: all, now: 30).time == 30)
    #expect(try resolveSnapshot("latest~2", in: all, now: 30).time == 28)
    #expect(try resolveSnapshot(all[4].id.hex, in: all, now: 30).time == 5)
    #expect(try resolveSnapshot(String(all[4].id.hex.prefix(16)).uppercased(), in: all, now: 30).time == 5)
    func failure(_ name: String, _ snapshots: [SnapshotSummary]) -> NodeError? {
        do throws(NodeError) {
            _ = try resolveSnapshot(name, in: snapshots, now: 30)
            return nil
        } catch {
            return error
        }
    }
    #expect(failure("latest", [])?.code == .failed)
    #expect(failure("latest~30", all)?.code == .failed)
    #expect(failure("latest~x", all)?.code == .usage)
    #expect(failure("zz", all)?.code == .usage)
    #expect(failure("ffff", all)?.code == .failed)
    #expect(failure("00", [all[0]])?.code == .usage)
    let ambiguous = try #require(failure("0000", all))
    #expect(ambiguous.code == .usage)
    #expect(ambiguous.message.contains(all[29].id.hex.prefix(16)))
    #expect(ambiguous.message.contains("and 20 more"))
}
