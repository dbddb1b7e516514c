package import BackupFormat
internal import Cryptography
package import PeerProtocol
package import Vault

/// What one round with one peer came to.
package struct UploadReport: Sendable, Hashable {
    /// Committed there now, with the revision of their list of packs; those that were there before included.
    package var committed: [SnapshotID: UInt64] = [:]
    /// Those that the peer refused, or that are damaged here, with the reason.
    package var refused: [SnapshotID: String] = [:]
    /// Records that were read from the peer on the way, whole and signed: their revisions and pages.
    package var readThere: [SnapshotID: ReadRecord] = [:]
    package var sentBytes = 0
}

/// A record as it was read from a peer.
package struct ReadRecord: Sendable, Hashable {
    package var revision: UInt64
    package var pages: [PageID]

    init(_ record: SnapshotRecord) {
        revision = record.revision
        pages = record.pages.map(\.id)
    }
}

/// Brings the snapshots of one vault to a peer.
package struct SnapshotUpload: Sendable {
    private let vault: Vault
    private let peer: PeerVault
    private let progress: ReplicationProgress
    private let relay: PackRelay?

    /// `vault` is this node's own, of the owner for whom the peer keeps one; `relay` gives packs that only other peers have.
    package init(
        from vault: Vault, to link: any PeerLink, progress: ReplicationProgress = ReplicationProgress(), relay: PackRelay? = nil
    ) {
        self.relay = relay
        self.vault = vault
        self.peer = PeerVault(link)
        self.progress = progress
    }

    /// Which snapshots are committed when. A new list of packs lets the peer go of what is on it no more.
    package enum Order: Sendable {
        case bySequence
        /// New lists of snapshots that are there come last, and only if all others could be committed.
        case newFirst
        /// No new lists.
        case newOnly
    }

    /// How often a commit is tried: each time the peer may name up to ``Limits/idsMax`` packs that it misses.
    private static let commitsMax = 20_000
    /// Records that are remembered as read: any more are read again for a proof.
    private static let readMax = 4096
    /// How often a draft that is gone is put again.
    private static let draftsMax = 4

    /// Commits every snapshot there that is committed here and is not there, or not in this revision. Those that share the most with
    /// what is there come first: the oldest.
    ///
    /// `known` are revisions that were seen there before: it saves asking for each record that is no older there. `committed` is told of
    /// each snapshot that is found or made committed there, with its revision. Of those that are not `wanted` there, only what is there
    /// is kept up to date.
    package func run(
        known: [SnapshotID: UInt64] = [:], order: Order = .bySequence, wanted: (SnapshotID) -> Bool = { _ in true },
        committed: (SnapshotID, UInt64) -> Void = { _, _ in }
    ) throws(ReplicationError) -> UploadReport {
        var report = UploadReport()
        let here: [SnapshotID]
        do { here = try vault.snapshots() } catch { throw ReplicationError(.local, "\(error)") }
        let there = Set(try peer.snapshots(of: Set(here)))
        // An id is a hash over its record: not worked out again for each comparison.
        var records: [(id: SnapshotID, record: SnapshotRecord)] = []
        do {
            for id in here where there.contains(id) || wanted(id) {
                do throws(VaultError) { records.append((id, try vault.knownRecord(id))) } catch {
                    // One that was forgotten meanwhile is not missed; a damaged one is mended by `check`.
                    if error.code == .damaged { report.refused[id] = "\(error)" } else if error.code != .notFound { throw error }
                }
            }
        } catch {
            throw ReplicationError(.local, "\(error)")
        }
        var last: SnapshotID?
        records.sort { ($0.record.sequence, $0.id) < ($1.record.sequence, $1.id) }
        if order != .bySequence {
            records = records.filter { !there.contains($0.id) } + records.filter { there.contains($0.id) }
        }
        for (id, record) in records {
            try progress.requireGoing()
            var revision: UInt64?
            if there.contains(id) {
                if let seen = known[id], seen >= record.revision {
                    revision = seen
                } else {
                    // Another device may have brought this revision meanwhile: to read that is less than to commit it once more.
                    do throws(ReplicationError) {
                        let found = try peer.record(id, owner: vault.owner)
                        // What cannot be read there is replaced, if it was there, and not made anew: it may just have been forgotten.
                        revision = found?.revision ?? known[id]
                        if report.readThere.count < SnapshotUpload.readMax {
                            report.readThere[id] = found.map { ReadRecord($0) }
                        }
                    } catch {
                        guard error.code == .refused else { throw error }
                        // A write-only device may not look at what others have made: whoever made it brings it up to date.
                        guard let seen = known[id] else { continue }
                        revision = seen
                    }
                }
            }
            if let revision, revision >= record.revision {
                report.committed[id] = revision
            } else if let revision, order == .newOnly || order == .newFirst && !report.refused.isEmpty {
                // As it is there: what it needs there is kept.
                report.committed[id] = revision
            } else if let reason = try commit(record, basedOn: last, isReplacement: revision != nil) {
                // Another device may have brought a later list of packs since what is known was seen.
                guard let there = try laterRevision(record) else {
                    report.refused[id] = reason
                    continue
                }
                report.committed[id] = there
            } else {
                report.committed[id] = record.revision
            }
            if let revision = report.committed[id] { committed(id, revision) }
            last = id
        }
        report.sentBytes = progress.bytesSent
        return report
    }

    /// The revision that stands there, if it is this one or a later one.
    private func laterRevision(_ record: SnapshotRecord) throws(ReplicationError) -> UInt64? {
        do throws(ReplicationError) {
            return try peer.record(record.id, owner: vault.owner).flatMap { $0.revision >= record.revision ? $0.revision : nil }
        } catch {
            if error.code == .refused { return nil }
            throw error
        }
    }

    /// Nil when it is committed; else why not.
    private func commit(
        _ record: SnapshotRecord, basedOn: SnapshotID?, isReplacement: Bool
    ) throws(ReplicationError) -> String? {
        let bytes = record.encode()
        let draft = ObjectID(sha256(bytes))
        let request = Commit(draft: draft, basedOn: basedOn, isReplacement: isReplacement)
        try peer.put(.draft, draft, bytes)
        var sent: Set<PackID> = []
        var sentPages: Set<PageID> = []
        var drafts = 1
        for _ in 0..<SnapshotUpload.commitsMax {
            try progress.requireGoing()
            let result: Outcome.Result
            do throws(ReplicationError) { result = try peer.commit(request) } catch {
                // Another session has committed the same, and the draft went with that.
                guard error.code == .notFound, drafts < SnapshotUpload.draftsMax else { throw error }
                drafts += 1
                try peer.put(.draft, draft, bytes)
                continue
            }
            switch result {
            case .committed: return nil
            case .rejected(let reason): return reason
            case .missing(let packs, let pages):
                // What was acknowledged is durable, so a peer that misses it lies, or has just lost its disk.
                guard packs.allSatisfy({ sent.insert($0).inserted }), pages.allSatisfy({ sentPages.insert($0).inserted }) else {
                    throw ReplicationError(.untrue, "commit \(record.id): the peer loses what it has acknowledged")
                }
                do {
                    for page in pages { try peer.put(.page, ObjectID(page.value), try vault.page(page).encode()) }
                    try PackUpload(vault, peer.link, progress, relay).send(packs)
                } catch let error as ReplicationError {
                    // A pack that is damaged here keeps back the snapshots that need it, and no others.
                    if error.code == .local { return error.description }
                    if error.code == .refused, let pack = wrongPack(of: packs) {
                        return "pack \(pack) has other bytes here than its name says; run `check --read-data --repair`"
                    }
                    throw error
                } catch {
                    return "\(error)"
                }
            }
        }
        throw ReplicationError(.untrue, "commit \(record.id): the peer misses more and more")
    }

    /// The first of these whose file in the vault holds something else, as after a write that the disk put into the wrong file: its
    /// checksums are right, so that only whoever hashes all of it can tell.
    private func wrongPack(of packs: [PackID]) -> PackID? {
        packs.first { pack in (try? vault.contains(pack)) == true && (try? vault.holds(pack)) == false }
    }
}
