package import BackupFormat
internal import Cryptography
internal import Vault

/// A snapshot that cannot be shown: its record or its sealed part is damaged, or is not this owner's.
package struct DamagedSnapshot: Sendable {
    package var id: SnapshotID
    /// What is wrong.
    package var reason: String
}

/// All snapshots of a vault that the owner key opens.
package struct SnapshotCatalog: Sendable {
    /// The oldest first; those of one moment by id.
    package var snapshots: [SnapshotSummary] = []
    package var damaged: [DamagedSnapshot] = []
    package init() {}
}

extension ArchiveStore {
    /// Reads the records of all snapshots: signatures checked, sealed parts opened; one in memory at a time, and about 300
    /// bytes a snapshot in the answer. A damaged one never hides the others. Throws `notAllowed` on a write-only device.
    package func catalog() throws(ArchiveError) -> SnapshotCatalog {
        var catalog = SnapshotCatalog()
        let ids: [SnapshotID]
        do { ids = try vault.snapshots() } catch { throw ArchiveError(.storage, "list the snapshots", "\(error)") }
        for id in ids {
            do {
                if let summary = try summary(id) { catalog.snapshots.append(summary) }
            } catch {
                switch error.code {
                // Forgotten since the list was read.
                case .notFound: continue
                case .damaged: catalog.damaged.append(DamagedSnapshot(id: id, reason: error.message))
                default: throw error
                }
            }
        }
        catalog.snapshots.sort { $0.time != $1.time ? $0.time < $1.time : $0.id < $1.id }
        return catalog
    }

    /// Nil for an unfinished one. Throws `notFound`, `damaged`, or `notAllowed` without the owner key.
    private func summary(_ id: SnapshotID) throws(ArchiveError) -> SnapshotSummary? {
        guard let owner = identity.owner else {
            throw ArchiveError(
                .notAllowed, "read a snapshot", "this device is write-only: it has no owner key; use one of yours that has it")
        }
        let record: SnapshotRecord
        do { record = try vault.snapshotRecord(id) } catch {
            if error.code == .notFound { throw ArchiveError(.notFound, "open a snapshot", "there is no snapshot \(id)") }
            throw ArchiveError(.damaged, "open a snapshot", "\(error)")
        }
        do {
            let opened = try owner.open(record.sealed)
            let contents = try opened.withUnsafeBytes { try SnapshotContents(decoding: $0) }
            if contents.isUnfinished { return nil }
            return SnapshotSummary(
                id: id, time: contents.time, host: contents.host, paths: contents.paths, tags: contents.tags,
                files: Int(clamping: contents.files), directories: Int(clamping: contents.directories),
                bytes: Int(clamping: contents.bytes), errorCount: Int(clamping: contents.problemCount), device: record.device)
        } catch {
            throw ArchiveError(.damaged, "open a snapshot", "\(error)")
        }
    }
}
