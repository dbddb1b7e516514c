package import BackupFormat
internal import HostFiles
internal import Vault

/// What reading packs to their end has shown.
package struct ScrubFindings: Sendable, Hashable {
    package var read = 0
    /// Damaged, and as they were written now.
    package var mended = 0
    /// Those that could not be read to their end, or not be mended, as the disk failed or took no writes.
    package var failures = 0
    /// Known to be beyond repair, by this scrub or one before it, in ascending order.
    package var beyondRepair: [PackID] = []
    /// Whether all that were chosen were read.
    package var isComplete = true

    package init(isComplete: Bool = true) { self.isComplete = isComplete }
}

extension OwnerVault {
    /// Packs that are remembered as damaged: of more, those beyond are found again in time.
    private static let damagedMax = 4096

    func scrub(_ isChosen: (PackID) -> Bool, _ goesOn: (UInt64) -> Bool) throws(Refusal) -> ScrubFindings {
        var findings = ScrubFindings()
        guard let vault = try opened() else { return findings }
        defer { closeIfIdle() }
        var packs: [PackID] = []
        try onVault { () throws(VaultError) in
            try vault.forEachPack { pack throws(VaultError) in if isChosen(pack) { packs.append(pack) } }
        }
        let known = gate.read { $0.damaged }
        var tookNanoseconds: UInt64 = 0
        var failure: VaultError?
        // What was damaged may have been mended by another process.
        for pack in Set(packs).union(known).sorted() {
            guard goesOn(tookNanoseconds) else {
                findings.isComplete = false
                break
            }
            let began = monotonicNanoseconds()
            let health: PackHealth
            do throws(VaultError) { health = try vault.scrub(pack) } catch {
                // One that cannot be read or written now keeps nobody from looking at the others.
                findings.failures += 1
                failure = failure ?? error
                continue
            }
            tookNanoseconds = monotonicNanoseconds() - began
            findings.read += 1
            if health == .mended { findings.mended += 1 }
            gate.withLock { gate in
                if health != .beyondRepair {
                    gate.damaged.remove(pack)
                } else if gate.damaged.count < OwnerVault.damagedMax {
                    gate.damaged.insert(pack)
                }
            }
        }
        if let failure { shared.note(Refusal(failure), "check \(findings.failures) packs of \(owner), the first of them") }
        findings.beyondRepair = gate.read { $0.damaged }.sorted()
        return findings
    }
}
