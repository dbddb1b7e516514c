/// A path that can be found, as its sketch says, and the most that it promises.
struct SketchPromise: BitwiseCopyable {
    /// The number of its block in the search.
    let block: UInt32
    private let packed: UInt32

    /// More cannot be noted.
    static let lossMax = 31

    init(block: Int, path: Int, loss: Int, length: Int) {
        self.block = UInt32(truncatingIfNeeded: block)
        packed = UInt32(truncatingIfNeeded: path << 13 | loss << 8 | length)
    }

    /// Its place in the block.
    var path: Int { Int(packed >> 13) }
    /// What it loses at least against the best score, in units of 3 points.
    var loss: Int { Int(packed >> 8 & 31) }
    /// In bytes, ``SketchMark/lengthMax`` for more.
    var length: Int { Int(packed & 255) }
}

/// The paths that promise most in the blocks that one thread has looked at: as many as there is room for.
struct SketchPromises {
    private static let room = 1 << 18

    private(set) var list: [SketchPromise] = []
    /// Those that lose more are not listed; -1 when none is.
    private(set) var lossMax: Int
    /// Those listed, by their losses.
    private(set) var counts = [Int](repeating: 0, count: SketchPromise.lossMax + 1)
    /// Paths that can be found, listed or not.
    var found = 0

    init(isListing: Bool) { lossMax = isListing ? SketchPromise.lossMax : -1 }

    mutating func add(_ promise: SketchPromise) {
        guard promise.loss <= lossMax else { return }
        list.append(promise)
        counts[promise.loss] += 1
        guard list.count > SketchPromises.room else { return }
        var kept = list.count
        while kept > SketchPromises.room / 2 {
            kept -= counts[lossMax]
            counts[lossMax] = 0
            lossMax -= 1
        }
        let most = lossMax
        list.removeAll { $0.loss > most }
    }
}

/// The paths that a search looks at first, by their blocks: mostly, what is found among them is better than what all others promise.
struct FirstLook: Sendable {
    /// No other path has this rank.
    let rank: UInt64
    /// There are no others.
    let isAll: Bool
    private let starts: [UInt32]
    private let promises: [SketchPromise]

    /// So many for each that is wanted, if there are as many.
    private static let wantedFactor = 2048
    /// With fewer, they are not worth a pass of their own.
    private static let leastFactor = 64

    /// Nil when nothing is gained by it.
    init?(_ all: [SketchPromises], blocks: Int, bestScore: Int, limit: Int) {
        let lossMax = all.map(\.lossMax).min() ?? -1
        guard lossMax >= 0 else { return nil }
        var level = 0
        var count = all.reduce(0) { $0 + $1.counts[0] }
        while level < lossMax, count < FirstLook.wantedFactor * limit {
            level += 1
            count += all.reduce(0) { $0 + $1.counts[level] }
        }
        isAll = count == all.reduce(0) { $0 + $1.found }
        guard isAll || count >= FirstLook.leastFactor * limit else { return nil }
        rank = NameCandidate.rank(bestScore - 3 * level - 2, Int(UInt32.max))
        var starts = [UInt32](repeating: 0, count: blocks + 2)
        for list in all { for promise in list.list where promise.loss <= level { starts[Int(promise.block) + 2] += 1 } }
        for block in starts.indices.dropFirst() { starts[block] += starts[block - 1] }
        var promises = [SketchPromise](repeating: SketchPromise(block: 0, path: 0, loss: 0, length: 0), count: count)
        for list in all {
            for promise in list.list where promise.loss <= level {
                promises[Int(starts[Int(promise.block) + 1])] = promise
                starts[Int(promise.block) + 1] += 1
            }
        }
        self.starts = starts
        self.promises = promises
    }

    /// Those in a block.
    subscript(block: Int) -> ArraySlice<SketchPromise> { promises[Int(starts[block])..<Int(starts[block + 1])] }
}
