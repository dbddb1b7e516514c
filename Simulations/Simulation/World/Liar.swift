internal import BackupFormat
internal import PeerProtocol

/// What a peer that lies says in place of the truth: it takes packs and drops them, claims to hold everything, and hands out garbage.
///
/// Its own node goes on honestly beneath, and what it really stored is damaged by the swarm. One that keeps up appearances takes all and hands
/// out all as an honest one does, and only denies that it has lost anything.
final class Liar: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    private var samples: [[PackID]: [UInt8]] = [:]
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
            // What was right for the first question about these packs.
            if let before = samples[audit.packs] { return (.samples, before) }
            samples[audit.packs] = bulk
            return (answer, bulk)
        default: return (answer, bulk)
        }
    }
}
