internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import PeerProtocol
internal import Synchronization
internal import Vault

extension OwnerVault {
    /// Makes a draft a committed snapshot. One at a time for each owner: so the accounts see what each has changed.
    func commit(_ commit: Commit, session: Int, quotaBytes: UInt64) throws(Refusal) -> Outcome {
        let (outcome, id) = try counting { () throws(Refusal) in try attempt(commit, session: session, quotaBytes) }
        // Only now, with nothing held: whoever is told may ask this vault something.
        if case .committed = outcome.result, let id { shared.tell(.committed(owner, id)) }
        return outcome
    }

    private func attempt(
        _ commit: Commit, session: Int, _ quotaBytes: UInt64
    ) throws(Refusal) -> (Outcome, SnapshotID?) {
        let unknown = Refusal(.notFound, "no such draft: put it again")
        guard let vault = try opened() else { throw unknown }
        let generation = try onVault { () throws(VaultError) in try vault.generation }
        return try with(.snapshots) { () throws(Refusal) in
            try withDraft(commit.draft) { bytes throws(Refusal) in
                guard let bytes else { throw unknown }
                guard let id = bytes.withUnsafeBytes({ try? SnapshotRecord(decoding: $0) })?.id else {
                    return (Outcome(.rejected("it is not the record of a snapshot"), generation: generation), nil)
                }
                let result = try self.commit(id, bytes, commit, vault, session: session, quotaBytes)
                return (Outcome(result, generation: generation), id)
            }
        }
    }

    private func commit(
        _ id: SnapshotID, _ bytes: [UInt8], _ commit: Commit, _ vault: Vault, session: Int, _ quotaBytes: UInt64
    ) throws(Refusal) -> Outcome.Result {
        if owner == shared.own, shared.isForgotten(id) { return .rejected("this snapshot was ordered to be forgotten") }
        let claim = ProtectedFile.fileBytes(contentBytes: bytes.count)
        try self.claim(claim, session: session, quotaBytes)
        func recordBytes() throws(VaultError) -> Int { try (vault.fileBytes(id) ?? 0) + vault.pendingBytes() }
        var change = 0
        var isSettled = false
        defer {
            let settled = change
            shared.accounts.withLock { $0.settle(claim, for: owner, change: settled) }
            if !isSettled { markStale() }
        }
        let outcome = try onVault { () throws(VaultError) in
            let secondsBefore = try commitSecondsIfOwn(vault)
            let isNew = try vault.fileBytes(id) == nil
            let before = try recordBytes()
            let outcome = try vault.commit(
                record: bytes, basedOn: commit.basedOn.map { [$0] }, replacing: commit.isReplacement, stubs: .none)
            change = try recordBytes() - before
            guard outcome == .committed else { return outcome }
            let seconds = try commitSecondsIfOwn(vault)
            gate.withLock { gate in
                if isNew { gate.snapshots += 1 }
                // What is counted here already is no reason to count everything again.
                if gate.commitSeconds == secondsBefore { gate.commitSeconds = seconds }
            }
            return outcome
        }
        isSettled = true
        gate.withLock { $0.arePacksUncertain = true }
        switch outcome {
        case .committed:
            removeDraft(commit.draft)
            return .committed
        case .missing(let packs, let pages):
            return .missing(packs: Array(packs.prefix(Limits.idsMax)), pages: Array(pages.prefix(Limits.idsMax)))
        case .rejected(let reason): return .rejected(reason.isEmpty ? "it may not stand in this vault" : reason)
        }
    }

    /// Of other vaults nobody asks.
    private func commitSecondsIfOwn(_ vault: Vault) throws(VaultError) -> Int64 {
        owner == shared.own ? try vault.commitSeconds() : 0
    }

    /// A draft that is left behind goes after a day.
    private func removeDraft(_ id: ObjectID) {
        do throws(HostFilesError) {
            let bytes = try incoming.draftFileBytes(id) ?? 0
            if try incoming.removeDraft(id) { shared.accounts.withLock { $0.changeSettled(-bytes, for: owner) } }
        } catch {
            markStale()
            shared.note(Refusal(error), "remove a draft")
        }
    }

    /// Removes snapshots, as a device that may do so orders. Answers how many there were. Nothing is removed where there is no vault.
    func forget(_ encoded: [UInt8]) throws(Refusal) -> Int {
        let decoded = encoded.withUnsafeBytes { bytes in Result { () throws(FormatError) in try ForgetOrder(decoding: bytes) } }
        guard case .success(let order) = decoded else { throw Refusal(.invalid, "it is not an order to forget") }
        do throws(CryptographyError) { try verifyForget(order, owner: owner) } catch {
            throw Refusal(error.code == .notPermitted ? .notPermitted : .invalid, "\(error)")
        }
        var count = 0
        if let vault = try opened() {
            count = try with(.snapshots) { () throws(Refusal) in
                var isSettled = false
                defer { if !isSettled { markStale() } }
                let removed = try onVault { () throws(VaultError) in
                    var bytes: [SnapshotID: Int] = [:]
                    for id in order.snapshots { bytes[id] = try vault.fileBytes(id) }
                    let removed = try vault.forget(order)
                    return (count: removed.count, bytes: removed.reduce(0) { $0 + (bytes[$1] ?? 0) })
                }
                isSettled = true
                shared.accounts.withLock { $0.changeSettled(-removed.bytes, for: owner) }
                gate.withLock { $0.snapshots = max(0, $0.snapshots - removed.count) }
                return removed.count
            }
        }
        shared.tell(.forgotten(owner, encoded))
        return count
    }
}
