internal import Archive
internal import BackupFormat
internal import BackupNode
internal import HostFiles

/// Backs one set of sources up: when its schedule says so, and, where it is continuous, when a watch tells of changes. On a thread of
/// its own.
final class SourceRunner: @unchecked Sendable {
    // SAFETY: used by the one thread that runs ``run()``.
    let core: DaemonCore
    let sources: SourceSet
    var plan = ContinuousPlan()
    var watch: (any FolderWatch)?
    /// Why there is no watch, as was said last.
    var refusal: String?
    /// When a watch is tried again, in milliseconds.
    var nextTry: Int64 = .min
    var pauses = WatchPauses()
    var clockDifference = SourceRunner.clockDifferenceNow
    var isWatchToldOf = false
    private let schedule: Schedule?
    private var conditions: WorkConditions
    private var running: ScheduledBackup?
    /// Seconds since 1970.
    private var notBefore: Int64 = 0
    private var isFailing = false
    /// Made by the watch since they were thinned out last.
    private var snapshots = 0

    /// After a failure; its reason may pass.
    private static let retrySeconds: Int64 = 600
    /// Without a watch, everything is walked so often.
    private static let unwatchedSeconds: Int64 = 3600
    /// After so many, those that the watch made are thinned out.
    private static let snapshotsMax = 100
    /// How long it waits for something to happen.
    private static let idleMilliseconds = 500
    /// Between looks at what happens: many events on one folder are one then.
    private static let gatherMilliseconds = 50

    static var milliseconds: Int64 { Int64(monotonicNanoseconds() / 1_000_000) }
    static var clockDifferenceNow: Int64 { currentTime() / 1_000_000 - milliseconds }

    init(_ core: DaemonCore, _ sources: SourceSet) {
        self.core = core
        self.sources = sources
        schedule = Schedule(sources)
        conditions = WorkConditions(sources)
    }

    /// Until the node stops.
    func run() {
        while !core.isStopping {
            let isIdle = running == nil && !plan.hasChanges
            // With events coming, those of the next moments are waited for together.
            let began = SourceRunner.milliseconds
            let isBusy = gather(milliseconds: isIdle ? SourceRunner.idleMilliseconds : 0)
            let waited = Int(SourceRunner.milliseconds - began)
            step()
            report()
            if watch == nil {
                core.rest(milliseconds: isIdle ? 1000 : SourceRunner.gatherMilliseconds)
            } else if !isBusy, waited < SourceRunner.idleMilliseconds {
                // Something happened, in the sources or elsewhere on their file systems, and more will.
                core.rest(milliseconds: SourceRunner.gatherMilliseconds)
            }
        }
        running?.stop()
    }

    private func step() {
        if let running {
            guard let ended = running.poll() else { return }
            // All that was told by its end counts as told.
            _ = gather(milliseconds: 0)
            self.running = nil
            core.giveBackupTurn()
            take(ended, running)
            thinOut()
            return
        }
        let now = SourceRunner.milliseconds
        guard isSomethingDue(now) else { return core.noteSource(sources.name) { $0.waiting = nil } }
        let objection = conditions.objection()
        core.noteSource(sources.name) { $0.waiting = objection }
        guard objection == nil, core.takeBackupTurn() else { return }
        if !begin(now) { core.giveBackupTurn() }
    }

    private func isSomethingDue(_ now: Int64) -> Bool {
        if isScheduleDue { return true }
        guard watch != nil else { return false }
        var plan = plan
        return plan.due(at: now) != nil
    }

    private var isScheduleDue: Bool {
        guard core.now >= notBefore, schedule != nil || isUnwatched else { return false }
        let last = core.home.lastScheduled(sources.name)
        if let schedule, schedule.next(after: last, now: core.now) <= core.now { return true }
        guard isUnwatched else { return false }
        guard let last, last <= core.now else { return true }
        return core.now - last >= SourceRunner.unwatchedSeconds
    }

    private var isUnwatched: Bool { sources.isContinuous && watch == nil && refusal != nil }

    private func begin(_ now: Int64) -> Bool {
        var guide: BackupGuide?
        if watch != nil {
            // With a watch, a scheduled backup is a walk, which also shows whether the watch was right.
            if isScheduleDue { plan.wantWalk() }
            guide = plan.due(at: now)
            guard guide != nil else { return false }
        }
        running = ScheduledBackup(core, sources, guide)
        if running != nil { return true }
        if guide != nil { plan.failed(at: now) }
        notBefore = core.now + SourceRunner.retrySeconds
        return false
    }

    private func take(_ ended: ScheduledBackup.End, _ backup: ScheduledBackup) {
        let now = SourceRunner.milliseconds
        switch ended {
        case .done(let outcome, let hasProblems):
            // The time of the marker is the end; what changed meanwhile is in the next one.
            try? core.home.disk.replaceFile(core.home.scheduleMarker(sources.name), with: [])
            (notBefore, isFailing) = (0, false)
            core.noteSource(sources.name) { $0.failure = nil }
            if let outcome {
                plan.succeeded(outcome, at: now)
                if outcome.isGuided, !outcome.isUnchanged { snapshots += 1 }
            }
            tell(outcome, hasProblems, backup.seconds)
        case .failed(let code):
            core.noteSource(sources.name) { $0.failure = "ended with \(code)" }
            notBefore = core.now + SourceRunner.retrySeconds
            if backup.isWatched { plan.failed(at: now) }
            if !isFailing { core.log("the backup of \(sources.name) ended with \(code); it is tried again later") }
            isFailing = true
        case .stopped: break
        }
    }

    private func tell(_ outcome: GuidedOutcome?, _ hasProblems: Bool, _ seconds: Double) {
        if let missed = plan.missed, outcome != nil {
            let more = missed.count > 1 ? " and \(describeCount(missed.count - 1, "other folder"))" : ""
            let text = "\(missed.folder)\(more)"
            let isNews = core.source(sources.name)?.missed != text
            core.noteSource(sources.name) { $0.missed = text }
            if isNews { core.log("the watch of \(sources.name) had not told of changes in \(text); they are backed up now") }
        } else if outcome?.isGuided == false {
            core.noteSource(sources.name) { $0.missed = nil }
        }
        // A line for each saved file would say too much.
        guard outcome?.isGuided != true else { return }
        core.log(
            "backed up \(sources.name) in \(describeSeconds(seconds))" + (hasProblems ? "; some files could not be read" : ""))
    }

    /// Removes most of the snapshots that the watch made, once they are many.
    private func thinOut() {
        guard snapshots >= SourceRunner.snapshotsMax, !core.keys.isWriteOnly, core.takeBackupTurn() else { return }
        snapshots = 0
        let code = runCommand(["forget", "--thin"], core)
        core.giveBackupTurn()
        if let code, code != 0 { core.log("`bakare-node forget --thin` ended with \(code); run it to see why") }
    }

    /// For `status`.
    private func report() {
        let now = SourceRunner.milliseconds
        let walk = watch == nil ? nil : plan.nextWalk.map { core.now + max(0, $0 - now) / 1000 }
        core.noteSource(sources.name) { report in
            report.isRunning = running != nil
            report.method = watch?.method
            report.unwatched = watch?.unwatched ?? []
            report.refusal = refusal
            report.nextWalk = walk
            report.hasChanges = plan.hasChanges
        }
    }
}
