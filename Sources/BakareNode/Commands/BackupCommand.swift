internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles

struct BackupCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Make one snapshot of the paths, or of each set of configured sources.",
        discussion: """
            Ends with 3 if some files could not be read: each is named, all others are safe.

            A path may be a link, or lead through some: they are kept, and so is what they
            lead to, under its own name. Links further down are kept as links.

            Patterns are those of gitignore: the last that matches decides, `!` keeps, a
            slash at the end matches folders only. One that begins with a slash is an
            absolute path, any other matches at any depth.
            """)

    @Argument(help: "Files and folders; those of bakare.toml if none is given.", completion: .file())
    var path: [String] = []

    @Option(help: ArgumentHelp("Of bakare.toml's [[sources]], only the one of this name; again for more.", valueName: "name"))
    var source: [String] = []

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

    /// What the running node has noticed of a set that it watches.
    @Option(help: .private)
    var guide: String?

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let configuration = try session.configuration(writing: true)
        let sets = try sets(configuration)
        let keys = try session.keys()
        // Before anything is opened: with nothing to do, the home stays as it is.
        let first = try request(sets.first ?? nil, configuration, session)
        let work = BackupWork(session, configuration, try Node(session.home, keys, configuration), first)
        guard sets.count > 1 else { return try finish(work, sets.first ?? nil, first, session) }
        var results: [JSON] = []
        var worst = ExitStatus.done
        for (index, set) in sets.enumerated() {
            do throws(NodeError) {
                let request = index == 0 ? first : try request(set, configuration, session)
                if let set { session.tell("\(set.name):") }
                let (report, count) = try work.run(set, request, guide: nil, waits: wait)
                results.append(report.json(count))
                worst = worse(worst, status(report, count))
            } catch {
                if error.code == .interrupted { throw error }
                session.warn("\(set?.name ?? ""): \(error)")
                worst = .failed
            }
        }
        session.answer(.array(results))
        return worst
    }

    private func finish(
        _ work: BackupWork, _ set: SourceSet?, _ request: BackupRequest, _ session: Session
    ) throws -> ExitStatus {
        let guide = try guide.map { path throws(NodeError) in try session.home.readGuide(RawPath(argument: path)) }
        let (report, count) = try work.run(set, request, guide: guide, waits: wait)
        if guide == nil { session.answer(report.json(count)) }
        return status(report, count)
    }

    private func status(_ report: BackupReport, _ count: ReplicaCount) -> ExitStatus {
        if report.errorCount > 0 || !report.errors.isEmpty { return .withProblems }
        return wait && report.snapshot != nil && !count.isProtected ? .partly : .done
    }

    /// Files that could not be read are told rather than peers that are not here yet.
    private func worse(_ a: ExitStatus, _ b: ExitStatus) -> ExitStatus {
        [.failed, .withProblems, .partly].first { $0 == a || $0 == b } ?? .done
    }

    /// Nil stands for paths of the command line.
    private func sets(_ configuration: Configuration) throws(NodeError) -> [SourceSet?] {
        guard path.isEmpty else {
            guard source.isEmpty else { throw NodeError(.usage, "backup", "name paths, or sources of bakare.toml, not both") }
            return [nil]
        }
        let all = configuration.sourceSets
        guard !source.isEmpty else { return all.isEmpty ? [nil] : all }
        return try source.map { name throws(NodeError) in
            guard let set = all.first(where: { $0.name == name }) else {
                let names = all.map(\.name).joined(separator: ", ")
                throw NodeError(.usage, "--source", "bakare.toml has no sources \(readable(name)); it has \(names)")
            }
            return set
        }
    }

    private func request(
        _ set: SourceSet?, _ configuration: Configuration, _ session: Session
    ) throws(NodeError) -> BackupRequest {
        var options = BackupOptions()
        options.paths = path.map { RawPath(argument: $0) }
        options.exclude = exclude.map { RawPath(argument: $0) }
        options.excludeFiles = excludeFile.map { RawPath(argument: $0) }
        options.excludeLargerThanBytes = excludeLargerThan?.bytes
        options.excludeCaches = excludeCaches
        options.oneFileSystem = oneFileSystem
        options.tags = tag.map(readable)
        options.dryRun = dryRun
        return try session.home.backupRequest(
            options, set ?? configuration.sources, configuration, session.environment, now: currentTime())
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
