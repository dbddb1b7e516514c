import BackupFormat

/// A pack as a sweep sees it. Sizes are in bytes.
package struct SweepCandidate: Hashable, Sendable {
    package var packBytes: Int
    /// Of its sealed chunks, those that a snapshot needs.
    package var aliveBytes: Int
    /// Only peers have it: it can be let go of, and not be rewritten.
    package var isElsewhere: Bool

    package init(packBytes: Int, aliveBytes: Int, isElsewhere: Bool = false) {
        self.packBytes = packBytes
        self.aliveBytes = aliveBytes
        self.isElsewhere = isElsewhere
    }
}

/// Which packs a sweep rewrites: a value.
///
/// A pack that goes is taken off the list of every snapshot that names it, and each of these lists is committed again, here and at every
/// peer, with several syncs each time. So small packs are merged by classes of size, and a class only when there are many in it: a byte is
/// moved about once in each of four classes until its pack is large. What is small is mostly young, and so on the lists of few snapshots.
package struct SweepRules: Sendable {
    /// A pack with less than this share of what cannot be padding alive is rewritten,
    private static let aliveShareMin = 0.5
    /// if that frees more than so many bytes.
    private static let gainMin = 64 << 10
    /// Packs under this share of a full one are merged.
    private static let smallShare = 0.25
    /// The largest of a class are so many times as large as the smallest; all that are smaller still are in the last class.
    private static let classFactor = 8
    private static let classes = 4
    package static let mergedAtOnce = 8
    /// What a changed list costs here and at each peer, in bytes that a sweep which nobody asked for has to free for it: the record and a
    /// page under parity.
    package static let listBytes = 16 << 10

    private let smallBytes: Int

    /// `packBytes` is the size of a full pack.
    package init(packBytes: Int) { smallBytes = Int(Double(packBytes) * SweepRules.smallShare) }

    /// What is dead as a whole, what mostly is and is rewritten for that, and what is merged: indices, ascending, none twice.
    package func choose(_ packs: [SweepCandidate]) -> (dead: [Int], sparse: [Int], merged: [Int]) {
        var (dead, sparse): ([Int], [Int]) = ([], [])
        var small = Array(repeating: [Int](), count: SweepRules.classes)
        for (index, pack) in packs.enumerated() {
            if pack.aliveBytes == 0 {
                dead.append(index)
            } else if pack.isElsewhere {
                continue
            } else if Double(pack.aliveBytes) < Double(pack.packBytes - PackFrame.paddingMax) * SweepRules.aliveShareMin,
                pack.packBytes - pack.aliveBytes > SweepRules.gainMin
            {
                sparse.append(index)
            } else if pack.packBytes < smallBytes {
                small[sizeClass(pack.packBytes)].append(index)
            }
        }
        return (dead, sparse, small.filter { $0.count >= SweepRules.mergedAtOnce }.flatMap { $0 }.sorted())
    }

    private func sizeClass(_ bytes: Int) -> Int {
        var (result, least) = (0, smallBytes / SweepRules.classFactor)
        while bytes < least, result < SweepRules.classes - 1 {
            result += 1
            least /= SweepRules.classFactor
        }
        return result
    }
}
