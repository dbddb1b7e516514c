package import BackupFormat
internal import Cryptography
package import PeerProtocol
package import Vault

/// What was brought back from peers.
package struct DownloadReport: Sendable, Hashable {
    /// Committed here now that were not before.
    package var committed: [SnapshotID] = []
    /// Those that could not be brought back whole, with the reason.
    package var incomplete: [SnapshotID: String] = [:]
    package var receivedBytes = 0
    /// Why a peer, the last of several, was not heard to its end: it may have more.
    package var unheard: ReplicationError?
}

/// Brings an owner's snapshots, with all that they need, from peers into a vault.
package struct SnapshotDownload: Sendable {
    private let vault: Vault
    private let links: [any PeerLink]
    private let progress: ReplicationProgress
    private let isRightStub: (@Sendable (PackStub) -> Bool)?
    private let replacesStubs: Bool

    /// With `isRightStub`, packs of data are left where they are, and stubs of them brought: it tells whether one is this owner's. With
    /// `replacesStubs`, packs of which there are stubs here are brought too.
    package init(
        into vault: Vault, from links: [any PeerLink], progress: ReplicationProgress = ReplicationProgress(),
        isRightStub: (@Sendable (PackStub) -> Bool)? = nil, replacesStubs: Bool = false
    ) {
        self.isRightStub = isRightStub
        self.replacesStubs = replacesStubs
        self.vault = vault
        self.links = links
        self.progress = progress
    }

    /// Brings all snapshots that any of the peers has and this vault has not, the newest first, and the packs that the vault lacks
    /// of those it has. With `wanted`, only those.
    package func run(wanted: Set<SnapshotID>? = nil) throws(ReplicationError) -> DownloadReport {
        var report = DownloadReport()
        var records: [SnapshotID: SnapshotRecord] = [:]
        var unread: Set<SnapshotID> = []
        var failure: ReplicationError?
        var answered = 0
        for link in links {
            do throws(ReplicationError) {
                let peer = PeerVault(link)
                for id in try peer.snapshots() where wanted?.contains(id) ?? true {
                    try progress.requireGoing()
                    guard let record = try peer.record(id, owner: vault.owner) else {
                        unread.insert(id)
                        continue
                    }
                    // Of two lists of packs the later is right.
                    if let other = records[id], other.revision >= record.revision { continue }
                    records[id] = record
                }
                answered += 1
            } catch {
                // One peer's lies or silence are no reason to do without the others.
                if error.code == .stopped || error.code == .local { throw error }
                failure = error
            }
        }
        if answered == 0, let failure { throw failure }
        report.unheard = failure
        for id in unread where records[id] == nil && (try? vault.snapshotRecord(id)) == nil {
            report.incomplete[id] = "its record is damaged at every peer that has it"
        }
        #if MUTANTS
            if Mutant.recoverLess.isOn, wanted == nil, let oldest = records.values.min(by: { $0.sequence < $1.sequence }) {
                records[oldest.id] = nil
            }
        #endif
        var wholePages: Set<PageID> = []
        for record in records.values.sorted(by: { ($0.sequence, $0.id) > ($1.sequence, $1.id) }) {
            do throws(ReplicationError) {
                if let here = try? vault.snapshotRecord(record.id), here.revision > record.revision {
                    if try complete(here, orBring: record, &wholePages) { report.committed.append(record.id) }
                } else if try bring(record, &wholePages) {
                    report.committed.append(record.id)
                }
            } catch {
                if error.code == .stopped || error.code == .local || error.code == .cutOff { throw error }
                report.incomplete[record.id] = error.description
            }
        }
        report.receivedBytes = progress.bytesReceived
        return report
    }

    /// Brings these packs, in place of what is here of them. Returns those that no peer could give, with the reason; the others are
    /// durable.
    package func replace(packs: [PackID]) throws(ReplicationError) -> [PackID: String] {
        guard !packs.isEmpty else { return [:] }
        guard !links.isEmpty else { throw ReplicationError(.cutOff, "no peer is connected") }
        let lost = try PackDownload(packs, into: vault, links: links.count, isReplacing: true, progress).run(links)
        do { try vault.sync() } catch { throw ReplicationError(error) }
        return lost
    }

    /// Brings what one snapshot needs and commits it. False when it was whole already.
    private func bring(_ record: SnapshotRecord, _ wholePages: inout Set<PageID>) throws(ReplicationError) -> Bool {
        let bytes = record.encode()
        for attempt in 0..<SnapshotDownload.attemptsMax {
            try progress.requireGoing()
            let outcome: CommitOutcome
            let wasThere: Bool
            do {
                wasThere = (try? vault.snapshotRecord(record.id)) == record
                outcome = try vault.commit(record: bytes, basedOn: [], stubs: replacesStubs ? .none : .any)
            } catch { throw ReplicationError(error) }
            switch outcome {
            case .committed:
                guard wasThere else { return true }
                // A commit of what is committed looks no further: packs may be lost all the same.
                let missing = try missingPacks(of: record, &wholePages)
                if missing.isEmpty { return attempt > 0 }
                try fetch(missing, record)
            case .rejected(let reason):
                throw ReplicationError(.refused, "snapshot \(record.id): \(reason)")
            case .missing(let packs, let pages):
                for page in pages { try fetch(page) }
                try fetch(packs, record)
            }
        }
        throw ReplicationError(.untrue, "snapshot \(record.id): it misses something each time")
    }

    /// Brings what the list here lacks, which is later than that of any peer. Where a pack is with nobody, as one into which others were
    /// merged and which was lost before anybody else had it, the packs of the earlier list are brought: whoever can read the snapshot
    /// makes a list of them. False when the list here was whole already.
    private func complete(
        _ here: SnapshotRecord, orBring earlier: SnapshotRecord, _ wholePages: inout Set<PageID>
    ) throws(ReplicationError) -> Bool {
        let missing = try missingPacks(of: here, &wholePages)
        guard !missing.isEmpty else { return false }
        do throws(ReplicationError) {
            try fetch(missing, here)
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            try fetch(try missingPacks(of: earlier, &wholePages), earlier)
            do { try vault.sync() } catch { throw ReplicationError(error) }
            throw ReplicationError(
                .notFound, "its list names packs that nobody has; run `check --repair`: the packs of an earlier list are here")
        }
    }

    private static let attemptsMax = 8

    /// `wholePages` are pages of which every pack was seen here: most snapshots share them.
    private func missingPacks(
        of record: SnapshotRecord, _ wholePages: inout Set<PageID>
    ) throws(ReplicationError) -> [PackID] {
        var missing: [PackID] = []
        do {
            for entry in record.pages where !wholePages.contains(entry.id) {
                let before = missing.count
                for pack in try page(entry.id).packs {
                    let isHere = replacesStubs ? try vault.contains(pack) : try vault.knows(pack)
                    if !isHere { missing.append(pack) }
                }
                if missing.count == before { wholePages.insert(entry.id) }
            }
        } catch let error as ReplicationError { throw error } catch { throw ReplicationError(.local, "\(error)") }
        return missing
    }

    /// A page as it is here, or from a peer where it is lost.
    private func page(_ id: PageID) throws(ReplicationError) -> PackListPage {
        if let page = try? vault.page(id) { return page }
        try fetch(id)
        do { return try vault.page(id) } catch { throw ReplicationError(error) }
    }

    private func fetch(_ packs: [PackID], _ record: SnapshotRecord) throws(ReplicationError) {
        guard !packs.isEmpty else { return }
        var packs = packs
        if let isRightStub {
            let brought = try StubDownload(packs, into: vault, from: links, progress, isRight: isRightStub).run()
            if let (pack, error) = brought.lost.min(by: { $0.key < $1.key }) {
                if error.code == .cutOff { throw error }
                throw ReplicationError(.notFound, "\(brought.lost.count) of its packs are with no peer (\(pack): \(error))")
            }
            packs = brought.whole
            if packs.isEmpty { return }
        }
        let lost = try PackDownload(packs, into: vault, links: links.count, progress).run(links)
        if let (pack, reason) = lost.min(by: { $0.key < $1.key }) {
            throw ReplicationError(.notFound, "\(lost.count) of its packs are with no peer (\(pack): \(reason))")
        }
    }

    private func fetch(_ page: PageID) throws(ReplicationError) {
        var failure = ReplicationError(.notFound, "no peer is there")
        for link in links {
            do {
                let bytes = try PeerVault(link).object(.page, ObjectID(page.value))
                guard PageID(sha256(bytes)) == page else {
                    throw ReplicationError(.untrue, "get page \(page): the peer sent other bytes than its name says")
                }
                do { _ = try vault.storePage(bytes) } catch { throw ReplicationError(.local, "\(error)") }
                return
            } catch let error as ReplicationError {
                if error.code == .local || error.code == .stopped { throw error }
                failure = error
            } catch {
                throw ReplicationError(.local, "\(error)")
            }
        }
        throw failure
    }
}
