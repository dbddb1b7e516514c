internal import BackupFormat
internal import HostFiles
package import Archive
internal import Ledger
internal import Vault

/// What is known to be lost here, and which snapshots need it.
package struct SnapshotLosses: Sendable {
    /// Packs that are lost still, as far as a look at their files tells.
    package fileprivate(set) var packs = 0
    fileprivate(set) var snapshots: Set<SnapshotID> = []

    package func hurts(_ snapshot: SnapshotSummary) -> Bool { snapshots.contains(snapshot.id) }
}

extension Node {
    /// As the last `check` and the daily scrub have found it. Of these snapshots alone.
    package func losses(of snapshots: [SnapshotSummary]) throws(NodeError) -> SnapshotLosses {
        let known = KnownLosses.read(home.disk, directory: home.ledgerDirectory)
        var losses = SnapshotLosses()
        guard !known.isEmpty else { return losses }
        do throws(VaultError) {
            var lost: Set<PackID> = []
            // What is back is no loss, whoever brought it.
            for (pack, kind) in known.packs {
                let isLost =
                    switch kind {
                    case .damaged: try store.vault.contains(pack)
                    case .missing: try !store.vault.knows(pack)
                    case .elsewhere: try store.vault.isElsewhere(pack)
                    }
                if isLost { lost.insert(pack) }
            }
            var pages: [PageID: Bool] = [:]
            func needs(_ page: PageID) -> Bool {
                if let known = pages[page] { return known }
                let found = (try? store.vault.page(page))?.packs.contains { lost.contains($0) } ?? true
                pages[page] = found
                return found
            }
            losses.packs = lost.count
            for snapshot in snapshots {
                let isHurt =
                    known.snapshots.contains(snapshot.id)
                    || !lost.isEmpty && (try? store.vault.snapshotRecord(snapshot.id))?.pages.contains { needs($0.id) } == true
                if isHurt { losses.snapshots.insert(snapshot.id) }
            }
        } catch { throw NodeError(.failed, "look for what is lost", "\(error)") }
        return losses
    }
}

extension SnapshotLosses {
    /// What `status` says of it.
    var warning: String? {
        guard !snapshots.isEmpty else { return nil }
        let need = snapshots.count == 1 ? "1 snapshot lacks" : "\(describeCount(snapshots.count, "snapshot")) lack"
        let what =
            packs > 0 ? "\(describeCount(packs, "pack")) that \(packs == 1 ? "is" : "are") lost here" : "files that are lost"
        return
            "\(need) \(what) (`check` names the files): with `bakare-node start` running and peers connected, `check --repair` brings back "
            + "what they have; the next `backup` stores anew what is still on this machine"
    }
}
