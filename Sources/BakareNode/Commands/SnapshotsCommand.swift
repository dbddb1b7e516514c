internal import Archive
internal import ArgumentParser
internal import BackupNode
internal import HostFiles

struct SnapshotsCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots", abstract: "List the snapshots, the oldest first.",
        discussion: """
            Other commands name a snapshot by the beginning of its id (4 digits or more),
            by `latest`, or by `latest~2` for the second before it. COPIES is on how many
            nodes besides this one a snapshot is proven, and on how many it should be.
            """)

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let snapshots = try session.snapshots(of: node)
        let replicas = node.replicaCounts(now: currentTime())
        let losses = try node.losses(of: snapshots)
        session.answer(.array(snapshots.map { $0.json(replicas[$0], isIncomplete: losses.hurts($0)) }))
        if snapshots.isEmpty {
            session.say(
                "no snapshots yet; make one with `bakare-node backup PATH`, or bring those of a lost machine back with `recover`")
            return .done
        }
        let now = currentTime()
        var table = Table([
            ("ID", .left), ("TIME", .left), ("HOST", .left), ("FILES", .right), ("SIZE", .right), ("COPIES", .right),
            ("PATHS", .left),
        ])
        for snapshot in snapshots {
            var paths = snapshot.paths.map(\.description).joined(separator: " ")
            if !snapshot.tags.isEmpty { paths += "  [\(snapshot.tags.joined(separator: ","))]" }
            if snapshot.errorCount > 0 { paths += "  (\(describeCount(snapshot.errorCount, "file")) unread)" }
            if losses.hurts(snapshot) { paths += "  (incomplete: `check` names what is lost)" }
            if snapshot.isFromTheFuture(now) { paths += "  (from the future: a clock was wrong)" }
            table.add([
                String(snapshot.id.hex.prefix(8)), CalendarTime.local(snapshot.time).minuteText, snapshot.host,
                describeCount(snapshot.files), describeBytes(snapshot.bytes),
                "\(replicas[snapshot].replicas)/\(replicas[snapshot].target)", paths,
            ])
        }
        for line in table.lines() { session.say(line) }
        return .done
    }
}
