internal import Archive
internal import BackupFormat
internal import BackupNode
internal import HostFiles

extension SourceRunner {
    /// A watch that was refused, or broke, is tried again after this.
    private static let againMilliseconds: Int64 = 60_000
    /// A clock that was set right by more than this may have hidden a sleep.
    private static let sleptMilliseconds: Int64 = 30_000
    private static let readsMax = 64

    /// Takes in what the watch tells, and waits at most so long for the first. True if there may be more at once.
    func gather(milliseconds: Int) -> Bool {
        guard sources.isContinuous else { return false }
        let difference = SourceRunner.clockDifferenceNow
        if abs(difference - clockDifference) > SourceRunner.sleptMilliseconds {
            plan.doubt("the machine slept, or its clock was set")
        }
        clockDifference = difference
        let now = SourceRunner.milliseconds
        if watch == nil { startWatch(now) }
        guard let watch else { return false }
        var breaks: String?
        var isBusy = false
        for read in 0..<SourceRunner.readsMax {
            isBusy = watch.wait(milliseconds: read == 0 ? milliseconds : 0) { event in
                plan.note(event, at: SourceRunner.milliseconds)
                if case .doubt(let reason, true) = event { breaks = reason }
            }
            if !isBusy { break }
        }
        if let breaks {
            core.log("the watch of \(sources.name) begins anew: \(breaks)")
            self.watch = nil
            nextTry = now + pauses.broke(at: now)
        }
        return isBusy
    }

    private func startWatch(_ now: Int64) {
        guard now >= nextTry else { return }
        nextTry = now + SourceRunner.againMilliseconds
        do {
            let made = try makeWatch()
            watch = made
            pauses.began(at: now)
            plan.unwatched = made.unwatched
            // Whatever happened before is known to nobody.
            plan.doubt("a new watch")
            if refusal != nil || !isWatchToldOf { core.log("watching \(sources.name) by \(made.method)") }
            (isWatchToldOf, refusal) = (true, nil)
        } catch {
            if refusal != "\(error)" {
                core.log("\(sources.name) cannot be watched and is backed up every hour instead: \(error)")
            }
            refusal = "\(error)"
        }
    }

    private func makeWatch() throws -> any FolderWatch {
        if core.keys.isWriteOnly, !core.configuration.keepsMemo {
            throw WatchRefusal("a write-only device reads every file each time, unless `keep_memo` is set")
        }
        let rules = ExclusionRules(try core.home.exclusions(sources).patterns)
        var excludes: (@Sendable (RawPath, UnsafeRawBufferPointer, Bool) -> Bool)?
        if !rules.isEmpty { excludes = { rules.excludes(directory: $0, name: $1, isDirectory: $2) } }
        let home = try DirectoryHandle.resolve(core.home.directory).path
        let mounts = try MountTable.current()
        let places = sources.paths.map { DirectoryHandle.places(of: $0, mounts: mounts) }
        let made = try watchFolders(
            WatchScope(
                roots: places.flatMap(\.taken), links: Set(places.flatMap(\.links)), hidden: [home],
                oneFileSystem: sources.oneFileSystem, excludes: excludes))
        // Of a link that was changed before the watch stood, nobody was told.
        guard sources.paths.map({ DirectoryHandle.places(of: $0, mounts: mounts) }) == places else {
            throw WatchRefusal("a link that leads to what is watched was just changed")
        }
        return made
    }
}

/// How long nothing is watched after a watch broke: a value. Times are in milliseconds.
///
/// Whatever happens before the next one stands is found by a walk: what breaks every watch, as a link that is changed all the time does,
/// must not make that go on without end.
package struct WatchPauses: Sendable {
    private var pause: Int64 = 0
    private var beganAt: Int64 = 0

    private static let least: Int64 = 1000
    private static let most: Int64 = 300_000
    /// A watch that stood so long counts as one that lasts.
    private static let lasting: Int64 = 60_000

    package init() {}

    package mutating func began(at now: Int64) { beganAt = now }

    package mutating func broke(at now: Int64) -> Int64 {
        let lasted = now - beganAt >= WatchPauses.lasting
        pause = lasted ? WatchPauses.least : min(max(pause * 2, WatchPauses.least), WatchPauses.most)
        return pause
    }
}
