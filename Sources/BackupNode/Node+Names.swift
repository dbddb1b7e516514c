package import Archive
package import BackupFormat
package import NameIndex

/// What `find` looks for.
package struct FindRequest: Sendable {
    package var query: NameQuery
    package var filter: NameFilter
    package var limit: Int

    package init(query: NameQuery, filter: NameFilter = NameFilter(), limit: Int) {
        self.query = query
        self.filter = filter
        self.limit = limit
    }
}

extension Node {
    /// How long `find` waits for another process that brings the index up to date.
    private static let waitingMilliseconds = 600_000

    /// Takes a new snapshot into the name index, once peers know of it. What keeps it from doing so is no failure of the backup: `find`
    /// will do it then, and tell. `time` is nanoseconds since 1970.
    package func followNames(of report: BackupReport, at time: Int64, _ progress: Progress) {
        guard report.snapshot != nil, !report.isUnchanged, !keys.isWriteOnly else { return }
        try? store.updateNames(waitingMilliseconds: 0, now: time / 1_000_000_000, progress: progress, problem: { _ in })
    }

    /// Brings the name index up to date. `now` is nanoseconds since 1970. Folders that cannot be read go to `problem`.
    package func updateNames(now: Int64, _ progress: Progress, problem: (FileProblem) -> Void) throws(NodeError) {
        do {
            try store.updateNames(
                waitingMilliseconds: Node.waitingMilliseconds, now: now / 1_000_000_000, progress: progress, problem: problem)
        } catch { throw NodeError(error) }
    }

    /// The name index as it is, open to be searched; made anew first if it is damaged.
    package func nameSearch(now: Int64, _ progress: Progress, problem: (FileProblem) -> Void) throws(NodeError) -> NameSearch {
        try updateNames(now: now, progress, problem: problem)
        do throws(ArchiveError) { return try store.nameSearch(now: now) } catch {
            guard error.code == .damaged else { throw NodeError(error) }
        }
        try remakeNames(now: now, progress, problem: problem)
        do { return try store.nameSearch(now: now) } catch { throw NodeError(error) }
    }

    private func remakeNames(now: Int64, _ progress: Progress, problem: (FileProblem) -> Void) throws(NodeError) {
        do { try store.resetNames(waitingMilliseconds: Node.waitingMilliseconds) } catch { throw NodeError(error) }
        try updateNames(now: now, progress, problem: problem)
    }

    /// The paths of all snapshots that the request matches best, the best first.
    package func find(
        _ request: FindRequest, now: Int64, _ progress: Progress, problem: (FileProblem) -> Void
    ) throws(NodeError) -> [NameMatch] {
        for attempt in 0... {
            let search = try nameSearch(now: now, progress, problem: problem)
            guard !search.snapshots.isEmpty else {
                throw NodeError(
                    .failed, "find",
                    "there are no snapshots yet; make one with `backup`, or bring those of a lost machine back with `recover`")
            }
            do {
                let matches = try search.run(request.query, request.filter, limit: request.limit) { progress.isStopping }
                guard let matches else { throw NodeError(.interrupted, "find", "stopped on request") }
                return matches
            } catch let error as NodeError { throw error } catch let error as NameIndexError {
                // Damage deep in a file shows when it is read.
                guard error.code == .damaged, attempt == 0 else { throw NodeError(ArchiveError(error)) }
                try remakeNames(now: now, progress, problem: problem)
            } catch { throw NodeError(.failed, "find", "\(error)") }
        }
        throw NodeError(.failed, "find", "the name index is damaged again and again")
    }

    /// What a path was in each of `snapshots`.
    package func versions(
        of path: RawPath, in snapshots: [SnapshotSummary], _ progress: Progress, problem: (FileProblem) -> Void
    ) throws(NodeError) -> [PathVersion] {
        do { return try store.versions(of: path, in: snapshots, progress: progress, problem: problem) } catch {
            throw NodeError(error)
        }
    }
}
