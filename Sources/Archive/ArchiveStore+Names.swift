internal import BackupFormat
internal import Cryptography
internal import HostFiles
package import NameIndex
internal import Synchronization

extension ArchiveStore {
    /// A snapshot of which not all folders could be read is read again after this many seconds.
    private static let incompleteSeconds: Int64 = 3600

    /// Brings the name index in line with the snapshots that there are: adds those that it lacks, each by what differs from one that it has.
    ///
    /// Folders that cannot be read go to `problem`. `now` is in seconds since 1970. Throws `notAllowed` on a write-only device.
    package func updateNames(
        waitingMilliseconds: Int, now: Int64, progress: Progress, problem: (FileProblem) -> Void
    ) throws(ArchiveError) {
        let names = try nameStore()
        do throws(NameIndexError) {
            do throws(NameIndexError) {
                try update(names, waitingMilliseconds, now, progress, problem)
            } catch {
                guard error.code == .damaged else { throw error }
                try names.change(waitingMilliseconds: waitingMilliseconds) { change throws(NameIndexError) in try change.reset() }
                try update(names, waitingMilliseconds, now, progress, problem)
            }
        } catch { throw ArchiveError(error) }
    }

    private func update(
        _ names: NameStore, _ waitingMilliseconds: Int, _ now: Int64, _ progress: Progress, _ problem: (FileProblem) -> Void
    ) throws(NameIndexError) {
        let live = try liveSnapshots()
        guard needsUpdate(try names.manifest(), live, now) else { return }
        try names.change(waitingMilliseconds: waitingMilliseconds) { change throws(NameIndexError) in
            try self.add(to: &change, live, now, progress, problem)
        }
    }

    /// The index as it is, open to be searched. Throws `damaged` when it is to be made anew: see ``resetNames()``.
    package func nameSearch(now: Int64) throws(ArchiveError) -> NameSearch {
        let names = try nameStore()
        do throws(NameIndexError) {
            return try NameSearch(names, live: try liveSnapshots(), threads: plan.workers, now: now)
        } catch { throw ArchiveError(error) }
    }

    /// Gives up the index: the next update makes it anew.
    package func resetNames(waitingMilliseconds: Int) throws(ArchiveError) {
        let names = try nameStore()
        do {
            try names.change(waitingMilliseconds: waitingMilliseconds) { change throws(NameIndexError) in try change.reset() }
        } catch { throw ArchiveError(error) }
    }

    private func nameStore() throws(ArchiveError) -> NameStore {
        guard let names else {
            throw ArchiveError(
                .notAllowed, "find", "this device is write-only: it can read no names; use `find` where the owner key is")
        }
        return names
    }

    private func liveSnapshots() throws(NameIndexError) -> Set<SnapshotID> {
        do { return Set(try vault.snapshots()) } catch { throw NameIndexError(.storage, "\(error)") }
    }

    private func isStale(_ snapshot: NameManifest.Snapshot, _ now: Int64) -> Bool {
        !snapshot.isComplete && !snapshot.isDropped && (now < snapshot.indexed || now - snapshot.indexed > Self.incompleteSeconds)
    }

    private func needsUpdate(_ manifest: NameManifest, _ live: Set<SnapshotID>, _ now: Int64) -> Bool {
        var missing = live
        for snapshot in manifest.snapshots where !snapshot.isDropped {
            if missing.remove(snapshot.id) != nil, isStale(snapshot, now) { return true }
        }
        return !missing.isEmpty
    }

    private struct Missing {
        var id: SnapshotID
        var time: Int64
        var line: UInt64
        var machine: UInt64
    }

    /// What the index lacks, the oldest first.
    private func missing(_ manifest: NameManifest, _ live: Set<SnapshotID>) throws(NameIndexError) -> [Missing] {
        var ids = live
        for snapshot in manifest.snapshots where !snapshot.isDropped { ids.remove(snapshot.id) }
        var missing: [Missing] = []
        for id in ids.sorted() {
            guard let (record, contents) = try opened(id), !contents.isUnfinished else { continue }
            var machine = ByteWriter()
            machine.bytes32(record.device.value)
            machine.byteString(Array(contents.host.utf8))
            var line = machine
            for path in contents.paths { line.byteString(path.bytes) }
            missing.append(
                Missing(
                    id: id, time: contents.time, line: sha256(line.bytes).words.0, machine: sha256(machine.bytes).words.0))
        }
        return missing.sorted { ($0.time, $0.id) < ($1.time, $1.id) }
    }

    /// Nil when it is damaged or gone.
    private func opened(_ id: SnapshotID) throws(NameIndexError) -> (SnapshotRecord, SnapshotContents)? {
        do { return try openSnapshot(id) } catch { throw NameIndexError(.storage, "\(error)") }
    }

    private func add(
        to change: inout NameIndexChange, _ live: Set<SnapshotID>, _ now: Int64, _ progress: Progress,
        _ problem: (FileProblem) -> Void
    ) throws(NameIndexError) {
        for (ordinal, snapshot) in change.manifest.snapshots.enumerated()
        where live.contains(snapshot.id) && isStale(snapshot, now) { change.drop(ordinal) }
        let scratch: ChunkScratch
        do { scratch = try ChunkScratch() } catch { throw NameIndexError(.storage, "\(error)") }
        for missing in try missing(change.manifest, live) {
            guard let (_, contents) = try opened(missing.id) else { continue }
            var snapshot = NameManifest.Snapshot(
                id: missing.id, base: nil, isComplete: true, line: missing.line, machine: missing.machine, time: missing.time,
                indexed: now)
            if let base = base(for: missing, change.manifest, live),
                let (_, baseContents) = try opened(change.manifest.snapshots[base].id)
            {
                snapshot.base = base
                let isDone = try change.add(snapshot, live: live) { writer, ordinal throws(NameIndexError) in
                    let isComplete = try self.write(baseContents.root, contents.root, scratch, ordinal, writer, progress) { _ in }
                    return (isComplete, isComplete)
                }
                if isDone { continue }
            }
            // Without one, or where one of the two cannot be read: all that can be read of it.
            snapshot.base = nil
            _ = try change.add(snapshot, live: live) { writer, ordinal throws(NameIndexError) in
                (try self.write(.empty, contents.root, scratch, ordinal, writer, progress, problem), true)
            }
        }
    }

    /// The snapshot that the changes are told from: the last of its line, else of its device and host.
    private func base(for missing: Missing, _ manifest: NameManifest, _ live: Set<SnapshotID>) -> Int? {
        func last(_ isRelated: (NameManifest.Snapshot) -> Bool) -> Int? {
            manifest.snapshots.lastIndex { $0.isComplete && !$0.isDropped && isRelated($0) && live.contains($0.id) }
        }
        return last { $0.line == missing.line } ?? last { $0.machine == missing.machine }
    }

    /// Writes what differs between two trees. False if some of it could not be read.
    private func write(
        _ before: KeyList, _ after: KeyList, _ scratch: ChunkScratch, _ ordinal: UInt32, _ writer: NameSegmentWriter,
        _ progress: Progress, _ problem: (FileProblem) -> Void
    ) throws(NameIndexError) -> Bool {
        let changes = NameChanges(before, after, chunkSource(), scratch)
        var isComplete = true
        var list = [NameChange(ordinal: ordinal, state: nil)]
        while true {
            if progress.isStopping { throw NameIndexError(.interrupted, "stopped on request") }
            do {
                let goesOn = try changes.step { path, state throws(NameIndexError) in
                    list[0].state = state
                    progress.files.add(1, ordering: .relaxed)
                    try writer.append(path, list)
                }
                if !goesOn { return isComplete }
            } catch let error as NameIndexError {
                throw error
            } catch {
                isComplete = false
                // With another tree to compare with, what is missing cannot be told from what was removed.
                guard before == .empty else { return false }
                problem(
                    FileProblem(path: changes.folder, operation: "list", reason: (error as? ArchiveError)?.message ?? "\(error)"))
                if let error = error as? ArchiveError, error.code == .interrupted || error.code == .storage {
                    throw NameIndexError(.storage, error.message)
                }
            }
        }
    }
}

extension ArchiveError {
    package init(_ error: NameIndexError) {
        switch error.code {
        case .interrupted: self = interrupted("find")
        case .damaged: self.init(.damaged, "read the name index", error.message)
        case .busy: self.init(.storage, "find", "\(error.message); try again when it is done")
        case .storage, .tooLarge: self.init(.storage, "bring the name index up to date", error.message)
        }
    }
}
