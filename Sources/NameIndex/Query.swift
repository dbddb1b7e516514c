/// What a person typed, in terms that must all match, in any order.
package struct NameQuery: Sendable {
    /// More terms, or more bytes in all, are refused.
    package static let termsMax = 16
    package static let bytesMax = 240

    struct Term: Sendable {
        /// Folded, as typed.
        let kept: [UInt8]
        /// Folded and lowered.
        let lowered: [UInt8]
        /// It holds a capital: only that case matches.
        let isSensitive: Bool
        /// It must stand in one run, as it is.
        let isExact: Bool
        /// For each byte, the places in `lowered` where it stands, as bits. Only of the first 64.
        let places: [UInt64]
        /// The term as it may have been meant: one letter left out, or two neighbours swapped. Empty for short terms.
        let variants: [(kept: [UInt8], lowered: [UInt8])]

        init(kept: [UInt8], lowered: [UInt8], isExact: Bool) {
            self.kept = kept
            self.lowered = lowered
            self.isExact = isExact
            isSensitive = kept != lowered
            var places = [UInt64](repeating: 0, count: 256)
            for (index, byte) in lowered.prefix(64).enumerated() { places[Int(byte)] |= 1 << UInt64(index) }
            self.places = places
            var variants: [(kept: [UInt8], lowered: [UInt8])] = []
            if !isExact, Term.typoBytes.contains(lowered.count) {
                for index in lowered.indices {
                    // Leaving out either of two equal neighbours gives the same.
                    if index > 0, lowered[index] == lowered[index - 1] { continue }
                    var shorter = (kept, lowered)
                    shorter.0.remove(at: index)
                    shorter.1.remove(at: index)
                    variants.append(shorter)
                }
                for index in lowered.indices.dropLast() where lowered[index] != lowered[index + 1] {
                    var swapped = (kept, lowered)
                    swapped.0.swapAt(index, index + 1)
                    swapped.1.swapAt(index, index + 1)
                    variants.append(swapped)
                }
            }
            self.variants = variants
        }

        /// Terms of this many bytes may hold a typo.
        static let typoBytes = 4...48

        var mayHoldTypo: Bool { !variants.isEmpty }
    }

    let terms: [Term]

    /// What a path has at least in which every term stands in one run.
    var runScore: Int { terms.reduce(0) { $0 + Score.run($1.lowered.count) } }
    /// No path has more.
    var bestScore: Int { terms.reduce(0) { $0 + Score.best($1.lowered.count) } }
    var mayHoldTypo: Bool { terms.contains { $0.mayHoldTypo } }

    /// Nil when there is nothing to look for, or too much.
    package init?(_ text: [UInt8]) {
        guard text.count <= NameQuery.bytesMax else { return nil }
        var terms: [Term] = []
        for word in text.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }) {
            // As in fzf: what follows an apostrophe stands there as it is.
            let isExact = word.first == 0x27
            let (kept, lowered) = folded(Array(isExact ? word.dropFirst() : word))
            if !lowered.isEmpty { terms.append(Term(kept: kept, lowered: lowered, isExact: isExact)) }
        }
        guard !terms.isEmpty, terms.count <= NameQuery.termsMax else { return nil }
        self.terms = terms
    }
}
