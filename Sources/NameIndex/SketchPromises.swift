internal import Synchronization

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

/// How many paths all threads of a search have listed, by their losses.
final class SketchTally: Sendable {
    private let counts = Mutex([Int](repeating: 0, count: SketchPromise.lossMax + 1))
    private let wanted: Int

    init(limit: Int) { wanted = FirstLook.wantedFactor * limit }

    /// Adds some, and answers the least loss that as many have as are wanted; nil if there are not as many.
    func add(_ more: UnsafeBufferPointer<Int>) -> Int? {
        counts.withLock { counts in
            var (sum, level) = (0, Int?.none)
            for loss in counts.indices {
                counts[loss] += more[loss]
                sum += counts[loss]
                if level == nil, sum >= wanted { level = loss }
            }
            return level
        }
    }
}

/// The paths that promise most in the blocks that one thread has looked at: as many as there is room for.
final class SketchPromises {
    private static let room = 1 << 18

    private let memory: UnsafeMutablePointer<SketchPromise>
    private let numbers: UnsafeMutablePointer<Numbers>
    private let counted: UnsafeMutableBufferPointer<Int>
    /// Those that the tally was not told of yet.
    private let untold: UnsafeMutableBufferPointer<Int>
    private let tally: SketchTally

    /// Outside of the object, so that the runtime does not check each access.
    private struct Numbers {
        var listed = 0
        var found = 0
        var lossMax: Int
    }

    init(isListing: Bool, _ tally: SketchTally) {
        self.tally = tally
        memory = .allocate(capacity: SketchPromises.room + 1)
        numbers = .allocate(capacity: 1)
        numbers.initialize(to: Numbers(lossMax: isListing ? SketchPromise.lossMax : -1))
        counted = .allocate(capacity: SketchPromise.lossMax + 1)
        counted.initialize(repeating: 0)
        untold = .allocate(capacity: SketchPromise.lossMax + 1)
        untold.initialize(repeating: 0)
    }

    deinit {
        memory.deallocate()
        numbers.deallocate()
        counted.deallocate()
        untold.deallocate()
    }

    var list: UnsafeBufferPointer<SketchPromise> { UnsafeBufferPointer(start: memory, count: numbers.pointee.listed) }
    /// Of those that lose more, not all are listed; -1 when none is.
    var lossMax: Int { numbers.pointee.lossMax }
    /// Those listed, by their losses.
    var counts: UnsafeBufferPointer<Int> { UnsafeBufferPointer(counted) }
    /// Paths that can be found, listed or not.
    var found: Int {
        get { numbers.pointee.found }
        set { numbers.pointee.found = newValue }
    }

    /// At the end of a group: lists no more of those that lose more than as many as are looked at first.
    func narrow() {
        guard lossMax >= 0 else { return }
        if let level = tally.add(UnsafeBufferPointer(untold)) { numbers.pointee.lossMax = min(lossMax, level) }
        untold.update(repeating: 0)
    }

    @inline(__always)
    func add(_ promise: SketchPromise) {
        guard promise.loss <= lossMax else { return }
        memory[numbers.pointee.listed] = promise
        numbers.pointee.listed &+= 1
        counted[promise.loss] &+= 1
        untold[promise.loss] &+= 1
        if numbers.pointee.listed > SketchPromises.room { makeRoom() }
    }

    private func makeRoom() {
        var kept = counted[...lossMax].reduce(0, +)
        while kept > SketchPromises.room / 2 {
            kept -= counted[lossMax]
            numbers.pointee.lossMax -= 1
        }
        var next = 0
        for promise in list where promise.loss <= lossMax {
            memory[next] = promise
            next += 1
        }
        numbers.pointee.listed = next
        for loss in counted.indices where loss > lossMax { counted[loss] = 0 }
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
    static let wantedFactor = 2048
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
        for list in all {
            starts.withUnsafeMutableBufferPointer { starts in
                for promise in list.list where promise.loss <= level { starts[Int(promise.block) + 2] += 1 }
            }
        }
        for block in starts.indices.dropFirst() { starts[block] += starts[block - 1] }
        promises = [SketchPromise](unsafeUninitializedCapacity: count) { promises, filled in
            starts.withUnsafeMutableBufferPointer { starts in
                for list in all {
                    for promise in list.list where promise.loss <= level {
                        promises[Int(starts[Int(promise.block) + 1])] = promise
                        starts[Int(promise.block) + 1] += 1
                    }
                }
            }
            filled = count
        }
        self.starts = starts
    }

    /// Those in a block.
    subscript(block: Int) -> ArraySlice<SketchPromise> { promises[Int(starts[block])..<Int(starts[block + 1])] }
}
