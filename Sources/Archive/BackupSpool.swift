package import BackupFormat
internal import HostFiles
internal import Ledger
internal import Synchronization
internal import Vault

/// How much a backup may store here before peers have taken it.
package struct Spool: Sendable {
    /// Packs of data that may be in the vault, in bytes: with more, the backup waits.
    package var limitBytes: Int
    /// After so many bytes, what was stored is put on the list of a snapshot, so that peers keep it and it can be let go of here.
    package var stepBytes: Int
    /// When nothing was taken for so long, in seconds, the backup ends.
    package var patienceSeconds: Int
    /// Has the node that runs on the home look for what is new; false when none runs.
    package var tell: @Sendable () -> Bool

    package init(limitBytes: Int, stepBytes: Int, patienceSeconds: Int = 1800, tell: @escaping @Sendable () -> Bool) {
        self.limitBytes = limitBytes
        self.stepBytes = stepBytes
        self.patienceSeconds = patienceSeconds
        self.tell = tell
    }
}

/// Holds a backup up while more is here than may be, and sees to it that peers can take it.
///
/// What a backup has stored is on nobody's list before its end, and what is on no list may be let go of by anybody. So an **unfinished snapshot**
/// stands for it meanwhile: one without files, whose list of packs grows. With it all rules hold that hold for any snapshot, here and at
/// peers; a backup that was cut off leaves it, so that the next one finds what is stored already.
final class BackupSpool: Sendable {
    private struct State {
        var id: SnapshotID?
        var packs: [PackID] = []
        var areListed = true
        var unlistedBytes = 0
        var data = DataPacks()
    }

    private let store: ArchiveStore
    private let request: BackupRequest
    private let spool: Spool
    private let progress: Progress
    /// Used by the one thread that stores packs.
    private let state: Mutex<State>

    /// Without a running node nothing is taken.
    private static let lonelySecondsMax = 60

    /// Nil where packs cannot be given away before the end: a new list of packs needs the permission to forget.
    init?(_ store: ArchiveStore, _ request: BackupRequest, _ progress: Progress) throws(ArchiveError) {
        guard let spool = request.spool, !request.dryRun, store.identity.owner != nil,
            store.identity.certificate.permissions.contains(.forget)
        else { return nil }
        self.store = store
        self.request = request
        self.spool = spool
        self.progress = progress
        var begun = State()
        // One that was cut off is gone on with.
        if let id = try store.unfinishedSnapshots().last, let record = try? store.vault.snapshotRecord(id) {
            begun.id = id
            for page in record.pages { begun.packs += (try? store.vault.page(page.id).packs) ?? [] }
        }
        state = Mutex(begun)
    }

    /// Waits until there is room for one more pack.
    func makeRoom() throws(ArchiveError) {
        try state.withLock { state throws(ArchiveError) in
            var least = try here(&state)
            guard least > spool.limitBytes else { return }
            try list(&state)
            progress.isWaitingForPeers.store(true, ordering: .relaxed)
            defer { progress.isWaitingForPeers.store(false, ordering: .relaxed) }
            let pause = ConditionLock(())
            var (still, alone) = (0, 0)
            while least > spool.limitBytes {
                _ = pause.wait(milliseconds: 1000) { _ -> Void? in progress.isStopping ? () : nil }
                if progress.isStopping { throw interrupted("back up") }
                let bytes = try here(&state)
                still = bytes < least ? 0 : still + 1
                alone = spool.tell() ? 0 : alone + 1
                least = min(least, bytes)
                guard still <= spool.patienceSeconds, alone <= min(BackupSpool.lonelySecondsMax, spool.patienceSeconds) else {
                    throw ArchiveError(
                        .storage, "back up",
                        "more waits here for peers than `local_copy` and `spool` allow, and no peer takes it: see to it that "
                            + "`bakare-node start` runs and enough peers are here (`bakare-node peers`), or raise `spool`; "
                            + "what is stored is kept, and the next backup goes on from there")
                }
            }
        }
    }

    private func here(_ state: inout State) throws(ArchiveError) -> Int {
        do throws(VaultError) { return try state.data.list(store.vault).reduce(0) { $0 + $1.fileBytes } } catch {
            throw ArchiveError(.storage, "look at the vault", "\(error)")
        }
    }

    /// A pack is in the vault.
    func stored(_ pack: PackID, bytes: Int) throws(ArchiveError) {
        try state.withLock { state throws(ArchiveError) in
            state.packs.append(pack)
            state.areListed = false
            state.unlistedBytes += bytes
            if state.unlistedBytes >= spool.stepBytes { try list(&state) }
        }
    }

    /// Puts all that was stored on the unfinished snapshot's list.
    private func list(_ state: inout State) throws(ArchiveError) {
        guard !state.areListed else { return }
        do {
            let outcome: ArchiveStore.Commitment
            if let id = state.id, let record = try? store.vault.snapshotRecord(id) {
                switch try store.replaceList(of: record, with: state.packs, like: id) {
                case .missing(let packs, _): outcome = .missing(packs)
                case .committed, .rejected: outcome = .committed(id)
                }
            } else {
                outcome = try store.commit(
                    SnapshotContents(unfinishedOn: request.host, at: request.time, request.paths), made: state.packs,
                    reused: PackSet(), basis: [])
            }
            switch outcome {
            case .committed(let id):
                state.id = id
                state.areListed = true
                state.unlistedBytes = 0
            case .missing(let packs):
                // Swept meanwhile: the backup's end will find out, too.
                let gone = Set(packs)
                state.packs.removeAll { gone.contains($0) }
            }
        } catch let error as ArchiveError { throw error } catch {
            throw ArchiveError(.storage, "note what is stored", "\(error)")
        }
        _ = spool.tell()
    }
}

extension ArchiveStore {
    /// The snapshots that stand for backups of this device that have not ended, the oldest first.
    package func unfinishedSnapshots() throws(ArchiveError) -> [SnapshotID] {
        var found: [(sequence: UInt64, id: SnapshotID)] = []
        let ids: [SnapshotID]
        do { ids = try vault.snapshots() } catch { throw ArchiveError(.storage, "list the snapshots", "\(error)") }
        for id in ids {
            guard let (record, contents) = try openSnapshot(id) else { continue }
            if record.device == identity.node.id, contents.isUnfinished { found.append((record.sequence, id)) }
        }
        return found.sorted { $0.sequence < $1.sequence }.map(\.id)
    }
}
