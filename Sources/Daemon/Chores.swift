internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Peers

/// What is done once a day, on a thread of its own: sweeps, of this node's own vault and of what is kept for others; letting go of
/// what belongs to friends who have left; and a scrub of a part of all that is kept here.
package struct Chores: Sendable {
    private let core: DaemonCore

    fileprivate static let daySeconds: Int64 = 86_400

    package init(_ core: DaemonCore) { self.core = core }

    /// Its time of change is when the chores were done last.
    private var marker: RawPath { core.home.ledgerDirectory.appending("swept") }

    /// Until the node stops.
    func run() {
        // What was just started has better things to do at first.
        core.rest(milliseconds: 60_000)
        while !core.isStopping {
            if core.isDayOver(since: marker) {
                tidyOthers()
                sweepOwn()
                // Where it cannot be written, they are done again after the next start.
                try? core.home.disk.replaceFile(marker, with: [])
            }
            DailyScrub(core).runIfDue()
            core.rest(milliseconds: 600_000)
        }
    }

    package func tidyOthers() {
        let (book, now) = (core.state.read { $0.roster.book }, core.now)
        for owner in (try? core.service.owners()) ?? [] where owner != core.owner && !core.isStopping {
            do {
                if let left = book.friend(owner)?.unpairedAt, now - left > core.pace.leavingGraceSeconds {
                    try core.service.remove(owner)
                    core.log("removed what was kept for \(book.friend(owner)?.name ?? owner.hex), who left")
                } else {
                    try core.service.sweep(owner, now: now)
                }
            } catch { core.log("\(error)") }
        }
    }

    /// A run of the command `sweep`: it needs the chunk index, and so memory of its own.
    private func sweepOwn() {
        core.state.withLock { $0.isSweeping = true }
        defer { core.state.withLock { $0.isSweeping = false } }
        let code = runCommand(["sweep", "--daily"], core)
        if let code, code != 0 { core.log("the daily sweep ended with \(code); run `bakare-node sweep` to see why") }
    }
}

extension DaemonCore {
    /// Whether it is a day since the file was written, or it is not there.
    func isDayOver(since marker: RawPath) -> Bool {
        guard let status = try? home.disk.status(marker) else { return true }
        return isRepeatDue(every: Chores.daySeconds, since: status.modifiedSeconds, now: now)
    }
}

/// Runs a command on this home to its end, as a process of its own with a memory limit of its own. Its exit code; nil when it could not
/// be started, which is logged, or when the node stops.
func runCommand(_ command: [String], _ core: DaemonCore) -> Int32? {
    guard !core.isStopping, let child = startCommand(command, core) else { return nil }
    while true {
        if let code = child.poll() { return core.isStopping ? nil : code }
        if core.isStopping { child.terminate() }
        core.rest(milliseconds: core.isStopping ? 20 : 200)
    }
}

/// Starts a command on this home, with further `options`. Nil when it could not be started, which is logged.
func startCommand(
    _ command: [String], options: [[UInt8]] = [], output: ChildProcess.Output = .dropped, _ core: DaemonCore
) -> ChildProcess? {
    let home = core.home
    var words = command.map { Array($0.utf8) } + [Array("--quiet".utf8), Array("--home".utf8), home.directory.bytes]
    if home.configurationIsNamed { words += [Array("--config".utf8), home.configurationFile.bytes] }
    let child = ChildProcess("/proc/self/exe", words + options, output: output)
    if child == nil {
        core.log("`bakare-node \(command.joined(separator: " "))` cannot be started: the system has no room for another process")
    }
    return child
}
