import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Replication
import Testing
import Vault

/// A peer that proves what a vault holds, and answers a question only when the next one has come, or none comes.
private final class SlowProver: PeerLink {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var packs: [[PackID]] = []
        var waitingMost = 0
    }

    private let vault: Vault
    private let questions: Int
    private let state = ConditionLock(State())

    init(_ vault: Vault, questions: Int) {
        self.vault = vault
        self.questions = questions
    }

    var waitingMost: Int { state.read { $0.waitingMost } }
    /// What was asked for, question by question.
    var packs: [[PackID]] { state.read { $0.packs } }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping @Sendable (Result<PeerReply, PeerProtocolError>) -> Void
    ) throws(PeerProtocolError) {
        guard case .audit(let audit) = request else { throw PeerProtocolError(.disconnected) }
        let samples = audit.packs.flatMap { sample($0, audit) }
        let due = state.withLock { state in
            state.packs.append(audit.packs)
            state.waiting.append { then(.success(PeerReply(.samples, bulk: samples))) }
            state.waitingMost = max(state.waitingMost, state.waiting.count)
            guard state.waiting.count > 1 || state.packs.count == questions else { return [@Sendable () -> Void]() }
            let isLast = state.packs.count == questions
            defer { state.waiting.removeFirst(isLast ? state.waiting.count : 1) }
            return Array(state.waiting.prefix(isLast ? state.waiting.count : 1))
        }
        for answer in due { answer() }
    }

    private func sample(_ pack: PackID, _ audit: Audit) -> [UInt8] {
        guard let tree = try? vault.tree(of: pack), let total = try? vault.packBytes(pack) else { return AuditSample.missing }
        let number = audit.leaf(of: pack, leafCount: MerkleTree.leafCount(total))
        let range = number * Limits.leafBytes..<min(total, (number + 1) * Limits.leafBytes)
        guard let leaf = try? vault.packPart(pack, range) else { return AuditSample.missing }
        return AuditSample.encode(packBytes: total, leaf: leaf, proof: tree.proof(of: number..<number + 1))
    }
}

@Suite("Audits of a peer") struct AuditQuestionsTests {
    @Test("many packs are asked for some at a time, two questions on the way, and what is lost is named", .timeLimit(.minutes(1)))
    func pipelined() throws {
        var world = try ReplicationWorld()
        let packs = try (0..<20).map { try world.pack(9000 + $0) }
        let lost = [packs[3], packs[8], packs[19]]
        for path in world.disk.files(under: "/here/vault").map(\.path)
        where lost.contains(where: { path.description.hasSuffix($0.hex) }) {
            try world.disk.unlink(path)
        }
        let prover = SlowProver(world.vault, questions: 3)
        let findings = try ReplicaCheck(of: world.vault, at: prover).audit(packs, seed: .random())
        #expect(findings.lost == lost)
        #expect(findings.proven == packs.count - lost.count)
        #expect(prover.packs.flatMap { $0 } == packs)
        #expect(prover.waitingMost == 2)
    }
}
