package import Archive
package import BackupFormat

/// Which snapshots to keep, as restic's `forget` names and counts it.
package struct RetentionPolicy: Sendable, Equatable {
    package var last = 0
    package var hourly = 0
    package var daily = 0
    package var weekly = 0
    package var monthly = 0
    package var yearly = 0
    /// All that are at most this much older than the newest.
    package var within: CalendarSpan?
    /// Snapshots that have all tags of one of these lists.
    package var tags: [[String]] = []

    package init() {}

    package var isEmpty: Bool { self == RetentionPolicy() }

    /// Of snapshots that a watch made.
    package static let ofWatched: RetentionPolicy = {
        var policy = RetentionPolicy()
        policy.within = CalendarSpan(hours: 1)
        policy.hourly = 24
        policy.daily = 30
        return policy
    }()
}

/// What a policy says of the snapshots of one device, one host and one set of paths.
package struct RetentionGroup: Sendable {
    package struct Kept: Sendable {
        package var snapshot: SnapshotSummary
        /// Why, in the policy's words: `last`, `daily`, `within 30d`, `tag x`, `oldest daily`; or `from the future`.
        package var reasons: [String]
    }
    package var device: DeviceID
    package var host: String
    package var paths: [RawPath]
    /// The newest first.
    package var keep: [Kept] = []
    package var remove: [SnapshotSummary] = []
}

/// Applies `policy` to each group of snapshots that have device, host and paths in common.
///
/// A device is proven, a host is not: a stolen write-only device can make snapshots that bear the name of another machine,
/// and these must not push out those that the other made.
///
/// Within a group, from the newest on, every period that has a snapshot counts once and keeps its newest, until its count
/// is used up; the oldest of all is kept while a count is not used up, so that a span grows to its full length. A
/// snapshot with a time after `now` (nanoseconds since 1970) was made while a clock was wrong: it stays, and counts for
/// nothing, so that those made since are not removed in its favour. An empty policy keeps everything.
package func applyRetention(
    _ policy: RetentionPolicy, to snapshots: [SnapshotSummary], now: Int64, calendar: (Int64) -> CalendarTime
) -> [RetentionGroup] {
    applyRetention({ _ in policy }, to: snapshots, now: now, calendar: calendar)
}

/// The same with a policy for each set of paths.
package func applyRetention(
    _ policyOf: ([RawPath]) -> RetentionPolicy, to snapshots: [SnapshotSummary], now: Int64, calendar: (Int64) -> CalendarTime
) -> [RetentionGroup] {
    struct GroupKey: Hashable {
        var device: DeviceID
        var host: String
        var paths: [RawPath]
    }
    let groups = Dictionary(grouping: snapshots) {
        GroupKey(device: $0.device, host: $0.host, paths: Array(Set($0.paths)).sorted())
    }
    let keys = groups.keys.sorted {
        ($0.host, $0.paths.lexicographical, $0.device) < ($1.host, $1.paths.lexicographical, $1.device)
    }
    return keys.map { key in
        var result = RetentionGroup(device: key.device, host: key.host, paths: key.paths)
        let policy = policyOf(key.paths)
        let newestFirst = (groups[key] ?? []).sorted { ($0.time, $0.id) > ($1.time, $1.id) }
        for (snapshot, reasons) in zip(newestFirst, reasonsToKeep(newestFirst, policy, now, calendar)) {
            if policy.isEmpty || !reasons.isEmpty {
                result.keep.append(.init(snapshot: snapshot, reasons: reasons))
            } else {
                result.remove.append(snapshot)
            }
        }
        return result
    }
}

/// Throws if a policy would remove every snapshot of a group: that is hardly ever meant, and naming them does it.
package func requireSomethingKept(_ groups: [RetentionGroup]) throws(NodeError) {
    guard let emptied = groups.first(where: { $0.keep.isEmpty && !$0.remove.isEmpty }) else { return }
    let paths = emptied.paths.map(\.description).joined(separator: " ")
    throw NodeError(
        .usage, "forget", "that would remove every snapshot of \(emptied.host) \(paths); to do so, name them. Nothing was removed"
    )
}

extension [RawPath] {
    /// Orders lists of paths: a NUL, which no path holds, ends each.
    fileprivate var lexicographical: RawPath { RawPath(bytes: flatMap { $0.bytes + [0] }) }
}

/// One period of a policy: how many are still to be kept, and which one was met last.
private struct Bucket {
    let name: String
    var count: Int
    let number: (CalendarTime, Int) -> Int
    var lastNumber: Int?
}

private func reasonsToKeep(
    _ newestFirst: [SnapshotSummary], _ policy: RetentionPolicy, _ now: Int64, _ calendar: (Int64) -> CalendarTime
) -> [[String]] {
    func day(_ time: CalendarTime) -> Int { (time.year * 100 + time.month) * 100 + time.day }
    var buckets = [
        Bucket(name: "last", count: policy.last) { _, index in index },
        Bucket(name: "hourly", count: policy.hourly) { time, _ in day(time) * 100 + time.hour },
        Bucket(name: "daily", count: policy.daily) { time, _ in day(time) },
        Bucket(name: "weekly", count: policy.weekly) { time, _ in time.week.year * 100 + time.week.number },
        Bucket(name: "monthly", count: policy.monthly) { time, _ in time.year * 100 + time.month },
        Bucket(name: "yearly", count: policy.yearly) { time, _ in time.year },
    ]
    let newest = newestFirst.first { $0.time <= now } ?? newestFirst.first
    let withinStart = newest.flatMap { newest in policy.within?.secondNumber(before: calendar(newest.time)) }
    return newestFirst.enumerated().map { index, snapshot in
        let time = calendar(snapshot.time)
        var reasons: [String] = []
        for tags in policy.tags where Set(tags).isSubset(of: snapshot.tags) {
            reasons.append("tag \(tags.joined(separator: ","))")
        }
        if let within = policy.within, let start = withinStart, time.secondNumber > start {
            reasons.append("within \(within.text)")
        }
        if snapshot.time > now { return reasons + ["from the future"] }
        for place in buckets.indices where buckets[place].count > 0 {
            let number = buckets[place].number(time, index)
            let isNew = number != buckets[place].lastNumber
            guard isNew || index == newestFirst.count - 1 else { continue }
            reasons.append(isNew ? buckets[place].name : "oldest \(buckets[place].name)")
            buckets[place].lastNumber = number
            buckets[place].count -= 1
        }
        return reasons
    }
}
