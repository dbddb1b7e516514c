internal import Archive
internal import ArgumentParser
internal import BackupNode

struct SnapshotsCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots", abstract: "List the snapshots, the oldest first.",
        discussion: """
            Other commands name a snapshot by the beginning of its id (4 digits or more),
            by `latest`, or by `latest~2` for the second before it.
            """)

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let snapshots = try session.snapshots(of: try session.node(writing: false))
        session.answer(.array(snapshots.map(\.json)))
        if snapshots.isEmpty {
            session.say("no snapshots yet; make one with `bakare-node backup PATH`")
            return .done
        }
        let now = currentTime()
        var table = Table([
            ("ID", .left), ("TIME", .left), ("HOST", .left), ("FILES", .right), ("SIZE", .right), ("PATHS", .left),
        ])
        for snapshot in snapshots {
            var paths = snapshot.paths.map(\.description).joined(separator: " ")
            if !snapshot.tags.isEmpty { paths += "  [\(snapshot.tags.joined(separator: ","))]" }
            if snapshot.errorCount > 0 { paths += "  (\(describeCount(snapshot.errorCount, "file")) unread)" }
            if snapshot.isFromTheFuture(now) { paths += "  (from the future: a clock was wrong)" }
            table.add([
                String(snapshot.id.hex.prefix(8)), CalendarTime.local(snapshot.time).minuteText, snapshot.host,
                describeCount(snapshot.files), describeBytes(snapshot.bytes), paths,
            ])
        }
        for line in table.lines() { session.say(line) }
        return .done
    }
}
