/// What a search wants to know of each path, from sketches: the most that its score can be, and whether it can be found at all.
///
/// The bound is never less than the score that ``PathScan`` gives: what a term loses against the best that a term of its length can have. Losses are
/// counted in units of 3 points, what is left over is forgiven.
struct SketchQuery: Sendable {
    struct Term: Sendable {
        let count: Int
        let lowered: [UInt8]
        /// Letters that have a mark, once each.
        let letters: [UInt8]
        let isExact: Bool
        let mayHoldTypo: Bool
        /// The place of the last slash: what stands before it is in folders.
        let lastSlash: Int?
    }

    /// In units of 3 points: a first letter without a bonus, a letter that does not stand behind the one before but where there may
    /// be a bonus, or where there is none. One that stands behind the one before, but neither has a bonus nor a letter before it in the
    /// run, loses 5 points: 1.
    static let firstLoss = Score.firstFactor * Score.boundaryDelimiter / 3
    static let gapLoss = -Score.gapStart / 3
    static let plainGapLoss = (Score.boundaryDelimiter - Score.gapStart) / 3
    /// What a term loses that is not all in the last component.
    static let folderLoss = Score.lastComponent / 3
    /// What a typo costs at least.
    static let typoLoss = -Score.typo / 3
    /// What a term loses that is not all in the last component is counted up to this.
    static let splitLossMax = (1 << splitBits) - 1
    static let splitBits = 5

    let query: NameQuery
    let terms: [Term]
    /// Nothing scores more.
    let bestScore: Int
    /// Terms are too long for marks: everything may be found.
    let isBlind: Bool

    init(_ query: NameQuery, allowingTypos: Bool) {
        self.query = query
        bestScore = query.bestScore
        isBlind = query.terms.contains { $0.lowered.count > 64 }
        terms = query.terms.map { term in
            Term(
                count: term.lowered.count, lowered: term.lowered,
                letters: SketchMark.letters.filter(term.lowered.contains), isExact: term.isExact,
                mayHoldTypo: allowingTypos && term.mayHoldTypo, lastSlash: term.lowered.lastIndex(of: 0x2f))
        }
    }
}
