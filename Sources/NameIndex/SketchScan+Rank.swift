internal import BackupFormat

/// What the sketch of a group that was looked at says of its blocks and paths.
extension SketchScan {
    /// Tells `each` block of a group that can have a path that is found the rank that none of its paths exceeds. Notes what they promise.
    /// `first` is the number of the first of the blocks.
    func rank(
        _ segment: NameSegment, _ number: Int, blocks: Range<Int>, first: Int, each: (Int, UInt64) -> Void
    ) throws(NameIndexError) {
        guard !isBlind else { return blocks.forEach { each(first + $0 - blocks.lowerBound, UInt64.max) } }
        guard try look(at: segment, number) else { return }
        try openLengths()
        var word = 0
        for block in segment.table.groups[number].blocks {
            let words = word..<word + segment.table.blocks[block].words
            word = words.upperBound
            guard blocks.contains(block), let best = best(words) else { continue }
            note(words, first + block - blocks.lowerBound)
            each(first + block - blocks.lowerBound, best)
        }
        promises.narrow()
    }

    private func best(_ words: Range<Int>) -> UInt64? {
        reserveSelected(words.count)
        var isAny = false
        for word in words {
            selected[word - words.lowerBound] = found[word]
            isAny = isAny || found[word] != 0
        }
        guard isAny else { return nil }
        var loss = 0
        for bit in (0..<counter.lossBits).reversed() {
            let plane = losses + bit * stride + words.lowerBound
            var isWithout = false
            for word in 0..<words.count where selected[word] & ~plane[word] != 0 { isWithout = true }
            if isWithout {
                for word in 0..<words.count { selected[word] &= ~plane[word] }
            } else {
                loss |= 1 << bit
            }
        }
        var shortest = SketchMark.lengthMax
        forEachSelected(words) { shortest = min(shortest, length($0)) }
        return NameCandidate.rank(query.bestScore - 3 * loss, shortest)
    }

    /// Notes the paths of a block that can be found and lose little.
    private func note(_ words: Range<Int>, _ number: Int) {
        let (found, promises, lossMax) = (found, promises, promises.lossMax)
        var count = 0
        for word in words where found[word] != 0 {
            count &+= found[word].nonzeroBitCount
            guard lossMax >= 0 else { continue }
            var left = found[word] & lossAtMost(lossMax, word)
            while left != 0 {
                let bit = left.trailingZeroBitCount
                promises.add(
                    SketchPromise(
                        block: number, path: (word &- words.lowerBound) << 6 | bit, loss: loss(word << 6 | bit),
                        length: length(word << 6 | bit)))
                left &= left &- 1
            }
        }
        promises.found += count
    }

    /// Those of the paths that were noted of a block whose rank may be as high as `threshold`, a bit each in words of 64; nil when there
    /// are none. Valid until the next call.
    func candidates(
        _ noted: ArraySlice<SketchPromise>, entries: Int, threshold: UInt64
    ) -> UnsafeMutablePointer<UInt64>? {
        let words = (entries + 63) / 64
        reserveSelected(words)
        selected.update(repeating: 0, count: words)
        var isAny = false
        for promise in noted
        where promise.path < entries && NameCandidate.rank(query.bestScore - 3 * promise.loss, promise.length) >= threshold {
            selected[promise.path >> 6] |= 1 << UInt64(promise.path & 63)
            isAny = true
        }
        return isAny ? selected : nil
    }

    /// The same of all paths of a block of the group that was looked at last: its `words` in the columns.
    func candidates(_ words: Range<Int>, threshold: UInt64) throws(NameIndexError) -> UnsafeMutablePointer<UInt64>? {
        reserveSelected(words.count)
        if isBlind {
            selected.update(repeating: .max, count: words.count)
            return selected
        }
        let score = Int(threshold >> 32)
        let (most, isWhole) = (query.bestScore - score).quotientAndRemainder(dividingBy: 3)
        var isAny: UInt64 = 0
        for word in words {
            let left = most >= 0 ? found[word] & lossAtMost(most, word) : 0
            selected[word - words.lowerBound] = left
            isAny |= left
        }
        guard isAny != 0 else { return nil }
        // A path whose bound is the score itself has to be short enough.
        let length = Int(UInt32.max - UInt32(truncatingIfNeeded: threshold))
        guard score > 0, isWhole == 0, length < SketchMark.lengthMax else { return selected }
        try openLengths()
        forEachSelected(words) { place in
            guard self.length(place) > length, loss(place) == most else { return }
            selected[place >> 6 - words.lowerBound] &= ~(1 << UInt64(place & 63))
        }
        for word in 0..<words.count where selected[word] != 0 { return selected }
        return nil
    }

    /// Tells the places in the group of what is selected of a block.
    private func forEachSelected(_ words: Range<Int>, _ body: (Int) -> Void) {
        for word in 0..<words.count {
            var left = selected[word]
            while left != 0 {
                body((words.lowerBound + word) << 6 | left.trailingZeroBitCount)
                left &= left &- 1
            }
        }
    }

    @inline(__always)
    private func loss(_ place: Int) -> Int {
        var plane = losses + place >> 6
        var loss: UInt64 = 0
        for bit in 0..<counter.lossBits {
            loss |= (plane.pointee >> UInt64(place & 63) & 1) << UInt64(bit)
            plane += stride
        }
        return Int(loss)
    }

    /// Which of 64 paths lose no more than `most`, which is not negative.
    private func lossAtMost(_ most: Int, _ word: Int) -> UInt64 {
        guard most < 1 << counter.lossBits else { return UInt64.max }
        var less: UInt64 = 0
        var equal = UInt64.max
        for bit in (0..<counter.lossBits).reversed() {
            let plane = losses[bit * stride + word]
            if most >> bit & 1 != 0 {
                less |= equal & ~plane
                equal &= plane
            } else {
                equal &= ~plane
            }
        }
        return less | equal
    }
}
