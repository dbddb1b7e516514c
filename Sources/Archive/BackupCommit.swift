internal import BackupFormat
internal import Cryptography
internal import Ledger
internal import Vault

extension ArchiveStore {
    enum Commitment {
        case committed(SnapshotID)
        /// These packs are gone; nothing has changed.
        case missing([PackID])
    }

    /// Signs a snapshot with its list of packs, and commits it.
    ///
    /// The list is `basis` (pages of the snapshot that unchanged parts were taken over from), then packs that hold reused
    /// chunks, then the packs just made.
    func commit(
        _ contents: SnapshotContents, made: [PackID], reused: PackSet, basis: [SnapshotRecord.Page]
    ) throws(ArchiveError) -> Commitment {
        do {
            let pages: [SnapshotRecord.Page]
            do {
                pages = try extend(basis, with: try packsBeyond(basis, made: made, reused: reused))
            } catch let error as VaultError where error.code == .notFound || error.code == .damaged {
                // A page of the basis is gone: that snapshot was forgotten and swept while this backup ran.
                return .missing([])
            }
            let sealed = try identity.keys.seal(contents.encode())
            var record = SnapshotRecord(
                owner: identity.keys.owner, device: identity.node.id, sequence: try nextSequence(), sealed: sealed, pages: pages,
                certificate: identity.certificate)
            signSnapshot(&record, with: identity.node)
            switch try vault.commit(record: record.encode()) {
            case .committed:
                try? index.flush()
                remember(record, contents)
                return .committed(record.id)
            case .missing(let packs, _): return .missing(packs)
            case .rejected(let reason): throw ArchiveError(.notAllowed, "commit the snapshot", "\(reason)")
            }
        } catch let error as ArchiveError {
            throw error
        } catch let error as VaultError {
            throw ArchiveError(storing: error)
        } catch {
            throw ArchiveError(.storage, "commit the snapshot", "\(error)")
        }
    }

    private func packsBeyond(_ basis: [SnapshotRecord.Page], made: [PackID], reused: PackSet) throws -> [PackID] {
        var known = PackSet()
        if !reused.isEmpty {
            for page in basis {
                for pack in try vault.page(page.id).packs {
                    known.insert(index.packNumber(of: pack))
                }
            }
        }
        for pack in made {
            known.insert(index.packNumber(of: pack))
        }
        let older = reused.filter { !known.contains($0) }.map { index.packID($0) }
        var seen: Set<PackID> = []
        return (older.sorted() + made).filter { seen.insert($0).inserted }
    }

    /// Pages for `basis` and the packs after it. Small pages at the end are joined with what follows, so that a list of n
    /// packs has few pages and a commit writes few bytes.
    func extend(_ basis: [SnapshotRecord.Page], with packs: [PackID]) throws -> [SnapshotRecord.Page] {
        guard !packs.isEmpty else { return basis }
        var pages = basis
        var rest = packs
        while let last = pages.last, last.packCount <= rest.count, last.packCount + rest.count <= Limits.pagePacksMax {
            rest = try vault.page(last.id).packs + rest
            pages.removeLast()
        }
        while !rest.isEmpty {
            let page = try PackListPage(packs: Array(rest.prefix(Limits.pagePacksMax)))
            let id = try vault.storePage(page.encode())
            pages.append(SnapshotRecord.Page(id: id, packCount: page.packs.count))
            rest.removeFirst(page.packs.count)
        }
        return pages
    }

    private func nextSequence() throws -> UInt64 {
        var last: UInt64 = 0
        try forEachRecord { record in
            if record.device == identity.node.id { last = max(last, record.sequence) }
        }
        return last &+ 1
    }

    /// Calls `body` with every snapshot of the vault whose signature holds.
    func forEachRecord(_ body: (SnapshotRecord) -> Void) throws {
        for id in try vault.snapshots() {
            if let record = verifiedRecord(id) { body(record) }
        }
    }

    private func verifiedRecord(_ id: SnapshotID) -> SnapshotRecord? {
        guard let record = try? vault.snapshotRecord(id), (try? verifySnapshot(record, owner: identity.keys.owner)) != nil else {
            return nil
        }
        return record
    }

    /// A snapshot's record and what only the owner can read of it. Nil when it is damaged, forged, or gone meanwhile.
    func openSnapshot(_ id: SnapshotID) throws(ArchiveError) -> (SnapshotRecord, SnapshotContents)? {
        guard let owner = identity.owner else {
            throw ArchiveError(
                .notAllowed, "read a snapshot", "this device is write-only: it has no owner key; use one of yours that has it")
        }
        guard let record = verifiedRecord(id), let plain = try? owner.open(record.sealed),
            let contents = try? plain.withUnsafeBytes({ try SnapshotContents(decoding: $0) })
        else { return nil }
        return (record, contents)
    }

    /// The newest snapshot that this device made: of the same paths if there is one. Nil if there is none that this device can read.
    func lastSnapshot(host: String, paths: [RawPath]) throws(ArchiveError) -> MemoSnapshot? {
        guard let owner = identity.owner else { return rememberedSnapshot(host: host, paths: paths) }
        var best: (memo: MemoSnapshot, sequence: UInt64)?
        // By the order in which this device made them. Its clock may have been wrong.
        func isBetter(_ contents: SnapshotContents, _ sequence: UInt64) -> Bool {
            guard let best else { return true }
            let isSame = contents.paths == paths
            return isSame == (best.memo.contents.paths == paths) ? sequence > best.sequence : isSame
        }
        do {
            try forEachRecord { record in
                // Another device, if stolen, could offer a forged snapshot as a memo for this one.
                guard record.device == identity.node.id, let plain = try? owner.open(record.sealed),
                    let contents = try? plain.withUnsafeBytes({ try SnapshotContents(decoding: $0) }), contents.host == host,
                    !contents.isUnfinished
                else { return }
                if isBetter(contents, record.sequence) {
                    best = (MemoSnapshot(contents, record), record.sequence)
                }
            }
        } catch {
            throw ArchiveError(.storage, "look for the last snapshot", "\(error)")
        }
        return best?.memo
    }

    private func memoKey(host: String, paths: [RawPath]) -> Bytes32 {
        var writer = ByteWriter()
        writer.byteString(Array(host.utf8))
        for path in paths { writer.byteString(path.bytes) }
        return sha256(writer.bytes)
    }

    /// On a write-only device that keeps a memo: notes what the next backup needs to skip unchanged files.
    private func remember(_ record: SnapshotRecord, _ contents: SnapshotContents) {
        guard identity.owner == nil, identity.keepsMemo else { return }
        var writer = ByteWriter()
        writer.bytes32(record.id.value)
        writer.raw(contents.encode())
        try? memos.put(key: memoKey(host: contents.host, paths: contents.paths), value: writer.bytes)
    }

    private func rememberedSnapshot(host: String, paths: [RawPath]) -> MemoSnapshot? {
        guard identity.keepsMemo, let bytes = try? memos.get(key: memoKey(host: host, paths: paths)) else { return nil }
        return bytes.withUnsafeBytes { bytes in
            guard bytes.count > Bytes32.count else { return nil }
            let id = SnapshotID(Bytes32(bytes))
            guard let contents = try? SnapshotContents(decoding: UnsafeRawBufferPointer(rebasing: bytes[Bytes32.count...])),
                let record = try? vault.snapshotRecord(id)
            else { return nil }
            return MemoSnapshot(contents, record)
        }
    }
}
