internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles

/// Makes snapshots, one after the other, and tells of each.
struct BackupWork {
    private let session: Session
    private let configuration: Configuration
    private let node: Node
    private let running: RunningNode?

    init(_ session: Session, _ configuration: Configuration, _ node: Node, _ request: BackupRequest) {
        self.session = session
        self.configuration = configuration
        self.node = node
        running = try? RunningNode.find(session.home)
    }

    /// Makes one. With a guide, what it found goes to standard output, for the running node.
    func run(
        _ set: SourceSet?, _ asked: BackupRequest, guide: BackupGuide?, waits: Bool
    ) throws(NodeError) -> (BackupReport, ReplicaCount) {
        var request = asked
        request.changes = guide?.changes
        for path in request.paths { session.detail("backing up \(path)") }
        if let bytes = configuration.localCopyBytes, !node.keys.isWriteOnly, configuration.role != .persister {
            let home = session.home
            request.spool = Spool(limitBytes: bytes + configuration.spoolBytes, stepBytes: configuration.spoolBytes / 4) {
                guard let running = try? RunningNode.find(home) else { return false }
                return (try? running.changed()) != nil
            }
        }
        // For one saved file nobody wants a database dumped.
        let hooked = request.dryRun || request.changes?.use == .instead ? nil : set
        if let hook = hooked.flatMap({ BackupHook(.before, of: $0) }) { try run(hook) }
        let report: BackupReport
        do throws(NodeError) {
            report = try session.run("backing up") { progress, problem throws(NodeError) in
                let work = { () throws(NodeError) in try node.backUp(request, progress, report: problem) }
                let made: BackupReport
                if let running { made = try running.duringBackup(work) } else { made = try work() }
                // The running node knows of the snapshot now and brings it to peers; nobody waits for an index there.
                node.followNames(of: made, at: request.time, progress)
                return made
            }
        } catch {
            if let hook = hooked.flatMap({ BackupHook(.after, of: $0) }) { try? run(hook, result: "failed") }
            throw error
        }
        let hasProblems = report.errorCount > 0
        if let hook = hooked.flatMap({ BackupHook(.after, of: $0) }) {
            // The snapshot stands, whatever becomes of this.
            do throws(NodeError) {
                try run(hook, result: hasProblems ? "problems" : "done", snapshot: report.snapshot)
            } catch { session.warn("\(error)") }
        }
        if let snapshot = report.snapshot, guide != nil {
            let outcome = GuidedOutcome(report, snapshot, digest: request.digest)
            Standard.output.write(outcome.encode())
            Standard.output.flush()
        } else {
            summarise(report)
        }
        return (report, try replicate(report, waits))
    }

    private func run(_ hook: BackupHook, result: String? = nil, snapshot: SnapshotID? = nil) throws(NodeError) {
        let progress = Progress()
        try Interruption.during(progress) { () throws(NodeError) in
            try hook.run(result: result, snapshot: snapshot?.hex, isStopping: { progress.isStopping }) { line in
                Standard.error.line("bakare-node: \(line)")
            }
        }
    }

    /// Lets the running node know; with `--wait`, until enough peers have the snapshot.
    private func replicate(_ report: BackupReport, _ waits: Bool) throws(NodeError) -> ReplicaCount {
        guard let snapshot = report.snapshot else {
            return ReplicaCount(replicas: 0, target: node.configuration.replicas)
        }
        let target = node.targets[snapshot]
        guard waits else { return node.replicaCounts(now: currentTime())[snapshot] }
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

    private func summarise(_ report: BackupReport) {
        for place in report.places where !place.links.isEmpty {
            if let end = place.end {
                let what = place.isThere ? "which is backed up under that name" : "where nothing is: only the link is backed up"
                session.tell("\(place.path) leads to \(end), \(what)")
            } else {
                session.tell("\(place.path) leads nowhere: only the link is backed up")
            }
        }
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
