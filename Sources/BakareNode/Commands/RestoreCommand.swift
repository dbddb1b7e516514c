internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode

struct RestoreCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring files back.",
        discussion: """
            What was backed up as /home/me comes back as DIR/home/me. With --target / it
            comes back in place, and only what differs is written. A restore that was
            interrupted goes on where it was when run again.

            Ends with 3 if some files could not be restored: each is named.
            """)

    @Argument(help: "latest, latest~2, or the beginning of an id.")
    var snapshot: String

    @Argument(help: "Only these paths, as they were backed up.")
    var path: [String] = []

    @Option(help: ArgumentHelp("Where to.", valueName: "dir"), completion: .directory)
    var target: String

    @Option(help: ArgumentHelp("What to do with a file that is there: always, if-newer or never.", valueName: "when"))
    var overwrite: RestoreRequest.Overwrite = .always

    @Flag(help: "Remove what the snapshot does not hold, from folders that it holds in full (nothing was left out).")
    var delete = false

    @Flag(help: "Read everything back and compare.")
    var verify = false

    @Flag(help: "Write nothing.")
    var dryRun = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let snapshot = try session.snapshot(snapshot, of: node)
        try session.complete(snapshot.id, of: node)
        let request = RestoreRequest(
            snapshot: snapshot.id, paths: path.map { session.path($0) },
            target: session.environment.existing(RawPath(argument: target)), overwrite: overwrite, deleteExtraneous: delete,
            verify: verify, dryRun: dryRun, forbidden: [try session.home.identity()])
        session.detail("restoring snapshot \(snapshot.id.hex.prefix(8)) to \(request.target)")
        let report = try session.run("restoring") { progress, problem throws(NodeError) in
            try session.withPeers(node, progress) { () throws(NodeError) in
                try node.restore(request, progress, report: problem)
            }
        }
        session.answer(report.json)
        let entries =
            "\(describeCount(report.files, "file")), \(describeCount(report.directories, "folder")), \(describeBytes(report.bytes))"
        session.tell("\(dryRun ? "would restore" : "restored") \(entries)  in \(describeSeconds(report.seconds))")
        var details: [String] = []
        if report.unchangedFiles > 0 { details.append("\(describeCount(report.unchangedFiles, "file")) unchanged") }
        if report.keptFiles > 0 {
            details.append(
                "\(describeCount(report.keptFiles, "entry", "entries")) kept as there (--overwrite \(overwrite.rawValue))")
        }
        if report.writtenBytes != report.bytes {
            details.append("\(describeBytes(report.writtenBytes)) \(dryRun ? "to write" : "written")")
        }
        if report.deleted > 0 {
            details.append("\(describeCount(report.deleted, "entry", "entries")) \(dryRun ? "to remove" : "removed")")
        }
        if verify, report.errors.isEmpty, !dryRun {
            details.append(report.keptFiles > 0 ? "all else read back and equal" : "all read back and equal")
        }
        if !details.isEmpty { session.tell(details.joined(separator: "  ")) }
        guard report.errors.isEmpty else {
            session.warn("\(describeCount(report.errors.count, "entry", "entries")) could not be restored (named above)")
            return .withProblems
        }
        return .done
    }
}

extension RestoreRequest.Overwrite: ExpressibleByArgument {}
