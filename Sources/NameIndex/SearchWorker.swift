internal import BackupFormat
internal import Cryptography
internal import Synchronization

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
    private let best: Mutex<BestCandidates>
    private let end = Mutex<(isOver: Bool, error: NameIndexError?)>((false, nil))
    private let over = Atomic<Bool>(false)

    init(limit: Int) { best = Mutex(BestCandidates(limit: limit)) }

    /// The best so far, in no order.
    var candidates: [NameCandidate] { best.withLock { $0.candidates } }

    /// Forgets what was found; not that none of a lower rank than the threshold is wanted.
    func restart() { best.withLock { $0 = BestCandidates(limit: $0.limit) } }

    func add(_ candidate: NameCandidate) {
        best.withLock { best in
            best.add(candidate)
            if let worst = best.worst?.rank, worst > threshold.load(ordering: .relaxed) {
                threshold.store(worst, ordering: .relaxed)
            }
        }
    }

    var isOver: Bool { over.load(ordering: .relaxed) }
    var error: NameIndexError? { end.withLock { $0.error } }

    func cancel() { over.store(true, ordering: .relaxed) }

    func fail(_ error: NameIndexError) {
        end.withLock { if $0.error == nil { $0.error = error } }
        cancel()
    }
}

/// A group of blocks that a search looks at, or some of its blocks.
struct SearchGroup {
    let segment: NameSegment
    let number: Int
    let blocks: Range<Int>
    /// The number of the first of them among all blocks of the search.
    let first: Int
}

/// What a block or a group promises at best.
struct SearchRank: Sendable {
    let group: Int
    let number: Int
    let rank: UInt64

    static func isBetter(_ a: SearchRank, _ b: SearchRank) -> Bool { (b.rank, a.number) < (a.rank, b.number) }
}

/// One thread's part of a search.
final class SearchWorker {
    private let scan: PathScan
    private let sketches: SketchScan
    private let filter: NameFilter
    private let isRelevant: [Bool]
    private let shared: SearchShared
    private let names: BlockBuffer
    private let states: BlockBuffer
    private let rows = ScoreRows()
    private var allowed: [Bool] = []
    private var changes: [NameChange] = []
    /// The best rank that each block, and each group, can have that was ranked here, if any of it can be found.
    private(set) var ranks: [SearchRank] = []
    private(set) var groupRanks: [SearchRank] = []
    /// The path at hand, as the names tell it.
    private let path: UnsafeMutableRawPointer
    /// No path has more.
    private let bestScore: Int

    init(
        _ scan: PathScan, _ sketches: SketchScan, _ filter: NameFilter, _ isRelevant: [Bool],
        _ cipher: NameIndexCipher,
        _ shared: SearchShared
    ) {
        self.scan = scan
        self.sketches = sketches
        bestScore = scan.terms.reduce(0) { $0 + Score.best($1.lowered.count) }
        self.filter = filter
        self.isRelevant = isRelevant
        self.shared = shared
        names = BlockBuffer(PieceOpener(cipher))
        states = BlockBuffer(PieceOpener(cipher))
        // Paths are copied in runs of 16, and read in runs of 32.
        path = .allocate(byteCount: NameLimits.pathBytesMax + 64, alignment: 64)
    }

    deinit { path.deallocate() }

    /// Of the blocks that were ranked here.
    var promises: SketchPromises { sketches.promises }

    func rank(_ group: SearchGroup, _ number: Int) throws(NameIndexError) {
        var best: UInt64 = 0
        try sketches.rank(group.segment, group.number, blocks: group.blocks, first: group.first) { block, rank in
            ranks.append(SearchRank(group: number, number: block, rank: rank))
            best = max(best, rank)
        }
        if best > 0 { groupRanks.append(SearchRank(group: number, number: number, rank: best)) }
    }

    /// Looks for the best paths of a block, among those that were noted of it.
    func search(_ segment: NameSegment, _ block: Int, needsStates: Bool, _ noted: ArraySlice<SketchPromise>)
        throws(NameIndexError)
    {
        let threshold = shared.threshold.load(ordering: .relaxed)
        let entries = segment.table.blocks[block].entries
        guard let wanted = sketches.candidates(noted, entries: entries, threshold: threshold) else { return }
        try search(segment, block, needsStates, wanted)
    }

    /// Looks for the best paths of a group.
    func search(_ group: SearchGroup, needsStates: Bool) throws(NameIndexError) {
        let segment = group.segment
        if !sketches.isBlind { guard try sketches.look(at: segment, group.number) else { return } }
        var word = 0
        for block in segment.table.groups[group.number].blocks {
            let words = word..<word + segment.table.blocks[block].words
            word = words.upperBound
            guard group.blocks.contains(block), !shared.isOver else { continue }
            let threshold = shared.threshold.load(ordering: .relaxed)
            guard let wanted = try sketches.candidates(words, threshold: threshold) else { continue }
            try search(segment, block, needsStates, wanted)
        }
    }

    /// Looks for the best of the paths that are `wanted` of a block, a bit each.
    private func search(
        _ segment: NameSegment, _ block: Int, _ needsStates: Bool, _ wanted: UnsafeMutablePointer<UInt64>
    ) throws(NameIndexError) {
        let entries = segment.table.blocks[block].entries
        var reader = NameReader(try segment.names(block, names))
        scan.reset()
        allowed.removeAll(keepingCapacity: true)
        var index = 0
        var words = (entries + 63) / 64
        while words > 0, wanted[words - 1] == 0 { words -= 1 }
        guard words > 0 else { return }
        let last = min(entries - 1, words << 6 - 1 - wanted[words - 1].leadingZeroBitCount)
        // Bytes that all paths since the last one that was looked at have of it.
        var since = 0
        do throws(FormatError) {
            while let name = try reader.next() {
                guard let source = name.suffix.baseAddress else {
                    throw FormatError(.inconsistent, "names", at: index)
                }
                copy(source, name.suffix.count, to: name.shared)
                since = min(since, name.shared)
                if wanted[index >> 6] >> UInt64(index & 63) & 1 != 0 {
                    let count = name.shared &+ name.suffix.count
                    let isFound = scan.advance(since, UnsafeRawBufferPointer(start: path + since, count: count &- since))
                    since = count
                    if isFound || scan.isNearlyFound() {
                        if needsStates, allowed.isEmpty { try readStates(segment, block) }
                        if !needsStates || index < allowed.count && allowed[index] { consider(isExact: isFound) }
                    }
                }
                index &+= 1
                if index > last { return }
            }
            throw FormatError(.truncated, "names", at: index)
        } catch { throw NameIndexError(error) }
    }

    /// Copies 32 bytes at least, and 16 at a time: both have room for more.
    @inline(__always)
    private func copy(_ source: UnsafeRawPointer, _ count: Int, to place: Int) {
        let target = path + place
        target.storeBytes(of: source.loadUnaligned(as: SIMD32<UInt8>.self), as: SIMD32<UInt8>.self)
        var index = 32
        while index < count {
            let bytes = source.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
            target.storeBytes(of: bytes, toByteOffset: index, as: SIMD16<UInt8>.self)
            index &+= 16
        }
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
        shared.add(NameCandidate(score: score, path: RawPath(bytes: Array(path))))
    }
}
