internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Synchronization

struct VersionsCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions", abstract: "What a file was in each snapshot.",
        discussion: """
            One line a version, the oldest first: when it was last changed, its size, which
            content it had (versions of the same number hold the same bytes), and the first
            and last of the snapshots that hold it so.
            """)

    @Argument(help: "A path as it was backed up.")
    var path: String

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let snapshots = try session.snapshots(of: node)
        guard !snapshots.isEmpty else {
            throw NodeError(
                .failed, "versions",
                "there are no snapshots yet; make one with `backup`, or bring those of a lost machine back with `recover`")
        }
        let progress = Progress()
        let versions = try Interruption.during(progress) { () throws(NodeError) in
            try session.withPeers(node, progress) { () throws(NodeError) in
                try node.versions(of: session.path(path), in: snapshots, progress) { problem in
                    session.warn("\(problem.path): \(problem.operation): \(problem.reason)")
                }
            }
        }
        session.answer(.array(versions.map(\.json)))
        show(versions, newest: snapshots, session)
        return progress.problems.load(ordering: .relaxed) > 0 ? .withProblems : .done
    }

    private func show(_ versions: [PathVersion], newest snapshots: [SnapshotSummary], _ session: Session) {
        var table = Table([
            ("CHANGED", .left), ("SIZE", .right), ("CONTENT", .right), ("IN", .right), ("FIRST", .left), ("LATEST", .left),
        ])
        func name(_ snapshot: SnapshotSummary?) -> String {
            snapshot.map { "\($0.id.hex.prefix(8)) (\(CalendarTime.local($0.time).minuteText))" } ?? ""
        }
        for version in versions {
            let entry = version.entry
            table.add([
                CalendarTime.local(entry.modified)?.secondText ?? "@\(entry.modified.seconds)",
                entry.type == .file ? describeBytes(Int(clamping: entry.size)) : entry.type.name, "\(version.content)",
                describeCount(version.snapshots.count), name(version.snapshots.first), name(version.snapshots.last),
            ])
        }
        for line in table.lines() { session.say(line) }
    }
}
