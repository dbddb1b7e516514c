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

    /// The best `limit` paths, the best first; of equal ones the shorter, then by path. Nil when `isCancelled` said so.
    package func run(
        _ query: NameQuery, _ filter: NameFilter, limit: Int, isCancelled: @escaping @Sendable () -> Bool = { false }
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
                    query, filter, isRelevant, limit: wanted, allowingTypos: false, isCancelled)
            else { return nil }
            var best = found
            if query.mayHoldTypo, (best.first?.score ?? 0) < query.runScore {
                guard
                    let more = try candidates(query, filter, isRelevant, limit: wanted, allowingTypos: true, isCancelled)
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
    private func candidates(
        _ query: NameQuery, _ filter: NameFilter, _ isRelevant: [Bool], limit: Int, allowingTypos: Bool,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws(NameIndexError) -> [NameCandidate]? {
        let work = segments.flatMap { segment in filter.blocks(of: segment.table).map { (segment: segment, block: $0) } }
        let shared = SearchShared()
        var workers: [SearchWorker] = []
        for _ in 0..<min(threads, max(1, work.count)) {
            workers.append(
                try SearchWorker(
                    PathScan(query, allowingTypos: allowingTypos), filter, isRelevant, limit: limit, store.cipher, shared))
        }
        let needsStates = filter.looksAtStates || isRelevant.contains(false)
        @Sendable func run(_ worker: SearchWorker) {
            while true {
                let next = shared.next.add(1, ordering: .relaxed).oldValue
                guard next < work.count, !shared.isOver else { return }
                if isCancelled() { return shared.cancel() }
                do throws(NameIndexError) {
                    try worker.search(work[next].segment, work[next].block, needsStates: needsStates)
                } catch { shared.fail(error) }
            }
        }
        var running: [WorkerThread] = []
        for worker in workers.dropFirst() {
            let handed = HandedWorker(worker: worker)
            if let thread = WorkerThread(name: "find", { run(handed.worker) }) { running.append(thread) }
        }
        if let first = workers.first { run(first) }
        for thread in running { thread.join() }
        if let error = shared.error { throw error }
        if shared.isOver { return nil }
        var all = workers.flatMap(\.best.candidates).sorted(by: NameCandidate.isBetter)
        if all.count > limit { all.removeLast(all.count - limit) }
        return all
    }

    /// The versions of the best candidates.
    private func resolve(
        _ candidates: [NameCandidate], _ filter: NameFilter, _ isSelected: [Bool], limit: Int
    ) throws(NameIndexError) -> [NameMatch] {
        var cursors: [NameCursor] = []
        for segment in segments { cursors.append(try NameCursor(segment, store.cipher)) }
        var results: [NameMatch] = []
        // In parts, the best first; each part by path, so that a block is opened once.
        var start = 0
        var seen: Set<RawPath> = []
        while start < candidates.count, results.count < limit {
            let part = candidates[start..<min(candidates.count, start + max(limit, 64))]
            start = part.endIndex
            var found: [(candidate: NameCandidate, match: NameMatch)] = []
            for candidate in part.sorted(by: { $0.path < $1.path }) where seen.insert(candidate.path).inserted {
                var changes: [NameChange] = []
                for cursor in cursors {
                    let more = try candidate.path.bytes.withPathBytes { path throws(NameIndexError) in try cursor.find(path) }
                    if let more { changes += more }
                }
                changes.sort { $0.ordinal < $1.ordinal }
                let states = history.states(changes)
                let holders = ages.filter { isSelected[$0] && states[$0].map(filter.allows) ?? false }
                guard let last = holders.last, let state = states[last] else { continue }
                found.append(
                    (
                        candidate,
                        NameMatch(
                            path: candidate.path, score: candidate.score, state: state,
                            snapshots: holders.map { manifest.snapshots[$0].id },
                            isDeleted: heads.allSatisfy { states[$0] == nil })
                    ))
            }
            found.sort { NameCandidate.isBetter($0.candidate, $1.candidate) }
            results += found.map(\.match)
        }
        return Array(results.prefix(limit))
    }
}

private struct HandedWorker: @unchecked Sendable {
    // SAFETY: used by the one thread that it is handed to, until that thread is joined.
    let worker: SearchWorker
}

/// A path that the query matches.
struct NameCandidate: Sendable {
    let score: Int
    let path: RawPath

    /// What orders candidates, but for equal ones: the higher the better.
    static func rank(_ score: Int, _ bytes: Int) -> UInt64 {
        UInt64(UInt32(clamping: score)) << 32 | UInt64(UInt32.max - UInt32(clamping: bytes))
    }

    var rank: UInt64 { NameCandidate.rank(score, path.bytes.count) }

    static func isBetter(_ a: NameCandidate, _ b: NameCandidate) -> Bool { a.rank != b.rank ? a.rank > b.rank : a.path < b.path }
}

/// The best so far, the worst of them at hand: a heap.
struct BestCandidates {
    let limit: Int
    private(set) var candidates: [NameCandidate] = []

    init(limit: Int) { self.limit = limit }

    /// Nil while there is room.
    var worst: NameCandidate? { candidates.count < limit ? nil : candidates.first }

    mutating func add(_ candidate: NameCandidate) {
        if candidates.count < limit {
            candidates.append(candidate)
            var index = candidates.count - 1
            while index > 0, NameCandidate.isBetter(candidates[(index - 1) / 2], candidates[index]) {
                candidates.swapAt(index, (index - 1) / 2)
                index = (index - 1) / 2
            }
            return
        }
        guard let worst = candidates.first, NameCandidate.isBetter(candidate, worst) else { return }
        candidates[0] = candidate
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < candidates.count {
                if NameCandidate.isBetter(candidates[least], candidates[child]) { least = child }
            }
            if least == index { return }
            candidates.swapAt(index, least)
            index = least
        }
    }
}

/// What the workers of one search share.
final class SearchShared: Sendable {
    let next = Atomic<Int>(0)
    /// No candidate of a lower rank is wanted.
    let threshold = Atomic<UInt64>(0)
    private let end = Mutex<(isOver: Bool, error: NameIndexError?)>((false, nil))
    private let over = Atomic<Bool>(false)

    var isOver: Bool { over.load(ordering: .relaxed) }
    var error: NameIndexError? { end.withLock { $0.error } }

    func cancel() { over.store(true, ordering: .relaxed) }

    func fail(_ error: NameIndexError) {
        end.withLock { if $0.error == nil { $0.error = error } }
        cancel()
    }
}

/// One thread's part of a search.
final class SearchWorker {
    private let scan: PathScan
    private let filter: NameFilter
    private let isRelevant: [Bool]
    private let shared: SearchShared
    private let names: BlockBuffer
    private let states: BlockBuffer
    private let rows = ScoreRows()
    private(set) var best: BestCandidates
    private var allowed: [Bool] = []
    private var changes: [NameChange] = []
    /// No path has more.
    private let bestScore: Int

    init(
        _ scan: PathScan, _ filter: NameFilter, _ isRelevant: [Bool], limit: Int, _ cipher: NameIndexCipher,
        _ shared: SearchShared
    ) throws(NameIndexError) {
        self.scan = scan
        bestScore = scan.terms.reduce(0) { $0 + Score.best($1.lowered.count) }
        self.filter = filter
        self.isRelevant = isRelevant
        self.shared = shared
        names = BlockBuffer(try PieceOpener(cipher))
        states = BlockBuffer(try PieceOpener(cipher))
        best = BestCandidates(limit: limit)
    }

    func search(_ segment: NameSegment, _ block: Int, needsStates: Bool) throws(NameIndexError) {
        var reader = NameReader(try segment.names(block, names))
        scan.reset()
        allowed.removeAll(keepingCapacity: true)
        var index = 0
        do throws(FormatError) {
            while let name = try reader.next() {
                let isFound = scan.advance(name.shared, name.suffix)
                if isFound || scan.isNearlyFound() {
                    if needsStates, allowed.isEmpty { try readStates(segment, block) }
                    if !needsStates || index < allowed.count && allowed[index] { consider(isExact: isFound) }
                }
                index &+= 1
            }
        } catch { throw NameIndexError(error) }
    }

    /// Which paths of a block have a version that may be wanted.
    private func readStates(_ segment: NameSegment, _ block: Int) throws(FormatError) {
        let bytes: UnsafeRawBufferPointer
        do { bytes = try segment.states(block, states) } catch { throw FormatError(.checksum, "states of names") }
        var reader = try StatesReader(bytes)
        for _ in 0..<segment.table.blocks[block].entries {
            try reader.next(&changes)
            allowed.append(
                changes.contains { change in
                    guard let state = change.state, Int(change.ordinal) < isRelevant.count else { return false }
                    return isRelevant[Int(change.ordinal)] && filter.allows(state)
                })
        }
    }

    private func consider(isExact: Bool) {
        let threshold = shared.threshold.load(ordering: .relaxed)
        let bytes = scan.rawCount
        if NameCandidate.rank(bestScore, bytes) < threshold { return }
        if isExact, !scan.hasAnyRun(), NameCandidate.rank(scan.bound(), bytes) < threshold { return }
        guard let score = scan.score(rows), NameCandidate.rank(score, bytes) >= threshold else { return }
        let path = UnsafeRawBufferPointer(start: scan.raw, count: bytes)
        guard filter.allows(path) else { return }
        best.add(NameCandidate(score: score, path: RawPath(bytes: Array(path))))
        guard let worst = best.worst?.rank else { return }
        var seen = threshold
        while worst > seen {
            let (exchanged, original) = shared.threshold.weakCompareExchange(expected: seen, desired: worst, ordering: .relaxed)
            if exchanged { break }
            seen = original
        }
    }
}
