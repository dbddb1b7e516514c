internal import Archive
package import BackupFormat
package import BackupNode
package import HostFiles

/// When a watched set is backed up, and how: a value, told what a watch tells, and how each backup ended.
///
/// What was told is kept until a backup that began after it has ended well. So nothing that a watch has told is ever forgotten; where a
/// watch may have missed something there is a doubt, and only a walk that began after it settles that.
///
/// All times are milliseconds of one clock that never goes back.
package struct ContinuousPlan: Sendable {
    package struct Pace: Sendable {
        /// After the last change, so that a program can finish what it is at.
        package var quiet: Int64 = 1000
        /// With changes all the time, a backup comes so long after the first.
        package var longest: Int64 = 30_000
        /// So many backups follow each other freely; after that, one in each `interval`.
        package var burst = 10
        package var interval: Int64 = 60_000
        /// Everything is walked so long after the last walk.
        package var walkEvery: Int64 = 86_400_000
        /// After a doubt: not sooner after the last walk than this, nor than so many times what that walk took.
        package var walkLeast: Int64 = 60_000
        package var walkShare: Int64 = 20
        /// After a failure, and at the most, as failures go on.
        package var retry: Int64 = 10_000
        package var retryMost: Int64 = 600_000

        package init() {}
    }

    package let pace: Pace
    /// Mounts of whose changes nothing tells: what a walk finds there was not missed.
    package var unwatched: [RawPath] = []
    /// Told and not taken in hand.
    package private(set) var pending = ChangedFolders(doubt: "the node has just begun to watch")
    /// What the backup that runs was given.
    private var taken: ChangedFolders?
    private var base: (snapshot: SnapshotID, digest: Bytes32)?
    private var firstChange: Int64?
    private var lastChange: Int64?
    private var began: Int64 = 0
    private var isWalking = false
    private var lastWalk: (ended: Int64, took: Int64)?
    private var notBefore: Int64 = .min
    private var failures = 0
    private var isWalkWanted = false
    private var credits: Int
    private var lastCredit: Int64?
    /// What the last backup that told of it found changed without having been told: the first folder, and how many.
    package private(set) var missed: (folder: RawPath, count: Int)?

    package init(_ pace: Pace = Pace()) {
        self.pace = pace
        credits = pace.burst
    }

    /// A watch tells.
    package mutating func note(_ event: FolderEvent, at now: Int64) {
        switch event {
        case .changed(let folder): pending.note(folder)
        case .appeared(let folder): pending.note(folder, .everything)
        case .touched(let folder): return pending.note(folder)
        case .doubt(let reason, _): return pending.doubt(reason)
        }
        firstChange = firstChange ?? now
        lastChange = now
    }

    /// Everything is to be walked next.
    package mutating func wantWalk() { isWalkWanted = true }

    package mutating func doubt(_ reason: String) { pending.doubt(reason) }

    /// What is to be done now; nil for nothing.
    package mutating func due(at now: Int64) -> BackupGuide? {
        guard taken == nil, now >= notBefore else { return nil }
        earnCredits(now)
        if isWalkDue(now) { return begin(walking: true, now) }
        guard base != nil, let firstChange, let lastChange, credits > 0 else { return nil }
        guard now - lastChange >= pace.quiet || now - firstChange >= pace.longest else { return nil }
        credits -= 1
        return begin(walking: false, now)
    }

    /// When everything is walked next, as far as is known.
    package var nextWalk: Int64? { lastWalk.map { $0.ended + pace.walkEvery } }
    package var hasChanges: Bool { firstChange != nil }
    package var isRunning: Bool { taken != nil }

    private func isWalkDue(_ now: Int64) -> Bool {
        guard base != nil, !isWalkWanted, let lastWalk else { return true }
        if now - lastWalk.ended >= pace.walkEvery { return true }
        return !pending.isCertain && now - lastWalk.ended >= max(pace.walkLeast, pace.walkShare * lastWalk.took)
    }

    private mutating func begin(walking: Bool, _ now: Int64) -> BackupGuide {
        isWalking = walking
        began = now
        var folders = ChangedFolders()
        for (folder, extent) in pending.folders { folders.note(folder, extent) }
        if walking {
            taken = pending
            pending = ChangedFolders()
        } else {
            // A doubt stays until a walk settles it.
            taken = folders
            let doubts = pending.doubts
            pending = ChangedFolders()
            for reason in doubts { pending.doubt(reason) }
        }
        (firstChange, lastChange) = (nil, nil)
        guard let base else { return BackupGuide(nil) }
        // After a doubt there is nothing to compare with: something was missed, and that is known.
        if walking, taken?.isCertain == false { return BackupGuide(nil) }
        return BackupGuide(
            WatchedChanges(base: base.snapshot, digest: base.digest, folders: folders, use: walking ? .compared : .instead))
    }

    private mutating func earnCredits(_ now: Int64) {
        guard let last = lastCredit else {
            lastCredit = now
            return
        }
        let earned = max(0, (now - last) / pace.interval)
        credits = min(pace.burst, credits + Int(clamping: earned))
        lastCredit = last + earned * pace.interval
    }

    /// The backup that ``due(at:)`` asked for has ended well. All that had been told by its end must be noted before.
    package mutating func succeeded(_ outcome: GuidedOutcome, at now: Int64) {
        let known = taken
        // Where the watch has said that it lost something, that is no news.
        let isSure = pending.isCertain
        taken = nil
        failures = 0
        notBefore = .min
        base = (outcome.snapshot, outcome.digest)
        if !outcome.isGuided {
            // It had no use for the guide, as when its last snapshot is another, and walked: that may not happen again and again.
            if !isWalking { notBefore = now + pace.walkShare * (now - began) }
            lastWalk = (ended: now, took: now - began)
            isWalkWanted = false
            missed = nil
        }
        for (folder, extent) in outcome.again.folders { pending.note(folder, extent) }
        for reason in outcome.again.doubts + (outcome.doubt.map { [$0] } ?? []) { pending.doubt(reason) }
        let untold = outcome.untold.filter { folder in
            isSure && !pending.covers(folder) && known?.covers(folder) != true && !mayHaveMoved(folder)
                && !unwatched.contains { folder.isWithin($0) }
        }
        if let first = untold.first {
            missed = (folder: first, count: untold.count + max(0, outcome.untoldCount - outcome.untold.count))
            if outcome.isGuided { pending.doubt("something had changed that the watch did not tell of") }
        }
    }

    /// Whether a folder may be another since a backup saw it: then it is told of where it is now, or not at all, and what it was in is.
    private func mayHaveMoved(_ folder: RawPath) -> Bool {
        var path = folder
        while path.bytes.count > 1 {
            path = path.parent
            if pending.folders[path] != nil { return true }
        }
        return false
    }

    /// It has failed, or could not be begun: all that it was given is still to be done.
    package mutating func failed(at now: Int64) {
        if let taken { pending.merge(taken) }
        taken = nil
        firstChange = firstChange ?? now
        lastChange = lastChange ?? now
        notBefore = now + min(pace.retryMost, pace.retry << Int64(min(failures, 10)))
        failures += 1
    }
}
