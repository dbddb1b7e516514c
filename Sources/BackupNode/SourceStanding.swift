internal import Archive
internal import BackupFormat

/// How a set of sources stands: what `status` says of it.
struct SourceStanding {
    let set: SourceSet
    private let report: SourceReport?
    private let last: SnapshotSummary?
    private let now: Int64
    /// When its next backup by a schedule or an all-walking one is due, in nanoseconds since 1970.
    let next: Int64?

    /// `snapshots` are this device's; `lastScheduled` is in seconds, and `now` in nanoseconds, since 1970.
    init(
        _ set: SourceSet, _ report: SourceReport?, _ snapshots: [SnapshotSummary], lastScheduled: Int64?, now: Int64,
        isRunning: Bool
    ) {
        self.set = set
        self.report = report
        self.now = now
        last = newestFirst(snapshots.filter { Set($0.paths) == Set(set.paths) }, now: now).first
        let scheduled = Schedule(set)?.next(after: lastScheduled, now: now / 1_000_000_000)
        next = [scheduled, report?.nextWalk].compactMap { $0 }.min().map {
            let (nanoseconds, isBeyond) = $0.multipliedReportingOverflow(by: 1_000_000_000)
            return isBeyond ? .max : nanoseconds
        }
    }

    private var isWatched: Bool { report?.method != nil }

    private var lastText: String {
        guard let last else { return "not backed up yet" }
        return "backed up \(describeSeconds(Double(max(0, now - last.time)) / 1e9)) ago"
    }

    /// One line.
    var text: String {
        var parts = [lastText]
        if report?.isRunning == true {
            parts.append("a backup runs")
        } else if let waiting = report?.waiting {
            parts.append("waiting: \(waiting)")
        } else if report?.hasChanges == true {
            parts.append("changes are about to be backed up")
        }
        if let method = report?.method {
            parts.append("watched by \(method)")
            if let report, !report.unwatched.isEmpty {
                parts.append("but for \(report.unwatched.map(\.description).joined(separator: " "))")
            }
        } else if set.isContinuous {
            parts.append(report == nil ? "watched by `bakare-node start`" : "not watched")
        }
        if let next { parts.append("\(isWatched ? "all is walked" : "next") \(SourceStanding.text(next, now: now))") }
        return parts.joined(separator: "; ")
    }

    private static func text(_ moment: Int64, now: Int64) -> String {
        moment <= now ? "now" : CalendarTime.local(moment).minuteText
    }

    /// When something is backed up next, by any of the sets.
    static func nextText(_ sets: [SourceStanding], now: Int64, isRunning: Bool) -> String {
        let starter = isRunning ? "" : ", by `bakare-node start`"
        if sets.contains(where: \.set.isContinuous) { return "when something changes\(starter)" }
        guard let next = sets.compactMap(\.next).min() else { return "when you run `backup`" }
        return text(next, now: now) + starter
    }

    var warnings: [String] {
        guard let report else { return [] }
        var found: [String] = []
        if let failure = report.failure { found.append("the last backup of \(set.name) by the running node \(failure)") }
        if let refusal = report.refusal {
            found.append("\(set.name) cannot be watched, and is backed up every hour instead: \(refusal)")
        }
        if let missed = report.missed {
            found.append(
                "the watch of \(set.name) had not told of changes in \(missed); the walk that found them has backed them up")
        }
        return found
    }

    func json(_ configuration: Configuration) -> JSON {
        .object(
            [("name", JSON.string(set.name))] + pathsMembers(set.paths, key: "paths") + [
                ("last_backup", last.map { .string(timestampText($0.time)) } ?? .null),
                ("last_snapshot", last.map { .string($0.id.hex) } ?? .null),
                ("next_backup", next.map { .string(timestampText($0)) } ?? .null), ("continuous", .bool(set.isContinuous)),
                ("replicas", .int(set.replicas ?? configuration.replicas)),
                ("watched_by", report?.method.map { .string($0) } ?? .null),
                ("unwatched", .array((report?.unwatched ?? []).map { .string($0.description) })),
                ("has_changes", .bool(report?.hasChanges ?? false)), ("is_running", .bool(report?.isRunning ?? false)),
                ("waiting", report?.waiting.map { .string($0) } ?? .null),
                ("failure", report?.failure.map { .string($0) } ?? .null),
                ("missed", report?.missed.map { .string($0) } ?? .null),
            ])
    }
}
