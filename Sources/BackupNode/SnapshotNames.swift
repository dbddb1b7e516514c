package import Archive

/// The fewest digits of an id that name a snapshot.
package let snapshotPrefixDigitsMin = 4

/// The snapshot that `name` stands for: `latest`, `latest~N` (N before it), or 4 to 64 digits of an id, if only one begins so.
package func resolveSnapshot(_ name: String, in snapshots: [SnapshotSummary]) throws(NodeError) -> SnapshotSummary {
    let newestFirst = snapshots.sorted { ($0.time, $0.id) > ($1.time, $1.id) }
    guard let newest = newestFirst.first else {
        throw NodeError(.failed, "snapshot \(name)", "there are no snapshots yet; make one with `backup`")
    }
    if name == "latest" { return newest }
    if name.hasPrefix("latest~") {
        guard let back = Int(name.dropFirst("latest~".count)), back >= 0 else {
            throw NodeError(.usage, "snapshot \(name)", "after `latest~` comes a number, as in `latest~2`")
        }
        guard back < newestFirst.count else {
            throw NodeError(.failed, "snapshot \(name)", "there are only \(describeCount(newestFirst.count, "snapshot"))")
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
