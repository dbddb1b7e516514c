package import BackupFormat
internal import Cryptography
internal import HostFiles

// A commit, step by step, and why each step stands where it does:
//
// 1. The record becomes visible in pending/. From here on, whoever reads the references reads these too.
// 2. Every page and pack that no committed snapshot shares is looked for, and brought back from the trash if it is there.
//    A sweep that has read the references before step 1 may still move one away after this look: it reads them again
//    after moving, and moves it back; if it stops for ever in between, the file is in the trash, where readers look too,
//    and whoever empties the trash lists it first, reads the references then, and moves back what they name.
//    A committed snapshot's pages need no look: whoever forgets that snapshot meanwhile leaves this pending record, and
//    it became visible before the list of committed snapshots was read.
// 3. Folders are synced, and the record renamed to snapshots/, which is the commit, and synced before the answer. If a sweep
//    has removed the pending record (it takes an old one for a dead upload's), the rename fails, and all begins anew.
//
// References are read pending/ first, then snapshots/: the rename of step 3 can then not hide a record from both listings.

extension Vault {
    private static let commitAttemptsMax = 8

    /// Commits a snapshot: afterwards it, its pages and its packs are durable, and stay until it is forgotten.
    ///
    /// `record` is an encoded ``SnapshotRecord``. A record of an id that is there already replaces it if its revision is
    /// higher, and is `committed` at once if it is the same. `basedOn` names committed snapshots to share pages with, which
    /// saves reading all the others. With `replacing`, the record only takes the place of a committed one of the same id: a
    /// snapshot that was forgotten meanwhile stays so. `missing` and `rejected` leave the vault as it was. `stubs` says which packs of
    /// which only a stub is here count as present.
    package func commit(
        record bytes: [UInt8], basedOn: [SnapshotID]? = nil, replacing: Bool = false, stubs: StubPolicy = .listed
    ) throws(VaultError) -> CommitOutcome {
        let record: SnapshotRecord
        do { record = try bytes.withUnsafeBytes { bytes throws(FormatError) in try SnapshotRecord(decoding: bytes) } } catch {
            return .rejected("\(error)")
        }
        do { try verifySnapshot(record, owner: owner) } catch { return .rejected("\(error)") }
        let id = record.id
        let subject = "snapshot \(id)"
        for _ in 0..<Vault.commitAttemptsMax {
            if let outcome = try outcomeOfEarlier(record, id, stubs) { return outcome }
            let pending = pendingFolder.appending("\(id.hex).\(hexadecimal(Bytes32.random().bytes.prefix(16)))")
            do throws(VaultError) {
                try bytes.withVaultBytes { bytes throws(VaultError) in try write(bytes, to: pending, "commit", subject) }
                let missing = try makePresent(record, basedOn: basedOn, stubs)
                guard missing.packs.isEmpty && missing.pages.isEmpty else {
                    discard(pending)
                    return .missing(packs: missing.packs, pages: missing.pages)
                }
                try sync()
            } catch {
                discard(pending)
                if error.code == .rejected { return .rejected(error.detail) }
                throw error
            }
            do throws(HostFilesError) {
                if replacing {
                    try disk.exchange(pending, snapshotPath(id))
                    // What stands there now is the earlier record, which nobody needs.
                    try? disk.unlink(pending)
                } else {
                    try disk.rename(pending, to: snapshotPath(id))
                }
            } catch {
                if error.code == .notFound {
                    if replacing,
                        try files("commit", subject, { () throws(HostFilesError) in try disk.status(snapshotPath(id)) }) == nil
                    {
                        discard(pending)
                        return .rejected("the snapshot was forgotten meanwhile")
                    }
                    continue
                }
                discard(pending)
                throw VaultError(error, "commit", subject)
            }
            #if MUTANTS
                if Mutant.acknowledgeEarly.isOn { return .committed }
            #endif
            try files("commit", subject) { () throws(HostFilesError) in
                try disk.syncDirectory(snapshotsFolder)
                try disk.syncDirectory(pendingFolder)
            }
            return .committed
        }
        throw VaultError(.busy, "commit", subject, detail: "sweeps kept removing the pending record")
    }

    /// Removes a pending record for good: whoever counts the vault's bytes gives its room to others then.
    private func discard(_ pending: RawPath) {
        try? disk.unlink(pending)
        try? disk.syncDirectory(pendingFolder)
    }

    /// What a committed record of the same id decides, if there is one that can be read.
    private func outcomeOfEarlier(
        _ record: SnapshotRecord, _ id: SnapshotID, _ stubs: StubPolicy
    ) throws(VaultError) -> CommitOutcome? {
        let earlier: SnapshotRecord
        do { earlier = try snapshotRecord(id) } catch {
            if error.code == .notFound || error.code == .damaged { return nil }
            throw error
        }
        if earlier == record {
            // Whoever counts on every pack does not mean one that peers have.
            if stubs == .none, try hasStubs { return nil }
            // Its first commit may have been cut off before the last sync.
            try files("commit", "snapshot \(id)") { () throws(HostFilesError) in try disk.syncDirectory(snapshotsFolder) }
            return .committed
        }
        guard record.revision > earlier.revision else {
            return .rejected("a pack list of revision \(earlier.revision) is committed already")
        }
        return nil
    }

    /// Brings home every page and pack of a pending record that no committed snapshot shares; returns those that are missing.
    private func makePresent(
        _ record: SnapshotRecord, basedOn: [SnapshotID]?, _ stubs: StubPolicy
    ) throws(VaultError) -> (packs: [PackID], pages: [PageID]) {
        var unshared = Dictionary(uniqueKeysWithValues: record.pages.map { ($0.id, $0.packCount) })
        var others = if let basedOn { basedOn } else { try snapshots() }
        // A committed snapshot vouches for packs that peers have, too.
        if stubs == .none, try hasStubs { others = [] }
        var listed: Set<PackID>?
        for other in others where !unshared.isEmpty {
            do throws(VaultError) {
                for page in try self.record(at: snapshotPath(other), "snapshot \(other)").pages { unshared[page.id] = nil }
            } catch {
                // A snapshot that was forgotten meanwhile, or is damaged, vouches for nothing.
                guard error.code == .notFound || error.code == .damaged else { throw error }
            }
        }
        var missing: (packs: [PackID], pages: [PageID]) = ([], [])
        // The order of the record, not of the dictionary.
        for entry in record.pages where unshared[entry.id] != nil {
            guard try bringHome(.page(entry.id)) != .missing else {
                missing.pages.append(entry.id)
                continue
            }
            noteUnsynced(.page(entry.id))
            let page: PackListPage
            do { page = try self.page(entry.id) } catch {
                guard error.code == .notFound || error.code == .damaged else { throw error }
                missing.pages.append(entry.id)
                continue
            }
            guard page.packs.count == entry.packCount else {
                throw VaultError(
                    .rejected, "commit", "snapshot \(record.id)", detail: "page \(entry.id) has \(page.packs.count) packs")
            }
            for pack in page.packs {
                if try bringHome(.pack(pack)) != .missing {
                    noteUnsynced(.pack(pack))
                } else if stubs != .none, try bringHome(.stub(pack)) != .missing {
                    noteUnsynced(.stub(pack))
                    if stubs == .listed {
                        // Read after this record became visible, so that whoever forgets one of these later sees it.
                        if listed == nil { listed = try committedPacks() }
                        if listed?.contains(pack) != true { missing.packs.append(pack) }
                    }
                } else if try bringHome(.pack(pack)) != .missing {
                    // It came back while its stub went.
                    noteUnsynced(.pack(pack))
                } else {
                    missing.packs.append(pack)
                }
            }
        }
        #if MUTANTS
            if Mutant.skipCommitFence.isOn { missing.packs = [] }
        #endif
        return missing
    }

    /// Removes the snapshots that an order names, if its device may; returns those that were there. Durable on return.
    @discardableResult
    package func forget(_ order: ForgetOrder) throws(VaultError) -> [SnapshotID] {
        do { try verifyForget(order, owner: owner) } catch {
            throw VaultError(.rejected, "forget", "\(order.snapshots.count) snapshots", detail: "\(error)")
        }
        var removed: [SnapshotID] = []
        for id in order.snapshots {
            do throws(HostFilesError) {
                try disk.unlink(snapshotPath(id))
                removed.append(id)
            } catch {
                if error.code != .notFound { throw VaultError(error, "forget", "snapshot \(id)") }
            }
        }
        try files("forget", "snapshots") { () throws(HostFilesError) in try disk.syncDirectory(snapshotsFolder) }
        return removed
    }
}
