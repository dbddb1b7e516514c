internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import PeerProtocol
internal import Synchronization
internal import Vault

/// What a peer may be given of a vault.
struct VaultReader {
    enum Access {
        case everything
        /// A write-only device: the records that it made itself, so that it knows which list of packs is committed, and no more.
        case ownRecords(DeviceID)
    }

    let place: OwnerVault
    let access: Access

    /// A part of an object, checked.
    func get(_ get: Get) throws(Refusal) -> (answer: Answer, bulk: [UInt8]) {
        guard let vault = try place.opened() else { throw Refusal(.notFound, "it is not here") }
        if get.kind != .snapshot, case .ownRecords = access { throw VaultReader.notForReading }
        switch get.kind {
        case .pack:
            let id = PackID(get.id.value)
            return try onVault { () throws(VaultError) -> (answer: Answer, bulk: [UInt8])? in
                let total = try vault.packBytes(id)
                guard total <= Limits.packBytesMax else { throw VaultError(.damaged, "read", "pack \(id)") }
                guard get.offset < total else { return nil }
                let range = get.offset..<get.offset + min(get.lengthBytes, total - get.offset)
                return (.part(Part(totalBytes: total)), try vault.packPart(id, range))
            }.orBeyond()
        case .page:
            let page = try onVault { () throws(VaultError) in try vault.page(PageID(get.id.value)) }
            return try VaultReader.part(of: page.encode(), get).orBeyond()
        case .snapshot:
            let id = SnapshotID(get.id.value)
            // A record may be as long as a pack.
            let length = try onVault { () throws(VaultError) in try vault.fileBytes(id) } ?? 0
            let turn = place.shared.recordTurn(length)
            defer { place.shared.work.release(turn) }
            let record = try onVault { () throws(VaultError) in try vault.snapshotRecord(id) }
            if case .ownRecords(let device) = access, record.device != device { throw VaultReader.notForReading }
            return try VaultReader.part(of: record.encode(), get).orBeyond()
        case .draft: throw Refusal(.invalid, "drafts are not given back")
        }
    }

    private static let notForReading = Refusal(
        .notPermitted, "the certificate of this device lacks the permission `restore`")

    /// Nil if it would begin beyond the end.
    private static func part(of whole: [UInt8], _ get: Get) -> (answer: Answer, bulk: [UInt8])? {
        guard get.offset < whole.count else { return nil }
        let end = get.offset + min(get.lengthBytes, whole.count - get.offset)
        return (.part(Part(totalBytes: whole.count)), Array(whole[get.offset..<end]))
    }
}

extension Optional where Wrapped == (answer: Answer, bulk: [UInt8]) {
    fileprivate func orBeyond() throws(Refusal) -> Wrapped {
        guard let self else { throw Refusal(.invalid, "that is beyond the end of the object") }
        return self
    }
}

extension OwnerVault {
    /// Those that are not there, by their names alone.
    func missing(_ have: Have) throws(Refusal) -> Missing {
        guard let vault = try opened() else { return Missing(ids: have.ids, generation: 0) }
        let damaged = have.kind == .pack ? gate.read { $0.damaged } : []
        return try onVault { () throws(VaultError) in
            let generation = try vault.generation
            var missing: [ObjectID] = []
            for id in have.ids {
                if damaged.contains(PackID(id.value)) {
                    missing.append(id)
                } else if try !OwnerVault.contains(vault, ObjectKey(kind: have.kind, id: id)) {
                    missing.append(id)
                }
            }
            return Missing(ids: missing, generation: generation)
        }
    }

    private static func contains(_ vault: Vault, _ key: ObjectKey) throws(VaultError) -> Bool {
        switch key.kind {
        case .pack: try vault.fileBytes(PackID(key.id.value)) != nil
        case .page: try vault.fileBytes(PageID(key.id.value)) != nil
        case .snapshot: try vault.fileBytes(SnapshotID(key.id.value)) != nil
        case .draft: false
        }
    }

    /// For an object that was found whole a moment ago: durable, if its name still stands where it did.
    func stillStored(_ put: Put) throws(Refusal) -> Stored? {
        guard let vault = try opened() else { return nil }
        if put.kind == .pack, gate.read({ $0.damaged.contains(PackID(put.id.value)) }) { return nil }
        return try onVault { () throws(VaultError) -> Stored? in
            let generation = try vault.generation
            guard try OwnerVault.contains(vault, ObjectKey(kind: put.kind, id: put.id)) else { return nil }
            return Stored(receivedBytes: put.totalBytes, isDurable: true, generation: generation)
        }
    }

    func list(_ list: List) throws(Refusal) -> Listing {
        guard let vault = try opened() else { return Listing(snapshots: [], hasMore: false) }
        let all = try onVault { () throws(VaultError) in try vault.snapshots() }.sorted()
        let start = list.after.map { after in all.firstIndex { $0 > after } ?? all.count } ?? 0
        let page = all[start...].prefix(Limits.idsMax)
        return Listing(snapshots: Array(page), hasMore: start + page.count < all.count)
    }

    /// Keeps room for a session, in place of what was kept for it before.
    func reserve(_ bytes: UInt64, session: Int, quotaBytes: UInt64) throws(Refusal) -> Int {
        // The vault itself takes room, and what stands there has to be counted first.
        do throws(Refusal) { _ = try opened(makingWithin: bytes > 0 ? quotaBytes : nil) } catch {
            if error.code == .noSpace { return 0 }
            throw error
        }
        let limits = try shared.limits(quotaBytes: quotaBytes)
        return shared.accounts.withLock { $0.reserve(bytes, for: owner, session: session, limits) }
    }

    func sweepForPeer() throws(Refusal) -> Swept {
        do throws(VaultError) {
            let report = try sweep(now: shared.now())
            return Swept(
                generation: report.generation, trashedPacks: UInt64(report.trashedPacks),
                trashedBytes: UInt64(report.trashedBytes), purgedBytes: UInt64(report.purgedBytes))
        } catch {
            // Without a vault there is nothing to sweep.
            if error.code == .notFound { return Swept(generation: 0) }
            throw Refusal(error)
        }
    }

    /// A leaf of each pack with the proof that leads to its id; nothing of one that is not there or not whole. Each pack is read to its
    /// end, but for one that has just come: of that, the first time, 1 MiB. Memory is one such piece. Gives up between two packs once the
    /// session is over.
    func samples(_ audit: Audit, isEnded: () -> Bool) throws(Refusal) -> [UInt8] {
        let vault = try opened()
        var samples: [UInt8] = []
        for pack in audit.packs {
            guard !isEnded() else { throw Refusal(.busy, "the session is over") }
            samples += try vault.flatMap { vault throws(Refusal) in try sample(pack, audit, vault) } ?? AuditSample.missing
        }
        return samples
    }

    private func sample(_ pack: PackID, _ audit: Audit, _ vault: Vault) throws(Refusal) -> [UInt8]? {
        do throws(VaultError) {
            let total = try vault.packBytes(pack)
            guard total > 0, total <= Limits.packBytesMax else { return nil }
            let number = audit.leaf(of: pack, leafCount: MerkleTree.leafCount(total))
            let range = number * Limits.leafBytes..<min(total, (number + 1) * Limits.leafBytes)
            if let outline = shared.arrived.withLock({ $0.take(pack) }), outline.byteCount == total,
                let sample = try sample(pack, leaf: number, range, outline, vault)
            {
                return sample
            }
            var leaf: [UInt8] = []
            // Pieces begin at leaves.
            let tree = try vault.tree(of: pack) { offset, piece in
                if range.lowerBound >= offset, range.upperBound <= offset + piece.count {
                    leaf = Array(piece[range.lowerBound - offset..<range.upperBound - offset])
                }
            }
            guard let tree, tree.byteCount == total, leaf.count == range.count else { return nil }
            return AuditSample.encode(packBytes: total, leaf: leaf, proof: tree.proof(of: number..<number + 1))
        } catch {
            if error.code == .notFound || error.code == .damaged || error.code == .elsewhere { return nil }
            throw Refusal(error)
        }
    }

    /// The sample from the leaf's piece alone; nil if that is not what came.
    private func sample(
        _ pack: PackID, leaf number: Int, _ range: Range<Int>, _ outline: MerkleOutline, _ vault: Vault
    ) throws(VaultError) -> [UInt8]? {
        let piece = outline.piece(of: number)
        let bytes = try vault.packPart(pack, piece)
        guard let proof = bytes.withUnsafeBytes({ outline.proof(of: number, in: $0) }) else { return nil }
        let leaf = bytes[range.lowerBound - piece.lowerBound..<range.upperBound - piece.lowerBound]
        return AuditSample.encode(packBytes: outline.byteCount, leaf: Array(leaf), proof: proof)
    }
}
