// How well a term matches a text: the algorithm and the numbers of fzf (junegunn/fzf, src/algo/algo.go, FuzzyMatchV2 with `--scheme=path`),
// which people's fingers know; over folded bytes instead of runes.

enum Score {
    static let match = 16
    static let gapStart = -3
    static let gapExtension = -1
    static let boundary = match / 2
    static let nonWord = match / 2
    static let camel = boundary + gapExtension
    static let consecutive = -(gapStart + gapExtension)
    static let firstFactor = 2
    /// After a space; with fzf's path scheme no more than any boundary.
    static let boundaryWhite = boundary
    /// After a slash, and at the start.
    static let boundaryDelimiter = boundary + 1

    /// Ours: a term whose letters are all in the last component.
    static let lastComponent = match
    /// Ours: what a typo costs.
    static let typo = -2 * match

    /// The most that any match of a term of `count` bytes has.
    static func best(_ count: Int) -> Int {
        count * match + boundaryDelimiter * firstFactor + (count - 1) * boundaryDelimiter + lastComponent
    }

    /// The least that a match of neighbouring letters has.
    static func run(_ count: Int) -> Int { count * match + (count - 1) * consecutive }

    /// Of `count` neighbouring letters with these bonuses.
    static func run(_ bonus: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var first = Int(bonus[0])
        var sum = count * match + first * firstFactor
        for index in 1..<max(1, count) {
            let own = Int(bonus[index])
            if own >= boundary, own > first { first = own }
            sum += max(own, consecutive, first)
        }
        return sum
    }
}

/// Classes of bytes, in fzf's order.
private enum ByteClass {
    static let white: UInt8 = 0
    static let nonWord: UInt8 = 1
    static let delimiter: UInt8 = 2
    static let lower: UInt8 = 3
    static let upper: UInt8 = 4
    static let letter: UInt8 = 5
    static let number: UInt8 = 6

    static func of(_ byte: UInt8) -> UInt8 {
        switch byte {
        case 0x61...0x7a: lower
        case 0x41...0x5a: upper
        case 0x30...0x39: number
        case 0x20, 0x09...0x0d: white
        case 0x2f: delimiter
        case 0x80...0xff: letter
        default: nonWord
        }
    }

    static func bonus(_ previous: UInt8, _ current: UInt8) -> Int {
        if current > nonWord {
            switch previous {
            case white: return Score.boundaryWhite
            case delimiter: return Score.boundaryDelimiter
            case nonWord: return Score.boundary
            default: break
            }
        }
        if previous == lower && current == upper || previous != number && current == number { return Score.camel }
        switch current {
        case nonWord, delimiter: return Score.nonWord
        case white: return Score.boundaryWhite
        default: return 0
        }
    }
}

/// The bonus of each byte by the byte before it: 256 times the byte before, plus the byte.
nonisolated(unsafe) let bonusTable: UnsafePointer<UInt8> = {
    // SAFETY: never written after this, and never freed.
    let table = UnsafeMutablePointer<UInt8>.allocate(capacity: 65_536)
    // A row for each class, and the same again for each byte of it: this is done at each start.
    let classes = (0..<256).map { ByteClass.of(UInt8($0)) }
    var rows = [UnsafeMutablePointer<UInt8>?](repeating: nil, count: Int(ByteClass.number) + 1)
    for previous in 0..<256 {
        let row = table + previous << 8
        if let same = rows[Int(classes[previous])] {
            row.update(from: same, count: 256)
            continue
        }
        for current in 0..<256 { row[current] = UInt8(ByteClass.bonus(classes[previous], classes[current])) }
        rows[Int(classes[previous])] = row
    }
    return UnsafePointer(table)
}()

/// Rows of the score's matrix, used again for text after text by one thread.
final class ScoreRows {
    private var capacity = 0
    private var memory: UnsafeMutablePointer<Int32>
    private var firsts: [Int] = []

    init() { memory = .allocate(capacity: 1) }
    deinit { memory.deallocate() }

    private func reserve(_ count: Int) {
        guard count > capacity else { return }
        memory.deallocate()
        capacity = max(count, 2 * capacity, 512)
        memory = .allocate(capacity: 4 * capacity)
    }

    /// The score of the best way to find the bytes of `pattern` in order in `text[range]`, by `bonus` of each place; nil when they are
    /// not there in this order.
    func score(
        _ pattern: UnsafeBufferPointer<UInt8>, in text: UnsafePointer<UInt8>, bonus: UnsafePointer<UInt8>, _ range: Range<Int>
    ) -> Int? {
        let count = pattern.count
        guard count > 0, count <= range.count else { return nil }
        firsts.removeAll(keepingCapacity: true)
        var place = range.lowerBound
        for byte in pattern {
            while place < range.upperBound, text[place] != byte { place &+= 1 }
            guard place < range.upperBound else { return nil }
            firsts.append(place)
            place &+= 1
        }
        var end = range.upperBound
        while text[end &- 1] != pattern[count &- 1] { end &-= 1 }
        let start = firsts[0]
        reserve(end - start)
        var above = (score: memory, run: memory + capacity)
        var row = (score: memory + 2 * capacity, run: memory + 3 * capacity)
        var best: Int32 = 0
        firstRow(pattern[0], text, bonus, start..<end, row, isLast: count == 1, &best)
        for index in 1..<max(1, count) {
            swap(&above, &row)
            nextRow(pattern[index], text, bonus, start, firsts[index]..<end, above, row, isLast: index == count - 1, &best)
        }
        return Int(best)
    }

    private typealias Row = (score: UnsafeMutablePointer<Int32>, run: UnsafeMutablePointer<Int32>)

    private func firstRow(
        _ byte: UInt8, _ text: UnsafePointer<UInt8>, _ bonus: UnsafePointer<UInt8>, _ range: Range<Int>, _ row: Row, isLast: Bool,
        _ best: inout Int32
    ) {
        var left: Int32 = 0
        var isInGap = false
        for place in range {
            let column = place &- range.lowerBound
            if text[place] == byte {
                left = Int32(Score.match) &+ Int32(bonus[place]) &* Int32(Score.firstFactor)
                row.run[column] = 1
                isInGap = false
                if isLast, left > best { best = left }
            } else {
                left = max(left &+ Int32(isInGap ? Score.gapExtension : Score.gapStart), 0)
                row.run[column] = 0
                isInGap = true
            }
            row.score[column] = left
        }
    }

    private func nextRow(
        _ byte: UInt8, _ text: UnsafePointer<UInt8>, _ bonus: UnsafePointer<UInt8>, _ start: Int, _ range: Range<Int>,
        _ above: Row,
        _ row: Row, isLast: Bool, _ best: inout Int32
    ) {
        var left: Int32 = 0
        var isInGap = false
        for place in range {
            let column = place &- start
            let skipped = left &+ Int32(isInGap ? Score.gapExtension : Score.gapStart)
            var matched: Int32 = 0
            var run: Int32 = 0
            if text[place] == byte {
                matched = above.score[column &- 1] &+ Int32(Score.match)
                let own = Int32(bonus[place])
                var gained = own
                run = above.run[column &- 1] &+ 1
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
            }
            row.run[column] = run
            isInGap = matched < skipped
            left = max(matched, skipped, 0)
            row.score[column] = left
            if isLast, left > best { best = left }
        }
    }
}
