internal import Archive
internal import ArgumentParser
internal import BackupNode

struct DumpCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Write a file of a snapshot, or a tar of a folder, to standard output.")

    @Argument(help: "latest, latest~2, or the beginning of an id.")
    var snapshot: String

    @Argument(help: "A path as it was backed up.")
    var path: String

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        guard !global.json else { throw NodeError(.usage, "dump", "writes bytes, so that --json has no meaning here") }
        let node = try session.node(writing: false)
        let snapshot = try session.snapshot(snapshot, of: node)
        try session.complete(snapshot.id, of: node)
        var problems = 0
        let progress = Progress()
        try Interruption.during(progress) { () throws(NodeError) in
            try session.withPeers(node, progress) { () throws(NodeError) in
                try node.dump(snapshot.id, at: session.path(path), to: 1, progress) { problem in
                    problems += 1
                    session.warn("\(problem.path): \(problem.operation): \(problem.reason)")
                }
            }
        }
        return problems > 0 ? .withProblems : .done
    }
}
