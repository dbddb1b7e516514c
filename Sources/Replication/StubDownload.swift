internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Vault

/// Brings stubs of packs of data from several peers: of each pack its first bytes and its end, which say what it holds.
///
/// A peer may show the end of another pack: such stubs are no proof of anything. Many are asked for at once, since they are small.
struct StubDownload {
    private let vault: Vault
    private let links: [any PeerLink]
    private let progress: ReplicationProgress
    private let isRight: @Sendable (PackStub) -> Bool
    private let state: ConditionLock<State>

    private struct State {
        var waiting: [PackID]
        /// Packs of trees.
        var whole: [PackID] = []
        var lost: [PackID: ReplicationError] = [:]
        var failure: ReplicationError?
    }

    private static let threadsPerLink = 8
    private static let threadsMax = 32
    /// Most footers are shorter.
    private static let tailBytes = 16 << 10

    init(
        _ packs: [PackID], into vault: Vault, from links: [any PeerLink], _ progress: ReplicationProgress,
        isRight: @escaping @Sendable (PackStub) -> Bool
    ) {
        self.vault = vault
        self.links = links
        self.progress = progress
        self.isRight = isRight
        state = ConditionLock(State(waiting: packs.reversed()))
    }

    /// Returns the packs of trees, of which there are no stubs, and those that no peer could give. Names are durable after ``Vault/sync()``.
    func run() throws(ReplicationError) -> (whole: [PackID], lost: [PackID: ReplicationError]) {
        let count = min(links.count * StubDownload.threadsPerLink, StubDownload.threadsMax)
        let threads = (1..<max(2, count)).compactMap { number in WorkerThread(name: "stubs") { work(number) } }
        work(0)
        for thread in threads { thread.join() }
        let (whole, lost, failure) = state.read { ($0.whole, $0.lost, $0.failure) }
        if let failure { throw failure }
        return (whole, lost)
    }

    private func work(_ number: Int) {
        while let pack = state.withLock({ $0.failure == nil ? $0.waiting.popLast() : nil }) {
            var last = ReplicationError(.cutOff, "no peer is reached")
            var isDone = false
            for turn in links.indices where !isDone {
                do throws(ReplicationError) {
                    if let stub = try fetch(pack, PeerVault(links[(number + turn) % links.count])) {
                        do throws(VaultError) { try vault.store(stub: stub, of: pack) } catch {
                            throw ReplicationError(.local, "\(error)")
                        }
                    } else {
                        state.withLock { $0.whole.append(pack) }
                    }
                    isDone = true
                } catch {
                    if error.code == .local || error.code == .stopped {
                        return state.withLock { $0.failure = $0.failure ?? error }
                    }
                    // Who may have it and is gone counts more than who has not got it.
                    if turn == 0 || error.code == .cutOff { last = error }
                }
            }
            let reason = last
            if !isDone { state.withLock { $0.lost[pack] = reason } }
        }
    }

    /// Nil for a pack of trees.
    private func fetch(_ pack: PackID, _ peer: PeerVault) throws(ReplicationError) -> PackStub? {
        try progress.requireGoing()
        let (header, total) = try part(pack, peer, 0..<PackFrame.headerBytes)
        guard total > PackFrame.headerBytes + PackFrame.trailerBytes, total <= Limits.packBytesMax,
            let kind = header.withUnsafeBytes({ try? PackFrame.kind(ofHeader: $0) })
        else { throw PackDownload.untrue(pack) }
        if kind == .tree { return nil }
        var start = max(PackFrame.headerBytes, total - StubDownload.tailBytes)
        var (tail, _) = try part(pack, peer, start..<total)
        let sealed = tail.suffix(PackFrame.trailerBytes).withUnsafeBytes {
            try? PackFrame.sealedFooterBytes(ofTrailer: $0, packBytes: total)
        }
        guard let sealed else { throw PackDownload.untrue(pack) }
        let wanted = total - sealed - PackFrame.trailerBytes
        while start > wanted {
            let next = max(wanted, start - Limits.bulkBytesMax)
            tail = try part(pack, peer, next..<start).bytes + tail
            start = next
        }
        guard
            let stub = try? PackStub(
                packBytes: total, header: header, tail: Array(tail.suffix(total - wanted)), isProven: false), isRight(stub)
        else { throw PackDownload.untrue(pack) }
        return stub
    }

    private func part(
        _ pack: PackID, _ peer: PeerVault, _ range: Range<Int>
    ) throws(ReplicationError) -> (bytes: [UInt8], total: Int) {
        let get = Get(kind: .pack, id: ObjectID(pack.value), offset: range.lowerBound, lengthBytes: range.count)
        let reply = try peer.ask(.get(get), "get the end of pack \(pack)")
        guard case .part(let part) = reply.answer, reply.bulk.count == range.count else { throw PackDownload.untrue(pack) }
        progress.received(reply.bulk.count)
        return (reply.bulk, part.totalBytes)
    }
}
