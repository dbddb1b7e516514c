internal import BackupFormat
internal import HostFiles
internal import Ledger
internal import Vault

extension ArchiveStore {
    /// Has peers show packs that only they have, and notes what nobody has any more.
    ///
    /// With `repair`, a stub that a peer had shown becomes one that was cut from the pack itself, and nothing relies any more on packs that are
    /// lost: the next backup stores again what they held. A pack is lost only if everybody was asked who could have it.
    func readElsewhere(
        _ packs: [PackID], by witness: (any PackWitness)?, repair: Bool, _ progress: Progress, _ lost: inout LostData,
        _ report: inout CheckReport
    ) throws(ArchiveError) {
        defer { progress.totalFiles.store(0, ordering: .relaxed) }
        guard !packs.isEmpty else { return }
        guard let witness else {
            report.evidence.unknown = packs
            return
        }
        let other = ConditionLock<[(PackID, isMended: Bool)]>([])
        let vault = vault
        report.evidence = try witness.examine(packs) { pack, bytes in
            progress.files.add(1, ordering: .relaxed)
            progress.bytes.add(bytes.count, ordering: .relaxed)
            guard let stub = try? vault.stub(pack), !stub.isProven, let right = try? PackStub(cutFrom: Array(bytes)) else {
                return
            }
            let isOther = stub.header != right.header || stub.tail != right.tail
            let isMended = repair && (try? vault.store(stub: right, of: pack)) != nil
            if isOther { other.withLock { $0.append((pack, isMended)) } }
        }
        for (pack, isMended) in other.withLock({ $0 }) {
            let text = "what a peer had shown of pack \(pack.hex) was not what the pack says of itself"
            if isMended { report.repaired.append(text) } else { report.repairable.append(text) }
        }
        for pack in report.evidence.lost { try noteLostElsewhere(pack, &lost) }
        report.lost += report.evidence.lost.map { "pack \($0.hex) was with peers only, and none of them has it whole" }
        guard repair else { return }
        do throws(VaultError) {
            for pack in report.evidence.lost { try vault.removeStub(of: pack) }
            try vault.sync()
        } catch { throw ArchiveError(storing: error) }
        index.markGone(packs: Set(report.evidence.lost))
        try synchroniseIndex()
    }

    /// Notes the chunks of a pack that nobody has, and that are in no other.
    private func noteLostElsewhere(_ pack: PackID, _ lost: inout LostData) throws(ArchiveError) {
        guard let stub = try? vault.stub(pack), let entries = try? entries(of: stub) else { return }
        try noteOnlyCopies(entries.map(\.id), in: pack, &lost)
    }

    /// Adds to `losses` the packs that were with peers only: those that nobody had now, and those of before that were not asked for.
    func noteElsewhere(
        _ known: KnownLosses, _ scrub: ScrubReport, repair: Bool, _ losses: inout KnownLosses, _ report: inout CheckReport
    ) throws(ArchiveError) {
        let evidence = report.evidence
        // Without its stub a pack is one that is missing.
        for pack in evidence.lost { losses.packs[pack] = repair ? .missing : .elsewhere }
        let read = Set(scrub.elsewhereToRead).subtracting(evidence.unknown)
        for (pack, kind) in known.packs where kind == .elsewhere && !read.contains(pack) {
            do throws(VaultError) { guard try vault.isElsewhere(pack) else { continue } } catch {
                throw ArchiveError(.storage, "look for a pack", "\(error)")
            }
            losses.packs[pack] = .elsewhere
            report.lost.append(
                "pack \(pack.hex) was with peers only, and none of them had it whole when they were asked; `check --read-data` asks again"
            )
        }
    }
}

extension KnownLosses {
    /// Of this device's vault, as a check has found them.
    init(_ scrub: ScrubReport) {
        self.init()
        for pack in scrub.damagedPacks { packs[pack.id] = .damaged }
        for pack in scrub.missingPacks { packs[pack] = .missing }
        if !scrub.lostPages.isEmpty { snapshots = Set(scrub.incompleteSnapshots) }
    }
}
