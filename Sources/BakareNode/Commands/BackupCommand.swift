internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles

struct BackupCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Make one snapshot of the paths, or of the configured sources.",
        discussion: """
            Ends with 3 if some files could not be read: each is named, all others are safe.

            Patterns are those of gitignore: the last that matches decides, `!` keeps, a
            slash at the end matches folders only. One that begins with a slash is an
            absolute path, any other matches at any depth.
            """)

    @Argument(help: "Files and folders; those of bakare.toml if none is given.", completion: .file())
    var path: [String] = []

    @Option(name: .customLong("exclude"), help: ArgumentHelp("Leave out what matches.", valueName: "pattern"))
    var exclude: [String] = []

    @Option(help: ArgumentHelp("Leave out what matches a line of the file.", valueName: "file"), completion: .file())
    var excludeFile: [String] = []

    @Option(help: ArgumentHelp("Leave out files above a size, as in 10GB.", valueName: "size"))
    var excludeLargerThan: ByteCount?

    @Flag(help: "Of folders with a CACHEDIR.TAG, keep the tag alone.")
    var excludeCaches = false

    @Flag(help: "Do not go down into other file systems.")
    var oneFileSystem = false

    @Option(help: ArgumentHelp("Put on the snapshot; several, or joined by commas.", valueName: "tag"))
    var tag: [String] = []

    @Flag(help: "Read and compare everything, store nothing.")
    var dryRun = false

    @Flag(help: "End only when other nodes have it too.")
    var wait = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        var options = BackupOptions()
        options.paths = path.map { RawPath(argument: $0) }
        options.exclude = exclude.map { RawPath(argument: $0) }
        options.excludeFiles = excludeFile.map { RawPath(argument: $0) }
        options.excludeLargerThanBytes = excludeLargerThan?.bytes
        options.excludeCaches = excludeCaches
        options.oneFileSystem = oneFileSystem
        options.tags = tag.map(readable)
        options.dryRun = dryRun
        let configuration = try session.configuration(writing: true)
        let keys = try session.keys()
        var request = try session.home.backupRequest(options, configuration, session.environment, now: currentTime())
        let node = try Node(session.home, keys, configuration)
        for path in request.paths { session.detail("backing up \(path)") }
        let running = try? RunningNode.find(session.home)
        if let bytes = configuration.localCopyBytes, !keys.isWriteOnly, configuration.role != .persister {
            let home = session.home
            request.spool = Spool(limitBytes: bytes + configuration.spoolBytes, stepBytes: configuration.spoolBytes / 4) {
                guard let running = try? RunningNode.find(home) else { return false }
                return (try? running.changed()) != nil
            }
        }
        let report = try session.run("backing up") { progress, problem throws(NodeError) in
            let work = { () throws(NodeError) in try node.backUp(request, progress, report: problem) }
            guard let running else { return try work() }
            return try running.duringBackup(work)
        }
        summarise(report, session)
        let count = try replicate(report, node, running, session)
        session.answer(report.json(count))
        if report.errorCount > 0 || !report.errors.isEmpty { return .withProblems }
        return wait && report.snapshot != nil && !count.isProtected ? .partly : .done
    }

    /// Lets the running node know; with `--wait`, until enough peers have the snapshot.
    private func replicate(
        _ report: BackupReport, _ node: Node, _ running: RunningNode?, _ session: Session
    ) throws(NodeError) -> ReplicaCount {
        let target = node.configuration.replicas
        guard let snapshot = report.snapshot else { return ReplicaCount(replicas: 0, target: target) }
        guard wait else { return node.replicaCounts(now: currentTime())[snapshot] }
        guard let running else {
            session.warn("--wait: no node runs on this home, so that only this one has the snapshot; run `bakare-node start`")
            return ReplicaCount(replicas: 0, target: target)
        }
        let count = try session.run("copying to peers") { progress, _ throws(NodeError) in
            try running.wait(for: snapshot, isStopping: { progress.isStopping }) { count in
                session.detail("on \(count.replicas) of \(count.target) other nodes")
            }
        }
        if count.isProtected {
            session.tell("on \(describeCount(count.replicas, "other node"))")
        } else {
            session.warn("--wait: on \(count.replicas) of \(count.target) other nodes; \(remedy(try? running.peers()))")
        }
        return count
    }

    /// What is in the way of more copies.
    private func remedy(_ peers: [PeerReport]?) -> String {
        let peers = (peers ?? []).filter { $0.trust == .own || $0.trust == .friend }
        if peers.isEmpty { return "no other is paired: `bakare-node invite` here, and `join` there" }
        guard peers.contains(where: \.isOnline) else { return "no other is connected; the running node goes on when one is" }
        return "the running node goes on when more are here or have room (`bakare-node peers`)"
    }

    private func summarise(_ report: BackupReport, _ session: Session) {
        let files =
            "\(describeCount(report.files, "file")), \(describeCount(report.directories, "folder")), \(describeBytes(report.bytes))"
        if let snapshot = report.snapshot {
            session.tell("snapshot \(snapshot.hex.prefix(8))  \(files)  in \(describeSeconds(report.seconds))")
        } else {
            session.tell("dry run  \(files)  in \(describeSeconds(report.seconds))")
        }
        let changed = report.files - report.unchangedFiles
        session.tell(
            "\(describeCount(changed, "file")) new or changed  \(describeBytes(report.newBytes)) new"
                + "  \(describeBytes(report.storedBytes)) \(report.snapshot == nil ? "to store" : "stored")")
        let problems = max(report.errorCount, report.errors.count)
        if problems > 0 {
            session.warn("\(describeCount(problems, "file")) could not be read (named above); all others are in the snapshot")
        }
    }
}

/// A size on the command line.
struct ByteCount: ExpressibleByArgument {
    let bytes: Int
    init?(argument: String) {
        guard let bytes = byteCount(argument) else { return nil }
        self.bytes = bytes
    }
}
