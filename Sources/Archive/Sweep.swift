package import BackupFormat
internal import Cryptography
internal import Vault

extension ArchiveStore {
    /// Forgets snapshots: their records go, and a later sweep frees what only they needed.
    /// Answers the order, for peers who keep them too; nil if there was nothing to forget.
    @discardableResult
    package func forget(_ ids: [SnapshotID]) throws(ArchiveError) -> ForgetOrder? {
        guard !ids.isEmpty else { return nil }
        let order = signForget(ids, certificate: identity.certificate, with: identity.node)
        do {
            _ = try vault.forget(order)
        } catch {
            throw ArchiveError(.storage, "forget", "\(error)")
        }
        return order
    }

    /// Frees what no snapshot needs.
    ///
    /// A device that can read the trees first finds out which packs are dead or mostly so, and small; it copies what is
    /// alive in these into new packs, commits the snapshots with their new lists, and lets the vault sweep the old ones.
    /// Others only let the vault sweep what no list names.
    package func sweep(
        dryRun: Bool, scope: SweepScope = .everything, graceSeconds: Int, nowSeconds: Int64, progress: Progress
    ) throws(ArchiveError) -> ReclaimReport {
        let started = ContinuousClock.now
        var report = ReclaimReport()
        try synchroniseIndex()
        if identity.owner != nil, identity.certificate.permissions.contains(.forget) {
            do throws(ArchiveError) {
                try Reclamation(self, scope, nowSeconds, progress).run(dryRun: dryRun, &report)
            } catch {
                guard error.code == .storage, !dryRun else { throw error }
                try reclaimOnFullDisk(scope, graceSeconds, nowSeconds, progress, &report)
            }
        }
        if !dryRun {
            try sweepVault(graceSeconds, nowSeconds, &report)
            try synchroniseIndex()
            do { try index.flush() } catch { throw ArchiveError(.storage, "write the chunk index", "\(error)") }
        }
        report.seconds = (ContinuousClock.now - started) / .seconds(1)
        return report
    }

    /// Where copying fails for want of space: frees what needs no copy. Taking packs off the lists needs a few KiB, which
    /// the vault's reserve has; what is garbage already gives more.
    private func reclaimOnFullDisk(
        _ scope: SweepScope, _ graceSeconds: Int, _ nowSeconds: Int64, _ progress: Progress, _ report: inout ReclaimReport
    ) throws(ArchiveError) {
        for isLast in [false, true] {
            vault.giveUpReserve()
            do throws(ArchiveError) {
                return try Reclamation(self, scope, nowSeconds, progress).run(dryRun: false, copying: false, &report)
            } catch {
                guard error.code == .storage, !isLast else { throw error }
            }
            try sweepVault(graceSeconds, nowSeconds, &report)
            try synchroniseIndex()
        }
    }

    private func sweepVault(_ graceSeconds: Int, _ nowSeconds: Int64, _ report: inout ReclaimReport) throws(ArchiveError) {
        do {
            let swept = try vault.sweep(grace: Int64(graceSeconds), now: nowSeconds)
            report.removedPacks += swept.trashedPacks
            report.removedBytes += swept.trashedBytes
            report.purgedBytes += swept.purgedBytes
        } catch {
            throw ArchiveError(.storage, "sweep the vault", "\(error)")
        }
    }
}
