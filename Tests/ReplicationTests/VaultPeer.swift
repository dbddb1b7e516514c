import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Replication
import Vault

/// A peer in memory: answers from a vault of its own, as an honest persister does, unless told otherwise.
final class VaultPeer: PeerLink {
    /// What it does wrong.
    struct Faults: Sendable {
        /// The connection breaks when so many requests have been answered.
        var breaksAfter: Int?
        /// Takes requests, and never answers.
        var isMute = false
        /// Gives other bytes than those asked for.
        var givesGarbage = false
        /// Says that a pack is durable, and throws it away.
        var dropsPacks = false
        /// Has room for so many more bytes of packs.
        var roomBytes: Int?
    }

    private struct State {
        var faults = Faults()
        var answered = 0
        var uploads: [ObjectID: [UInt8]] = [:]
        var drafts: [ObjectID: [UInt8]] = [:]
        var putBytes = 0
        var gotBytes = 0
    }

    let vault: Vault
    private let state = ConditionLock(State())

    init(_ vault: Vault) { self.vault = vault }

    var faults: Faults {
        get { state.withLock { $0.faults } }
        set {
            state.withLock { state in
                state.faults = newValue
                state.answered = 0
            }
        }
    }
    /// Bytes of packs that came and went, sent again or not.
    var putBytes: Int { state.withLock { $0.putBytes } }
    var gotBytes: Int { state.withLock { $0.gotBytes } }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping @Sendable (Result<PeerReply, PeerProtocolError>) -> Void
    ) throws(PeerProtocolError) {
        let isBroken = state.withLock { state in
            state.answered += 1
            return state.faults.breaksAfter.map { state.answered > $0 } ?? false
        }
        if isBroken { throw PeerProtocolError(.disconnected) }
        if faults.isMute { return }
        do { then(.success(try answer(request, Array(bulk)))) } catch {
            let isRejected = (error as? VaultError)?.code == .rejected
            let code = (error as? Refusal)?.code ?? (isRejected ? .invalid : .internalError)
            then(.success(PeerReply(.failed(Failed(code, reason: "\(error)")))))
        }
    }

    private struct Refusal: Error { let code: Failed.Code }

    private func answer(_ request: Request, _ bulk: [UInt8]) throws -> PeerReply {
        switch request {
        case .vault: return PeerReply(.vault(VaultState(exists: true)))
        case .list(let list):
            // Two at a time, so that a listing has several pages.
            let ids = try vault.snapshots().sorted().filter { id in list.after.map { id > $0 } ?? true }
            return PeerReply(.listing(Listing(snapshots: Array(ids.prefix(2)), hasMore: ids.count > 2)))
        case .have(let have) where have.kind == .pack:
            let missing = try have.ids.filter { try !vault.contains(PackID($0.value)) }
            return PeerReply(.missing(Missing(ids: missing, generation: 0)))
        case .put(let put): return PeerReply(.stored(try store(put, bulk)))
        case .get(let get): return try give(get)
        case .commit(let commit):
            guard let record = state.withLock({ $0.drafts[commit.draft] }) else { throw Refusal(code: .notFound) }
            let outcome = try vault.commit(
                record: record, basedOn: commit.basedOn.map { [$0] }, replacing: commit.isReplacement)
            switch outcome {
            case .committed: return PeerReply(.outcome(Outcome(.committed, generation: 0)))
            case .rejected(let reason): return PeerReply(.outcome(Outcome(.rejected(reason), generation: 0)))
            case .missing(let packs, let pages):
                let some = Outcome.Result.missing(packs: Array(packs.prefix(3)), pages: Array(pages.prefix(3)))
                return PeerReply(.outcome(Outcome(some, generation: 0)))
            }
        default: throw Refusal(code: .invalid)
        }
    }

    private func store(_ put: Put, _ bulk: [UInt8]) throws -> Stored {
        let (bytes, faults) = state.withLock { state in
            if put.kind == .pack { state.putBytes += bulk.count }
            var bytes = state.uploads[put.id] ?? []
            if bytes.count == put.offset { bytes += bulk }
            state.uploads[put.id] = bytes
            return (bytes, state.faults)
        }
        if put.kind == .pack, let room = faults.roomBytes, room < bulk.count { throw Refusal(code: .noSpace) }
        if put.kind == .pack {
            state.withLock { state in state.faults.roomBytes = state.faults.roomBytes.map { $0 - bulk.count } }
        }
        guard bytes.count == put.totalBytes else {
            return Stored(receivedBytes: bytes.count, isDurable: false, generation: 0)
        }
        state.withLock { $0.uploads[put.id] = nil }
        switch put.kind {
        case .pack:
            if !faults.dropsPacks {
                _ = try bytes.withUnsafeBytes { try vault.storeVerified(pack: PackID(put.id.value), bytes: $0) }
            }
            try vault.sync()
        case .page: _ = try vault.storePage(bytes)
        case .draft: state.withLock { $0.drafts[put.id] = bytes }
        case .snapshot: throw Refusal(code: .invalid)
        }
        return Stored(receivedBytes: bytes.count, isDurable: true, generation: 0)
    }

    private func give(_ get: Get) throws -> PeerReply {
        let whole: [UInt8]
        do {
            switch get.kind {
            case .pack:
                let id = PackID(get.id.value)
                var bytes = [UInt8](repeating: 0, count: try vault.packBytes(id))
                let range = 0..<bytes.count
                try bytes.withUnsafeMutableBytes { _ = try vault.readPackChecked(id, range, into: $0) }
                whole = bytes
            case .page: whole = try vault.page(PageID(get.id.value)).encode()
            case .snapshot: whole = try vault.snapshotRecordBytes(SnapshotID(get.id.value))
            case .draft: throw Refusal(code: .invalid)
            }
        } catch is VaultError {
            throw Refusal(code: .notFound)
        }
        guard get.offset < whole.count else { throw Refusal(code: .invalid) }
        var part = Array(whole[get.offset..<min(get.offset + get.lengthBytes, whole.count)])
        if faults.givesGarbage { for index in part.indices { part[index] ^= 1 } }
        if get.kind == .pack {
            let count = part.count
            state.withLock { $0.gotBytes += count }
        }
        return PeerReply(.part(Part(totalBytes: whole.count)), bulk: part)
    }
}
