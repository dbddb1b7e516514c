internal import BackupFormat
internal import BackupNode
internal import HostFiles

/// A `backup` of one set, which the running node has started: a process of its own with a memory limit of its own.
final class ScheduledBackup {
    enum End {
        /// `outcome` where a watch guided it.
        case done(GuidedOutcome?, hasProblems: Bool)
        /// With the exit code.
        case failed(Int32)
        /// The node stops.
        case stopped
    }

    /// A watch stands behind it, and wants its outcome.
    let isWatched: Bool
    private let core: DaemonCore
    private let child: ChildProcess
    private let began: Int64
    private let guideFile: RawPath
    private var output: [UInt8] = []
    private(set) var seconds = 0.0

    /// Nil where it could not be started, which is logged.
    init?(_ core: DaemonCore, _ set: SourceSet, _ guide: BackupGuide?) {
        self.core = core
        isWatched = guide != nil
        began = Int64(monotonicNanoseconds())
        let home = core.home
        guideFile = home.guideFile(set.name)
        var options = [Array("--source".utf8), Array(set.name.utf8)]
        if let guide {
            do throws(HostFilesError) { try home.disk.replaceFile(guideFile, with: guide.encode()) } catch {
                core.log("the backup of \(set.name) cannot begin: \(error)")
                return nil
            }
            options += [Array("--guide".utf8), guideFile.bytes]
        }
        guard let child = startCommand(["backup"], options: options, output: .standard, core) else { return nil }
        self.child = child
        core.backupRuns(true)
    }

    /// How it ended; nil while it runs.
    func poll() -> End? {
        if core.isStopping { child.terminate() }
        let code = child.poll()
        while true {
            let bytes = child.read()
            if bytes.isEmpty { break }
            if output.count <= GuidedOutcome.encodedBytesMax { output += bytes }
        }
        guard let code else { return nil }
        core.backupRuns(false)
        seconds = Double(Int64(monotonicNanoseconds()) - began) / 1e9
        if core.isStopping { return .stopped }
        guard code == 0 || code == 3 else { return .failed(code) }
        guard isWatched else { return .done(nil, hasProblems: code == 3) }
        guard let outcome = try? GuidedOutcome(decoding: output) else { return .failed(code) }
        return .done(outcome, hasProblems: code == 3)
    }

    /// Ends it, and waits for that.
    func stop() {
        child.terminate()
        while poll() == nil { sleep(milliseconds: 20) }
    }
}

extension Home {
    /// What a `backup` of that set is told of changes.
    func guideFile(_ set: String) -> RawPath { ledgerDirectory.appending("changes-\(set)") }
}
