internal import BackupFormat
internal import PeerProtocol

/// What a peer that lies says in place of the truth: it takes packs and drops them, claims to hold everything, and hands out garbage.
///
/// Its own node goes on honestly beneath, and what it really stored is damaged by the swarm.
final class Liar: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    private var samples: [[PackID]: [UInt8]] = [:]
    private let isSubtle: Bool

    init(isSubtle: Bool) { self.isSubtle = isSubtle }

    func answer(_ request: Request, _ answer: Answer, _ bulk: [UInt8]) -> (Answer, [UInt8]) {
        switch (request, answer) {
        case (.have, .missing(let missing)):
            return (.missing(Missing(ids: [], generation: missing.generation)), [])
        case (.put(let put), .failed):
            return (.stored(Stored(receivedBytes: put.totalBytes, isDurable: true, generation: 1)), [])
        case (.commit, .outcome(let outcome)):
            return (.outcome(Outcome(.committed, generation: outcome.generation)), [])
        case (.get(let get), .part) where !isSubtle || get.kind == .pack: return (answer, bulk.map { $0 ^ 0x5a })
        case (.audit(let audit), .samples):
            // What was right for the first question about these packs.
            if let before = samples[audit.packs] { return (.samples, before) }
            samples[audit.packs] = bulk
            return (answer, bulk)
        default: return (answer, bulk)
        }
    }
}
