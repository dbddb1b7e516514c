internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Vault

// Lists of packs that change after their snapshot was made.

extension ArchiveStore {
    /// Commits a snapshot again with another list of packs. One that was forgotten meanwhile, or that now needs a pack which
    /// is gone, keeps what it has. `other` is a committed snapshot that may have pages in common with the new list.
    @discardableResult
    func replaceList(of old: SnapshotRecord, with packs: [PackID], like other: SnapshotID? = nil) throws -> CommitOutcome {
        var record = old
        record.pages = try extend([], with: packs)
        record.raiseRevision()
        record.certificate = identity.certificate
        signSnapshot(&record, with: identity.node)
        let sharing = other.map { [$0, old.id] } ?? [old.id]
        return try vault.commit(record: record.encode(), basedOn: sharing, replacing: true)
    }

    /// Makes the lists of these snapshots hold every pack in which the index finds a chunk of theirs, and none of `lost`.
    ///
    /// Returns how many lists were changed. A list with a page that is gone is made anew. With `onlyWhole`, lists stay as they are of
    /// snapshots that need anything which is in none of the packs that are left.
    @discardableResult
    func coverSnapshots(
        _ ids: [SnapshotID], without lost: Set<PackID>, onlyWhole: Bool = false, _ progress: Progress
    ) throws(ArchiveError) -> Int {
        var changed = 0
        for id in ids {
            guard let (record, contents) = try openSnapshot(id) else { continue }
            var packs: [PackID] = []
            var isWhole = true
            for page in record.pages {
                if let page = try? vault.page(page.id) { packs += page.packs } else { isWhole = false }
            }
            var needed = PackSet()
            var hasAll = true
            let reachable = try Reachability(source: chunkSource(), progress: progress)
            func note(_ key: ChunkKey) throws(ArchiveError) -> Bool {
                do {
                    guard let place = try index.lookup(cipher.id(of: key)) else {
                        hasAll = false
                        return false
                    }
                    needed.insert(place.packNumber)
                    return true
                } catch {
                    throw ArchiveError(.storage, "look up a chunk", "\(error)")
                }
            }
            let unreadable: (RawPath) -> Void = { _ in hasAll = false }
            try reachable.visitPaths(tree: contents.root, unreadable: unreadable) { (key, _) throws(ArchiveError) in try note(key)
            }
            do throws(ArchiveError) {
                try reachable.visit(stream: contents.problems) { (key) throws(ArchiveError) in _ = try note(key) }
            } catch { hasAll = false }
            if onlyWhole, !hasAll { continue }
            var seen = Set<PackID>()
            let list = (packs + needed.map { index.packID($0) }.sorted()).filter {
                !lost.contains($0) && seen.insert($0).inserted
            }
            guard !isWhole || list != packs else { continue }
            do {
                try replaceList(of: record, with: list)
                changed += 1
            } catch {
                throw ArchiveError(.storage, "commit a snapshot's new pack list", "\(error)")
            }
        }
        return changed
    }

    /// After damage that parity cannot rebuild: copies what is left of the damaged packs, takes these and the missing ones off
    /// all lists, and sees to it that nothing relies on them any more, so that the next backup stores again what they lost.
    ///
    /// Returns how many lists were changed.
    func replaceLostPacks(
        missing: [PackID], damaged: [DamagedPack], nowSeconds: Int64, _ progress: Progress
    ) throws(ArchiveError) -> Int {
        let lost = Set(missing).union(damaged.map(\.id))
        try salvage(damaged)
        index.markGone(packs: lost)
        let ids: [SnapshotID]
        do { ids = try vault.snapshots() } catch { throw ArchiveError(.storage, "list the snapshots", "\(error)") }
        var affected: [SnapshotID] = []
        for id in ids {
            guard let record = try? vault.snapshotRecord(id) else { continue }
            let isAffected = record.pages.contains { page in
                guard let packs = try? vault.page(page.id).packs else { return true }
                return packs.contains { lost.contains($0) }
            }
            if isAffected { affected.append(id) }
        }
        let changed = try coverSnapshots(affected, without: lost, progress)
        // Off to the trash with the damaged ones, and no further: a sweep with a grace that nothing exceeds removes nothing.
        if !damaged.isEmpty { _ = try? vault.sweep(grace: Int64.max, now: nowSeconds) }
        return changed
    }

    /// Copies what is left of the damaged packs; the next backup stores again what these and the missing ones held. The lists go on naming
    /// them.
    func relyOnNone(of missing: [PackID], damaged: [DamagedPack]) throws(ArchiveError) {
        try salvage(damaged)
        index.markGone(packs: Set(missing).union(damaged.map(\.id)))
    }

    /// Puts the chunks of damaged packs that can still be read into new packs.
    private func salvage(_ damaged: [DamagedPack]) throws(ArchiveError) {
        guard !damaged.isEmpty else { return }
        let sink = PackSink(vault: vault, index: index, cipher: footerCipher, plan: plan)
        guard let thread = WorkerThread(name: "packs", { sink.run() }) else {
            throw ArchiveError(.storage, "salvage packs", "no thread left on this system")
        }
        defer {
            sink.close()
            thread.join()
        }
        for pack in damaged {
            guard let entries = try? packEntries(pack.id), let kind = try? packKind(pack.id) else { continue }
            var open: PackBuilder?
            for entry in entries {
                let range = Int(entry.offset)..<Int(entry.offset) + Int(entry.sealedBytes)
                if pack.lost.contains(where: { $0.overlaps(range) }) { continue }
                var bytes = [UInt8](repeating: 0, count: range.count)
                let result = bytes.withUnsafeMutableBytes { buffer in
                    Result { () throws(VaultError) in try vault.readPackChecked(pack.id, range, into: buffer) }
                }
                guard case .success = result else { continue }
                var target: PackBuilder
                if let builder = open, builder.hasRoom(for: bytes.count) {
                    target = builder
                } else {
                    if let full = open { sink.submit(full) }
                    target = try sink.begin(kind)
                    open = target
                }
                target.free.copyBytes(from: bytes)
                target.added(entry.id, sealedBytes: bytes.count, plainBytes: Int(entry.plainBytes))
            }
            if let open { sink.submit(open) }
        }
        _ = try sink.drain()
    }

    private func packKind(_ pack: PackID) throws -> PackKind {
        var header = [UInt8](repeating: 0, count: PackFrame.headerBytes)
        let result = header.withUnsafeMutableBytes { buffer in
            Result { () throws(VaultError) in try vault.readPackChecked(pack, 0..<PackFrame.headerBytes, into: buffer) }
        }
        _ = try result.get()
        return try header.withUnsafeBytes { try PackFrame.kind(ofHeader: $0) }
    }
}

extension SnapshotRecord {
    private static let revisionStepMax: UInt64 = 1 << 20

    /// Gives a new list of packs its number: above the last one's, and one that no other list has. A peer may have got a list that a power
    /// cut took from this device; the next one made here is not to pass for the same.
    fileprivate mutating func raiseRevision() {
        var random = RandomNumbers()
        let step = UInt64.random(in: 1...SnapshotRecord.revisionStepMax, using: &random)
        let (raised, isBeyond) = revision.addingReportingOverflow(step)
        revision = isBeyond ? .max : raised
    }
}
