package import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Synchronization

/// One look through an index: the same query may be put to several, and several to one.
package struct NameSearch: Sendable {
    private let store: NameStore
    private let manifest: NameManifest
    private let segments: [NameSegment]
    private let history: NameHistory
    private let threads: Int
    /// The live ordinals, the oldest first; those from the future before all.
    private let ages: [Int]
    /// Of each line of snapshots, the newest.
    private let heads: [Int]

    /// More results than this are not found.
    package static let limitMax = 100_000
    /// To tell the versions of fewer paths takes no longer than to start a thread.
    private static let pathsPerThread = 4
    /// A snapshot this much newer than now, in nanoseconds, was made while a clock was wrong.
    private static let clockTolerance: Int64 = 3_600_000_000_000

    /// Opens the index as it is. `live` are the snapshots that are still there; `now` is in nanoseconds since 1970. Throws `damaged` when it is
    /// to be made anew.
    package init(
        _ store: NameStore, live: Set<SnapshotID>, threads: Int, now: Int64
    ) throws(NameIndexError) {
        self.store = store
        self.threads = max(1, threads)
        var attempt = 0
        while true {
            let manifest = try store.manifest()
            do {
                segments = try store.open(manifest)
                self.manifest = manifest
                break
            } catch {
                // Another process may have merged meanwhile.
                attempt += 1
                guard attempt < 8, try store.manifest() != manifest else { throw error }
            }
        }
        let history = NameHistory(manifest, live: live)
        self.history = history
        let snapshots = manifest.snapshots
        func rank(_ ordinal: Int) -> (Int, Int64, SnapshotID) {
            let (end, overflow) = now.addingReportingOverflow(NameSearch.clockTolerance)
            let isFromTheFuture = !overflow && snapshots[ordinal].time > end
            return (isFromTheFuture ? 0 : 1, snapshots[ordinal].time, snapshots[ordinal].id)
        }
        ages = snapshots.indices.filter { history.isLive[$0] }.sorted { rank($0) < rank($1) }
        var seen: Set<UInt64> = []
        heads = ages.reversed().filter { seen.insert(snapshots[$0].line).inserted }
    }

    /// The snapshots that are in the index and still there, the newest last.
    package var snapshots: [NameManifest.Snapshot] { ages.map { manifest.snapshots[$0] } }

    /// The best `limit` paths, the best first; of equal ones the shorter, then by path. Nil when `isCancelled` said so. With `readingAll` no
    /// sketch is asked, and every name read: for tests.
    package func run(
        _ query: NameQuery, _ filter: NameFilter, limit: Int, readingAll: Bool = false,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(NameIndexError) -> [NameMatch]? {
        let limit = min(limit, NameSearch.limitMax)
        guard limit > 0 else { return [] }
        var isSelected = [Bool](repeating: false, count: manifest.snapshots.count)
        for ordinal in ages where filter.snapshots?.contains(manifest.snapshots[ordinal].id) ?? true {
            isSelected[ordinal] = true
        }
        var isRelevant = isSelected
        for ordinal in isSelected.indices.reversed() where isRelevant[ordinal] {
            if let base = manifest.snapshots[ordinal].base { isRelevant[base] = true }
        }
        var wanted = limit
        while true {
            guard
                let found = try candidates(
                    query, filter, isRelevant, limit: wanted, allowingTypos: false, readingAll, isCancelled)
            else { return nil }
            var best = found
            if query.mayHoldTypo, (best.first?.score ?? 0) < query.runScore {
                guard
                    let more = try candidates(
                        query, filter, isRelevant, limit: wanted, allowingTypos: true, readingAll, isCancelled)
                else { return nil }
                best = more
            }
            let matches = try resolve(best, filter, isSelected, limit: limit)
            // What was found may be gone from all that is selected: then there is more behind it.
            if matches.count >= limit || best.count < wanted || wanted >= NameSearch.limitMax { return matches }
            wanted = min(4 * wanted, NameSearch.limitMax)
        }
    }

    /// The best paths of all segments, which may be in none of the selected snapshots.
    ///
    /// First the sketches tell the best rank that any path of each block can have, and the paths that promise most; then these are looked
    /// at, block by block in that order, until no block that is left can hold a path as good as the `limit` found. Where other paths
    /// promise as much as what was found, all of them are looked at.
    private func candidates(
        _ query: NameQuery, _ filter: NameFilter, _ isRelevant: [Bool], limit: Int, allowingTypos: Bool, _ readingAll: Bool,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws(NameIndexError) -> [NameCandidate]? {
        let groups = groups(filter)
        let shared = SearchShared(limit: limit)
        let tally = SketchTally(limit: limit)
        var workers: [SearchWorker] = []
        for _ in 0..<min(threads, max(1, groups.count)) {
            workers.append(
                SearchWorker(
                    PathScan(query, allowingTypos: allowingTypos),
                    SketchScan(
                        query, allowingTypos: allowingTypos, readingAll: readingAll, tally, store.cipher),
                    filter,
                    isRelevant, store.cipher, shared))
        }
        try each(groups.indices, workers, shared, isCancelled) { worker, number throws(NameIndexError) in
            try worker.rank(groups[number], number)
            return true
        }
        if shared.isOver { return nil }
        let needsStates = filter.looksAtStates || isRelevant.contains(false)
        let blockCount = groups.reduce(0) { $0 + $1.blocks.count }
        func best() -> [NameCandidate] { Array(shared.candidates.sorted(by: NameCandidate.isBetter).prefix(limit)) }
        if let look = FirstLook(workers.map(\.promises), blocks: blockCount, bestScore: query.bestScore, limit: limit) {
            let ranked = workers.flatMap(\.ranks).sorted(by: SearchRank.isBetter)
            try each(ranked.indices, workers, shared, isCancelled) { worker, place throws(NameIndexError) in
                let (next, group) = (ranked[place], groups[ranked[place].group])
                // All that follow are no better.
                guard next.rank >= max(look.rank, shared.threshold.load(ordering: .relaxed)) else { return false }
                let block = group.blocks.lowerBound + next.number - group.first
                try worker.search(group.segment, block, needsStates: needsStates, look[next.number])
                return true
            }
            if shared.isOver { return nil }
            let found = best()
            if look.isAll || found.count == limit && (found.last?.rank ?? 0) >= look.rank { return found }
            shared.restart()
        }
        let ranked = workers.flatMap(\.groupRanks).sorted(by: SearchRank.isBetter)
        try each(ranked.indices, workers, shared, isCancelled) { worker, place throws(NameIndexError) in
            guard ranked[place].rank >= shared.threshold.load(ordering: .relaxed) else { return false }
            try worker.search(groups[ranked[place].number], needsStates: needsStates)
            return true
        }
        return shared.isOver ? nil : best()
    }

    /// What the filter leaves of all groups.
    private func groups(_ filter: NameFilter) -> [SearchGroup] {
        var groups: [SearchGroup] = []
        var first = 0
        for segment in segments {
            let wanted = filter.blocks(of: segment.table)
            for (number, group) in segment.table.groups.enumerated() {
                let blocks = group.blocks.clamped(to: wanted)
                guard !blocks.isEmpty else { continue }
                groups.append(SearchGroup(segment: segment, number: number, blocks: blocks, first: first))
                first += blocks.count
            }
        }
        return groups
    }

    /// Has the workers, each a thread, do every part of some work, in about this order; each until `body` says that the rest is not wanted.
    private func each(
        _ parts: Range<Int>, _ workers: [SearchWorker], _ shared: SearchShared, _ isCancelled: @escaping @Sendable () -> Bool,
        _ body: @escaping @Sendable (SearchWorker, Int) throws(NameIndexError) -> Bool
    ) throws(NameIndexError) {
        shared.next.store(parts.lowerBound, ordering: .relaxed)
        @Sendable func run(_ worker: SearchWorker) {
            while true {
                let next = shared.next.add(1, ordering: .relaxed).oldValue
                guard next < parts.upperBound, !shared.isOver else { return }
                if isCancelled() { return shared.cancel() }
                do throws(NameIndexError) {
                    guard try body(worker, next) else { return }
                } catch { shared.fail(error) }
            }
        }
        var running: [WorkerThread] = []
        for worker in workers.dropFirst().prefix(max(0, parts.count - 1)) {
            let handed = HandedWorker(worker: worker)
            if let thread = WorkerThread(name: "find", { run(handed.worker) }) { running.append(thread) }
        }
        if let first = workers.first { run(first) }
        for thread in running { thread.join() }
        if let error = shared.error { throw error }
    }

    /// The versions of the best candidates.
    private func resolve(
        _ candidates: [NameCandidate], _ filter: NameFilter, _ isSelected: [Bool], limit: Int
    ) throws(NameIndexError) -> [NameMatch] {
        var lookups: [[NameLookup]] = []
        var results: [NameMatch] = []
        // In parts, the best first; each part by path, so that a block is opened once by each thread.
        var start = 0
        var seen: Set<RawPath> = []
        while start < candidates.count, results.count < limit {
            let part = candidates[start..<min(candidates.count, start + max(limit, 64))]
            start = part.endIndex
            let paths = part.sorted { $0.path < $1.path }.filter { seen.insert($0.path).inserted }
            let each = max((paths.count + threads - 1) / threads, NameSearch.pathsPerThread)
            var resolvers: [NameResolver] = []
            for (index, first) in stride(from: 0, to: paths.count, by: each).enumerated() {
                if index == lookups.count { lookups.append(segments.map { NameLookup($0, store.cipher) }) }
                resolvers.append(
                    NameResolver(Array(paths[first..<min(paths.count, first + each)]), lookups[index]) { candidate, changes in
                        match(candidate, changes, filter, isSelected)
                    })
            }
            var running: [WorkerThread] = []
            for resolver in resolvers.dropFirst() {
                let handed = HandedWorker(worker: resolver)
                if let thread = WorkerThread(name: "find", { handed.worker.run() }) {
                    running.append(thread)
                } else {
                    resolver.run()
                }
            }
            resolvers.first?.run()
            for thread in running { thread.join() }
            if let error = resolvers.lazy.compactMap(\.error).first { throw error }
            let found = resolvers.flatMap(\.found).sorted { NameCandidate.isBetter($0.candidate, $1.candidate) }
            results += found.map(\.match)
        }
        return Array(results.prefix(limit))
    }

    /// Nil when no version of it is wanted.
    private func match(
        _ candidate: NameCandidate, _ changes: [NameChange], _ filter: NameFilter, _ isSelected: [Bool]
    ) -> NameMatch? {
        let states = history.states(changes.sorted { $0.ordinal < $1.ordinal })
        let holders = ages.filter { isSelected[$0] && states[$0].map(filter.allows) ?? false }
        guard let last = holders.last, let state = states[last] else { return nil }
        return NameMatch(
            path: candidate.path, score: candidate.score, state: state, snapshots: holders.map { manifest.snapshots[$0].id },
            isDeleted: heads.allSatisfy { states[$0] == nil })
    }
}

/// One thread's part of telling the versions of what was found.
private final class NameResolver {
    private let candidates: [NameCandidate]
    private let lookups: [NameLookup]
    private let match: (NameCandidate, [NameChange]) -> NameMatch?
    private(set) var found: [(candidate: NameCandidate, match: NameMatch)] = []
    private(set) var error: NameIndexError?

    init(
        _ candidates: [NameCandidate], _ lookups: [NameLookup], _ match: @escaping (NameCandidate, [NameChange]) -> NameMatch?
    ) {
        self.candidates = candidates
        self.lookups = lookups
        self.match = match
    }

    func run() {
        do throws(NameIndexError) {
            for candidate in candidates {
                var changes: [NameChange] = []
                for lookup in lookups {
                    let more = try candidate.path.bytes.withPathBytes { path throws(NameIndexError) in try lookup.find(path) }
                    if let more { changes += more }
                }
                if let match = match(candidate, changes) { found.append((candidate, match)) }
            }
        } catch { self.error = error }
    }
}

private struct HandedWorker<Worker>: @unchecked Sendable {
    // SAFETY: used by the one thread that it is handed to, until that thread is joined.
    let worker: Worker
}
