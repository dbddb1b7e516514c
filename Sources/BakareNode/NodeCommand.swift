internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import Synchronization
internal import HostFiles

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where keys, backups and bakare.toml are.", valueName: "dir"), completion: .directory)
    var home: String?

    @Option(help: ArgumentHelp("Another bakare.toml.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(name: [.short, .long], help: "Only results and errors.")
    var quiet = false

    @Flag(name: [.short, .long], help: "More of what is done.")
    var verbose = false

    @Flag(help: "One JSON document on standard output.")
    var json = false

    @Option(help: ArgumentHelp("auto, json (one object a line) or none.", valueName: "style"))
    var progress: ProgressStyle = .auto
}

extension ProgressStyle: ExpressibleByArgument {}

/// A command that works on a node: reports its own errors and ends with an exit status.
protocol NodeCommand: ParsableCommand {
    var global: GlobalOptions { get }
    func execute(_ session: Session) throws -> ExitStatus
}

extension NodeCommand {
    func execute() -> ExitStatus {
        do {
            return try execute(try Session(global))
        } catch let error as NodeError {
            Standard.output.flush()
            if error.code == .brokenPipe { endByBrokenPipe() }
            Standard.error.line("bakare-node: \(error)")
            switch error.code {
            case .usage: return .usage
            case .interrupted: return .interrupted
            default: return .failed
            }
        } catch {
            Standard.output.flush()
            Standard.error.line("bakare-node: \(error)")
            return .failed
        }
    }
}

/// What commands share: where the home is, and how to speak.
struct Session {
    let options: GlobalOptions
    let environment: Environment
    let home: Home

    init(_ options: GlobalOptions) throws(NodeError) {
        self.options = options
        environment = Environment.current()
        home = try Home.locate(
            home: options.home.map { RawPath(argument: $0) }, configuration: options.config.map { RawPath(argument: $0) },
            environment: environment)
        // By way of links, as all else goes.
        do throws(HostFilesError) { _ = try home.disk.status(home.directory.appending(".")) } catch {
            guard error.code == .notADirectory else { return }
            throw NodeError(
                .usage, "open the home", "that is a file, and no folder; name another with --home", path: home.directory)
        }
    }

    /// A line of result for people: not with `--json`.
    func say(_ text: String) { if !options.json { Standard.output.line(text) } }

    /// A line of result that `--quiet` leaves out.
    func tell(_ text: String) { if !options.json, !options.quiet { Standard.output.line(text) } }

    func warn(_ text: String) {
        // What was said before stands before it on a terminal.
        if !options.json { Standard.output.flush() }
        Standard.error.line("bakare-node: \(text)")
    }

    func detail(_ text: String) { if options.verbose { Standard.error.line("bakare-node: \(text)") } }

    /// The one document of `--json`.
    func answer(_ json: @autoclosure () -> JSON) { if options.json { Standard.output.line(json().prettyText) } }

    /// The configuration. A command that writes stops at a wrong one, one that only reads goes on with a warning.
    func configuration(writing: Bool) throws(NodeError) -> Configuration {
        if options.config != nil, home.lacksConfiguration {
            throw NodeError(.usage, "--config", "there is no such file", path: home.configurationFile)
        }
        let loaded = home.loadConfiguration()
        if writing { return try home.requireSound(loaded) }
        for problem in loaded.problems { warn("\(problem)") }
        if let fallback = loaded.fallback { warn("the configuration is damaged: \(fallback). Mend it, then run `config check`") }
        return loaded.configuration
    }

    /// The home's keys; a home that is not there is made.
    func keys() throws(NodeError) -> HomeKeys {
        let opened = try home.open(host: machineName(), now: currentTime())
        report(opened)
        return opened.keys
    }

    /// Opens the node.
    func node(writing: Bool) throws(NodeError) -> Node {
        let configuration = try configuration(writing: writing)
        return try Node(home, try keys(), configuration)
    }

    /// All snapshots that can be read, the oldest first; says which cannot: another may be taken for the latest then.
    func snapshots(of node: Node) throws(NodeError) -> [SnapshotSummary] {
        let catalog = try node.catalog()
        for damaged in catalog.damaged {
            warn("a snapshot is passed over: \(damaged.reason)")
        }
        return catalog.snapshots
    }

    /// The snapshot that `name` stands for: see ``resolveSnapshot(_:in:now:)``.
    func snapshot(_ name: String, of node: Node) throws(NodeError) -> SnapshotSummary {
        try resolveSnapshot(name, in: try snapshots(of: node), now: currentTime())
    }

    /// Says that a home was made, or that key files were damaged.
    func report(_ opened: Home.Opened) {
        for repair in opened.repairs {
            warn("key file \(repair.path) \(repair.message)\(repair.isMended ? ": mended" : "")")
        }
        guard opened.isNew else { return }
        Standard.error.line("bakare-node: made a new home in \(home.directory)")
        if let owner = opened.keys.owner { Standard.error.write(recoveryNotice(owner.recoveryText)) }
    }

    /// Brings the packs that a snapshot needs and that are not here from peers, if the node runs and they have them. Where not, whatever
    /// needs them will say so by itself.
    func complete(_ snapshot: SnapshotID, of node: Node) throws(NodeError) {
        let missing = try node.missingPacks(of: snapshot)
        guard !missing.isEmpty else { return }
        guard let running = try RunningNode.find(home) else {
            return warn(
                "\(describeCount(missing.count, "pack")) of the snapshot are not here: `bakare-node start` would fetch them from peers"
            )
        }
        do throws(NodeError) {
            let report = try run("fetching") { progress, _ throws(NodeError) in
                try running.fetch(packs: missing, snapshots: [], isStopping: { progress.isStopping }) { bytes in
                    progress.bytes.store(bytes, ordering: .relaxed)
                }
            }
            try node.refresh()
            tell("fetched \(describeCount(report.packs, "pack")) of \(describeCount(missing.count)) from peers")
        } catch {
            if error.code == .interrupted { throw error }
            warn("\(error)")
        }
    }

    /// Runs `body` while the node reads from peers what only they have.
    func withPeers<R>(_ node: Node, _ progress: Progress, _ body: () throws(NodeError) -> R) throws(NodeError) -> R {
        let peers = PeerPacks(home, node.keys, node.configuration, progress) { text in
            if !options.quiet { Standard.error.line("bakare-node: \(text)") }
        }
        if let peers { node.readElsewhere(from: peers) }
        defer { peers?.close() }
        return try body()
    }

    /// Lets the node that runs on this home, if one does, look at what has changed. It would find out by itself a little later.
    func tellRunningNode() { try? RunningNode.find(home)?.changed() }

    /// The peers as the running node sees them, or as they were known last.
    func peers(_ keys: HomeKeys) throws(NodeError) -> (peers: [PeerReport], isRunning: Bool) {
        do throws(NodeError) {
            if let running = try RunningNode.find(home) { return (try running.peers(), true) }
        } catch { warn("\(error)") }
        return (try PeerReport.offline(home, keys), false)
    }

    /// How the sources stand in the node that runs; empty where none does.
    func sources() -> [SourceReport] {
        do throws(NodeError) { return try RunningNode.find(home)?.sources() ?? [] } catch {
            warn("\(error)")
            return []
        }
    }

    /// Runs an operation with its progress shown, until it ends or is interrupted. Problems with single files are named
    /// on standard error as they are found.
    func run<R>(
        _ verb: String, _ body: (Progress, @escaping @Sendable (FileProblem) -> Void) throws(NodeError) -> R
    ) throws(NodeError) -> R {
        let progress = Progress()
        let display = ProgressDisplay(
            progress, style: options.quiet && options.progress == .auto ? .none : options.progress, verb: verb)
        return try Interruption.during(progress) { () throws(NodeError) in
            try display.during { () throws(NodeError) in
                try body(progress) { problem in
                    display.line("bakare-node: \(problem.path): \(problem.operation): \(problem.reason)")
                }
            }
        }
    }

    /// An argument that names a path on this machine or in a snapshot, as an absolute path.
    func path(_ argument: String) -> RawPath { environment.absolute(RawPath(argument: argument)) }
}

/// The recovery key, in lines that fit 80 columns, with what it is for.
func recoveryNotice(_ text: String) -> String {
    let groups = text.split(separator: "-").map(String.init)
    var lines: [String] = []
    var line = ""
    for group in groups {
        let next = line.isEmpty ? group : "\(line)-\(group)"
        if next.count > 56 {
            lines.append(line + "-")
            line = group
        } else {
            line = next
        }
    }
    lines.append(line)
    return """

        Recovery key. Write it down and keep it away from this machine: with it alone
        all backups come back, without it a lost disk means lost backups.

        \(lines.map { "    " + $0 }.joined(separator: "\n"))

        It is shown again by `bakare-node key show`; `key check` tells whether what you
        wrote down is right.


        """
}
