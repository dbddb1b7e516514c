internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Vault

/// Sends packs to one peer, many parts on the way at once, so that neither the line nor this node's disk waits.
///
/// One thread calls; answers come on another. Memory: what the link queues, and one part.
struct PackUpload {
    private let vault: Vault
    private let link: any PeerLink
    private let progress: ReplicationProgress
    private let relay: PackRelay?
    private let state = ConditionLock(State())

    private struct State {
        var partsUnderWay = 0
        /// Packs that have to be sent from there on, since the peer had another part of them than was thought.
        var again: [PackID: Int] = [:]
        var durable: Set<PackID> = []
        var failure: ReplicationError?
    }

    /// How often one pack is tried in a session.
    private static let roundsMax = 6

    init(_ vault: Vault, _ link: any PeerLink, _ progress: ReplicationProgress, _ relay: PackRelay? = nil) {
        self.relay = relay
        self.vault = vault
        self.link = link
        self.progress = progress
    }

    /// Sends these packs; all are durable there on return.
    func send(_ packs: [PackID]) throws(ReplicationError) {
        var rest = Dictionary(packs.map { ($0, 0) }) { first, _ in first }
        // The order in which they were made: neighbours on disk.
        var order = packs
        for round in 0..<PackUpload.roundsMax {
            for pack in order {
                guard let offset = rest[pack] else { continue }
                try send(pack, from: offset)
            }
            try finish()
            let durable = state.read { $0.durable }
            let again = state.withLock { state in
                defer { state.again = [:] }
                return state.again
            }
            rest = [:]
            order = order.filter { !durable.contains($0) }
            if order.isEmpty { return }
            // Whatever the peer says it has is only a hint; in the end it is sent from the start.
            for pack in order { rest[pack] = round < PackUpload.roundsMax / 2 ? again[pack] ?? 0 : 0 }
        }
        throw ReplicationError(.untrue, "put pack \(order[0]): the peer takes it, and never has it")
    }

    private func send(_ pack: PackID, from start: Int) throws(ReplicationError) {
        let total: Int
        do throws(VaultError) { total = try vault.packBytes(pack) } catch {
            guard error.code == .elsewhere, let relay else { throw ReplicationError(error) }
            return try relay(pack) { bytes throws(ReplicationError) in
                try send(pack, from: start, total: bytes.count) { range throws(ReplicationError) in Array(bytes[range]) }
            }
        }
        try send(pack, from: start, total: total) { range throws(ReplicationError) in
            do throws(VaultError) { return try vault.packPart(pack, range) } catch {
                throw ReplicationError(.local, "\(error)")
            }
        }
    }

    private func send(
        _ pack: PackID, from start: Int, total: Int, _ read: (Range<Int>) throws(ReplicationError) -> [UInt8]
    ) throws(ReplicationError) {
        var offset = start < total ? start : 0
        repeat {
            try progress.requireGoing()
            let count = min(Limits.bulkBytesMax, total - offset)
            let part = offset
            let bytes = try read(part..<part + count)
            // What the peer has said already may make the rest of this pack needless.
            let stop = state.withLock { state in
                if state.failure == nil { state.partsUnderWay += 1 }
                return state.failure
            }
            if let stop { throw stop }
            let put = Put(kind: .pack, id: ObjectID(pack.value), totalBytes: total, offset: part)
            do {
                let (state, progress) = (state, progress)
                try link.submit(.put(put), bulk: bytes[...]) { result in
                    PackUpload.note(result, pack, end: part + count, in: state, progress, bytes: count)
                }
            } catch {
                state.withLock { $0.partsUnderWay -= 1 }
                throw ReplicationError(error)
            }
            offset += count
        } while offset < total
    }

    private static func note(
        _ result: Result<PeerReply, PeerProtocolError>, _ pack: PackID, end: Int, in state: ConditionLock<State>,
        _ progress: ReplicationProgress, bytes: Int
    ) {
        state.withLock { state in
            state.partsUnderWay -= 1
            switch result {
            case .failure(let error): state.failure = state.failure ?? ReplicationError(error)
            case .success(let reply):
                switch reply.answer {
                case .stored(let stored):
                    if stored.isDurable {
                        state.durable.insert(pack)
                    } else if stored.receivedBytes != end {
                        state.again[pack] = stored.receivedBytes
                    }
                case .failed(let failed):
                    state.failure = state.failure ?? ReplicationError("put pack \(pack)", failed)
                default: state.failure = ReplicationError(.untrue, "put pack \(pack): the peer's answer makes no sense")
                }
            }
        }
        progress.sent(bytes)
    }

    /// Waits for all answers.
    private func finish() throws(ReplicationError) {
        let failure = state.wait { state in state.partsUnderWay == 0 ? Optional(state.failure) : nil }
        if let failure { throw failure }
    }
}
