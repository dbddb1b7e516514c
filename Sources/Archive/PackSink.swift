internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Vault

/// Takes finished packs on a thread of its own: names them, makes them durable in the vault, tells the index, and gives
/// the buffer back. Its queue is the fixed set of pack buffers.
final class PackSink: Sendable {
    private struct State {
        var idle: [PackBuilder] = []
        var waiting: [PackBuilder] = []
        var busy = false
        var closed = false
        var made: [PackID] = []
        var failure: ArchiveError?
    }

    private let state: ConditionLock<State>
    private let vault: Vault
    private let index: ChunkIndex
    private let cipher: FooterCipher
    private let spool: BackupSpool?

    init(vault: Vault, index: ChunkIndex, cipher: FooterCipher, plan: MemoryPlan, spool: BackupSpool? = nil) {
        self.spool = spool
        self.vault = vault
        self.index = index
        self.cipher = cipher
        var start = State()
        start.idle = (0..<plan.packBuffers).map { _ in PackBuilder(capacity: plan.packBytes) }
        state = ConditionLock(start)
    }

    /// An empty pack as soon as a buffer is free; throws what stopped the sink.
    func begin(_ kind: PackKind) throws(ArchiveError) -> PackBuilder {
        let result: Result<PackBuilder, ArchiveError> = state.wait { state in
            if let failure = state.failure { return .failure(failure) }
            return state.idle.popLast().map { .success($0) }
        }
        let pack = try result.get()
        pack.begin(kind)
        return pack
    }

    /// Hands over a pack that is full or last; an empty one only gives its buffer back.
    func submit(_ pack: PackBuilder) {
        state.withLock { state in
            if pack.isEmpty { state.idle.append(pack) } else { state.waiting.insert(pack, at: 0) }
        }
    }

    /// The sink's thread: ends once ``close()`` was called and all is written.
    func run() {
        while true {
            let next: PackBuilder?? = state.wait { state in
                if let pack = state.waiting.popLast() {
                    state.busy = true
                    return .some(pack)
                }
                return state.closed ? .some(nil) : nil
            }
            guard let pack = next ?? nil else { return }
            let result = Result { () throws(ArchiveError) in try write(pack) }
            state.withLock { state in
                switch result {
                case .success(let id): state.made.append(id)
                case .failure(let error): state.failure = state.failure ?? error
                }
                state.busy = false
                state.idle.append(pack)
            }
        }
    }

    private func write(_ pack: PackBuilder) throws(ArchiveError) -> PackID {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        try spool?.makeRoom()
        let bytes = pack.finish(cipher)
        let id = MerkleTree(hashing: bytes).packID
        do throws(VaultError) {
            try vault.store(pack: id, bytes: bytes)
        } catch {
            throw ArchiveError(storing: error)
        }
        do {
            try index.add(pack: id, entries: pack.entries)
        } catch {
            throw ArchiveError(.storage, "record a pack", "\(error)")
        }
        try spool?.stored(id, bytes: bytes.count)
        return id
    }

    /// Waits until all packs handed over are in the vault; those made since the start, in order. Throws what went wrong.
    func drain() throws(ArchiveError) -> [PackID] {
        let result: Result<[PackID], ArchiveError> = state.wait { state in
            if let failure = state.failure { return .failure(failure) }
            return state.waiting.isEmpty && !state.busy ? .success(state.made) : nil
        }
        return try result.get()
    }

    /// Ends the thread once the queue is empty.
    func close() { state.withLock { $0.closed = true } }
}
