package import Archive
internal import BackupFormat

/// The fewest digits of an id that name a snapshot.
package let snapshotPrefixDigitsMin = 4

/// Clocks of several machines may differ by this much, in nanoseconds, before one counts as wrong.
private let clockTolerance: Int64 = 3_600_000_000_000

extension SnapshotSummary {
    /// Made while a clock was wrong: its time is more than an hour after `now`, in nanoseconds since 1970.
    package func isFromTheFuture(_ now: Int64) -> Bool {
        let (end, overflow) = now.addingReportingOverflow(clockTolerance)
        return !overflow && time > end
    }
}

/// As `latest`, `latest~1` and so on name them: those from the future come last, or one of them would stay the latest for years.
package func newestFirst(_ snapshots: [SnapshotSummary], now: Int64) -> [SnapshotSummary] {
    func rank(_ snapshot: SnapshotSummary) -> (Int, Int64, SnapshotID) {
        (snapshot.isFromTheFuture(now) ? 0 : 1, snapshot.time, snapshot.id)
    }
    return snapshots.sorted { rank($0) > rank($1) }
}

/// The snapshot that cannot be read and has this id, given in full: to remove it, since sweeps stop as long as it is there.
package func damagedSnapshot(_ name: String, in catalog: SnapshotCatalog) -> DamagedSnapshot? {
    catalog.damaged.first { $0.id.hex == name.lowercased() }
}

/// The snapshot that `name` stands for: `latest`, `latest~N` (N before it), or 4 to 64 digits of an id, if only one begins so.
///
/// `now` is nanoseconds since 1970: see ``newestFirst(_:now:)``.
package func resolveSnapshot(
    _ name: String, in snapshots: [SnapshotSummary], now: Int64
) throws(NodeError) -> SnapshotSummary {
    let newestFirst = newestFirst(snapshots, now: now)
    guard let newest = newestFirst.first else {
        throw NodeError(
            .failed, "snapshot \(name)",
            "there are no snapshots yet; make one with `backup`, or bring those of a lost machine back with `recover`")
    }
    if name == "latest" { return newest }
    if name.hasPrefix("latest~") {
        guard let back = Int(name.dropFirst("latest~".count)), back >= 0 else {
            throw NodeError(.usage, "snapshot \(name)", "after `latest~` comes a number, as in `latest~2`")
        }
        guard back < newestFirst.count else {
            let are = newestFirst.count == 1 ? "is" : "are"
            throw NodeError(.failed, "snapshot \(name)", "there \(are) only \(describeCount(newestFirst.count, "snapshot"))")
        }
        return newestFirst[back]
    }
    let prefix = name.lowercased()
    guard !prefix.isEmpty, prefix.utf8.count <= 64, prefix.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
        throw NodeError(
            .usage, "snapshot \(name)",
            "a snapshot is named by `latest`, `latest~2`, or the beginning of its id (see `snapshots`)")
    }
    let candidates = newestFirst.filter { $0.id.hex.hasPrefix(prefix) }
    if candidates.isEmpty {
        throw NodeError(.failed, "snapshot \(name)", "no snapshot has an id that begins so; `snapshots` lists them")
    }
    if candidates.count > 1 {
        var lines = candidates.prefix(10).map { candidate in
            "\n  \(candidate.id.hex.prefix(16))  \(CalendarTime.local(candidate.time).secondText)  \(candidate.host)"
        }
        if candidates.count > 10 { lines.append("\n  and \(candidates.count - 10) more") }
        throw NodeError(.usage, "snapshot \(name)", "more than one id begins so; give more digits:\(lines.joined())")
    }
    if prefix.utf8.count < snapshotPrefixDigitsMin {
        throw NodeError(
            .usage, "snapshot \(name)",
            "give at least \(snapshotPrefixDigitsMin) digits, so that it stays clear which one is meant")
    }
    return candidates[0]
}
