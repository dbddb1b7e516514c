/// How well a term's beginnings are found in a folder's path: the rows of ``ScoreRows`` byte by byte, kept from folder to folder, so that each
/// costs only its bytes that the one before did not have.
///
/// For one thread. What a path scores whose first letters of the term stand in its folder, and the others in its last component, is at
/// most what they have where the folder ends, and what the others have by themselves.
final class FolderScores {
    /// Of longer paths nothing is known.
    static let bytesMax = 1024

    /// What a state is of: a path of so many bytes.
    private struct State: BitwiseCopyable {
        /// Which first letters stand there in order and have not lost more than is counted: a bit for the last of them.
        var live: UInt64 = 0
        /// The same where the gap behind them has taken all that they had: nothing is to be done for these.
        var spent: UInt64 = 0
        /// The best score of all letters.
        var best: Int32 = 0
    }

    private let count: Int
    private let isSensitive: Bool
    /// For each byte, the places of the term where it stands, as bits.
    private let places: UnsafeMutablePointer<UInt64>
    private let states: UnsafeMutablePointer<State>
    /// Of each state, a cell for each that is live: the score, whether it is in a gap, and how many letters of a run end there.
    private let cells: UnsafeMutablePointer<Int32>
    /// For each place of the term: a score must be above this.
    private let least: UnsafeMutablePointer<Int32>
    /// Up to where states are right.
    private var valid = 0

    init(_ term: NameQuery.Term) {
        let pattern = term.isSensitive ? term.kept : term.lowered
        isSensitive = term.isSensitive
        count = pattern.count
        places = .allocate(capacity: 256)
        places.initialize(repeating: 0, count: 256)
        least = .allocate(capacity: count)
        for (place, byte) in pattern.enumerated() {
            places[Int(byte)] |= 1 << UInt64(place)
            least[place] = Int32(truncatingIfNeeded: Score.best(place + 1) - 3 * SketchQuery.splitLossMax)
        }
        states = .allocate(capacity: FolderScores.bytesMax + 1)
        states[0] = State()
        cells = .allocate(capacity: (FolderScores.bytesMax + 1) * count)
    }

    deinit {
        places.deallocate()
        states.deallocate()
        cells.deallocate()
        least.deallocate()
    }

    @inline(__always)
    private static func cell(_ score: Int32, _ isInGap: Bool, _ run: Int32) -> Int32 { score << 8 | (isInGap ? 128 : 0) | run }

    /// Tells `each` number of first letters of the term that stand in the folder what a path loses by them at least, in units of 3 points; but
    /// for those that lose more than is counted. `folder` tells where it parts from the one before, and is rated.
    @inline(__always)
    func losses(in folder: PathScan, _ each: (Int, Int) -> Void) {
        var place = min(valid, folder.changed)
        guard folder.count <= FolderScores.bytesMax else {
            valid = place
            for letters in 1...count { each(letters, SketchQuery.folderLoss) }
            return
        }
        let text = UnsafePointer(isSensitive ? folder.kept : folder.lowered)
        let bonus = UnsafePointer(folder.bonus)
        while place < folder.count {
            step(text[place], bonus, place)
            place &+= 1
        }
        valid = folder.count
        let row = cells + valid &* count
        var live = states[valid].live & ~(1 << UInt64(count - 1))
        while live != 0 {
            let index = live.trailingZeroBitCount
            each(index + 1, (Score.best(index + 1) - Int(row[index] >> 8)) / 3)
            live &= live &- 1
        }
        var spent = states[valid].spent & ~(1 << UInt64(count - 1))
        while spent != 0 {
            let index = spent.trailingZeroBitCount
            each(index + 1, Score.best(index + 1) / 3)
            spent &= spent &- 1
        }
        let best = Int(states[valid].best)
        if best > 0 { each(count, (Score.best(count) - best) / 3) }
    }

    @inline(__always)
    private func step(_ byte: UInt8, _ bonus: UnsafePointer<UInt8>, _ place: Int) {
        let (old, new) = (cells + place &* count, cells + (place &+ 1) &* count)
        var state = states[place]
        let (live, spent) = (state.live, state.spent)
        var here = places[Int(byte)] & ((live | spent) << 1 | 1)
        var left = live & ~here
        while left != 0 {
            let index = left.trailingZeroBitCount
            left &= left &- 1
            let skipped = FolderScores.skipped(old[index])
            // In the first row there is a gap in any case.
            new[index] = FolderScores.cell(max(skipped, 0), index == 0 || skipped > 0, 0)
            guard skipped <= max(0, least[index]) else { continue }
            state.live &= ~(1 << UInt64(index))
            if least[index] < 0 { state.spent |= 1 << UInt64(index) }
        }
        while here != 0 {
            let index = here.trailingZeroBitCount
            here &= here &- 1
            let own = Int32(bonus[place])
            if index == 0 {
                new[0] = FolderScores.first(own)
            } else {
                let isLive = live >> UInt64(index) & 1 != 0
                let skipped = isLive ? FolderScores.skipped(old[index]) : Int32(Score.gapStart)
                let above = live >> UInt64(index &- 1) & 1 != 0 ? old[index &- 1] : FolderScores.cell(0, true, 0)
                new[index] = FolderScores.next(above, skipped, own, bonus, place)
            }
            let bit: UInt64 = 1 << UInt64(index)
            let isLive = new[index] >> 8 > least[index]
            state.live = isLive ? state.live | bit : state.live & ~bit
            state.spent &= ~bit
        }
        if state.live >> UInt64(count &- 1) & 1 != 0 { state.best = max(state.best, new[count &- 1] >> 8) }
        states[place &+ 1] = state
    }

    @inline(__always)
    private static func skipped(_ cell: Int32) -> Int32 {
        cell >> 8 &+ Int32(cell & 128 != 0 ? Score.gapExtension : Score.gapStart)
    }

    @inline(__always)
    private static func first(_ own: Int32) -> Int32 { cell(Int32(Score.match) &+ own &* Int32(Score.firstFactor), false, 1) }

    /// The cell of a letter that stands here, after the cell of the letter before it one place before.
    @inline(__always)
    private static func next(
        _ above: Int32, _ skipped: Int32, _ own: Int32, _ bonus: UnsafePointer<UInt8>, _ place: Int
    ) -> Int32 {
        var matched = (above >> 8) &+ Int32(Score.match)
        var gained = own
        var run = (above & 127) &+ 1
        if run > 1 {
            let first = Int32(bonus[place &- Int(run) &+ 1])
            if own >= Int32(Score.boundary), own > first {
                run = 1
            } else {
                gained = max(own, max(Int32(Score.consecutive), first))
            }
        }
        if matched &+ gained < skipped {
            matched &+= own
            run = 0
        } else {
            matched &+= gained
        }
        return cell(max(matched, skipped, 0), matched < skipped, run)
    }
}
