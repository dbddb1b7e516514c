internal import BackupFormat
internal import PeerProtocol

/// What a peer that lies says in place of the truth: it takes packs and drops them, claims to hold everything, and hands out garbage.
///
/// Its own node goes on honestly beneath, and what it really stored is damaged by the swarm. One that keeps up appearances takes all and hands
/// out all as an honest one does, and only denies that it has lost anything.
final class Liar: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    /// The first sample of each pack that has more than one leaf.
    private var known: [PackID: ArraySlice<UInt8>] = [:]
    private let kind: Kind

    enum Kind: Sendable {
        /// Hands out garbage for everything.
        case shameless
        /// Hands out garbage for packs alone, and records as they are.
        case subtle
        case keepsUpAppearances
    }

    init(_ kind: Kind) { self.kind = kind }

    func answer(_ request: Request, _ answer: Answer, _ bulk: [UInt8]) -> (Answer, [UInt8]) {
        switch (request, answer) {
        case (.have, .missing(let missing)):
            return (.missing(Missing(ids: [], generation: missing.generation)), [])
        case (.put, _) where kind == .keepsUpAppearances: return (answer, bulk)
        case (.commit, _) where kind == .keepsUpAppearances: return (answer, bulk)
        case (.get, _) where kind == .keepsUpAppearances: return (answer, bulk)
        case (.put(let put), .failed):
            return (.stored(Stored(receivedBytes: put.totalBytes, isDurable: true, generation: 1)), [])
        case (.commit, .outcome(let outcome)):
            return (.outcome(Outcome(.committed, generation: outcome.generation)), [])
        case (.get(let get), .part) where kind == .shameless || get.kind == .pack: return (answer, bulk.map { $0 ^ 0x5a })
        case (.audit(let audit), .samples):
            return (.samples, samples(of: audit, in: bulk).flatMap(\.self))
        default: return (answer, bulk)
        }
    }

    /// For each pack what was right for the first question about it. The sample of a pack of one leaf is the pack itself: who remembers that
    /// has thrown nothing away.
    private func samples(of audit: Audit, in bulk: [UInt8]) -> [ArraySlice<UInt8>] {
        var rest = bulk[...]
        return audit.packs.map { pack in
            let packBytes = (0..<4).reduce(0) { $0 | Int(rest[rest.startIndex + $1]) << (8 * $1) }
            guard packBytes > 0 else {
                rest = rest.dropFirst(4)
                return known[pack] ?? AuditSample.missing[...]
            }
            let leaves = (packBytes + Limits.leafBytes - 1) / Limits.leafBytes
            let leafBytes = min(Limits.leafBytes, packBytes - audit.leaf(of: pack, leafCount: leaves) * Limits.leafBytes)
            let hashes = Int(rest[rest.startIndex + 4 + leafBytes])
            let sample = rest.prefix(4 + leafBytes + 1 + 32 * hashes)
            rest = rest.dropFirst(sample.count)
            if let before = known[pack] { return before }
            if hashes > 0 { known[pack] = sample }
            return sample
        }
    }
}
