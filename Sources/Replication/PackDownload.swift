internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Vault

/// Brings packs from several peers at once, into a vault or wherever they are wanted: each peer takes the next pack as soon as it is done with one, so the
/// fastest brings the most; and when none is left, those who are idle fetch again what a slow one is still at.
///
/// A peer has two packs in hand, so that one comes while the other goes to the disk. Memory: two packs for each link.
struct PackDownload {
    /// Takes a pack that has come whole; throws `untrue` if it is not what its name says.
    typealias Sink = @Sendable (PackID, UnsafeRawBufferPointer) throws(ReplicationError) -> Void

    private let sink: Sink
    private let progress: ReplicationProgress
    private let state: ConditionLock<State>

    private struct State {
        /// Not begun, the last first.
        var waiting: [PackID]
        /// Being fetched, with the peers that are at it.
        var underWay: [PackID: Set<Int>] = [:]
        /// Peers, by index, that turned out not to have a pack, or sent something else.
        var without: [PackID: Set<Int>] = [:]
        var lost: [PackID: String] = [:]
        var linksAlive: Set<Int>
        var failure: ReplicationError?
    }

    /// How many peers fetch one pack at most.
    private static let hedgeMax = 2
    /// How many packs one peer is asked for at once.
    private static let packsPerLink = 2

    /// With `isReplacing`, a pack takes the place of one that is here, and beyond repair.
    init(_ packs: [PackID], into vault: Vault, links: Int, isReplacing: Bool = false, _ progress: ReplicationProgress) {
        self.init(packs, links: links, progress) { (pack, bytes) throws(ReplicationError) in
            do throws(VaultError) { _ = try vault.storeVerified(pack: pack, bytes: bytes, replacing: isReplacing) } catch {
                throw error.code == .rejected ? PackDownload.untrue(pack) : ReplicationError(error)
            }
        }
    }

    static func untrue(_ pack: PackID) -> ReplicationError {
        ReplicationError(.untrue, "get pack \(pack): the peer sent other bytes than its name says")
    }

    init(_ packs: [PackID], links: Int, _ progress: ReplicationProgress, sink: @escaping Sink) {
        self.sink = sink
        self.progress = progress
        state = ConditionLock(State(waiting: packs.reversed(), linksAlive: Set(0..<links)))
    }

    /// Returns the packs that none of the peers could give, with the reason. Their names are durable after ``Vault/sync()``.
    func run(_ links: [any PeerLink]) throws(ReplicationError) -> [PackID: String] {
        var threads: [WorkerThread] = []
        for (index, link) in links.enumerated() {
            let started = (0..<PackDownload.packsPerLink).compactMap { number in
                // The caller's thread is one too.
                index + number == 0 ? nil : WorkerThread(name: "download \(index)") { serve(index, link) }
            }
            threads += started
            // Where no thread could be had there is a peer less.
            if index > 0, started.isEmpty { _ = state.withLock { $0.linksAlive.remove(index) } }
        }
        if let first = links.first { serve(0, first) }
        for thread in threads { thread.join() }
        let (failure, lost, rest) = state.read { ($0.failure, $0.lost, $0.waiting + Array($0.underWay.keys)) }
        if let failure, lost.isEmpty || failure.code != .cutOff { throw failure }
        return lost.merging(rest.map { ($0, "the connection to every peer broke") }) { first, _ in first }
    }

    /// One pack from one peer, to the sink.
    func only(_ pack: PackID, _ link: any PeerLink) throws(ReplicationError) { try fetch(pack, link) }

    /// Fetches packs from one peer until there is nothing left for it to do.
    private func serve(_ index: Int, _ link: any PeerLink) {
        while let pack = next(index) {
            var outcome: Result<Bool, ReplicationError> = .success(true)
            do throws(ReplicationError) { try fetch(pack, link) } catch { outcome = .failure(error) }
            let goesOn = finish(pack, index, outcome)
            if !goesOn { return }
        }
    }

    private func next(_ index: Int) -> PackID? {
        state.wait { state -> PackID?? in
            // A peer that has lied or is gone is asked for nothing more, by none of its threads.
            if state.failure != nil || !state.linksAlive.contains(index) { return .some(nil) }
            func canGive(_ pack: PackID) -> Bool { state.without[pack]?.contains(index) != true }
            if let place = state.waiting.lastIndex(where: canGive) {
                let pack = state.waiting.remove(at: place)
                state.underWay[pack, default: []].insert(index)
                return pack
            }
            // Nothing is left that this peer has: help with what others are at.
            let slow = state.underWay.first { pack, peers in
                peers.count < PackDownload.hedgeMax && !peers.contains(index) && canGive(pack)
            }?.key
            if let slow {
                state.underWay[slow, default: []].insert(index)
                return slow
            }
            return state.underWay.isEmpty ? .some(nil) : nil
        }
    }

    /// Whether this peer goes on.
    private func finish(_ pack: PackID, _ index: Int, _ outcome: Result<Bool, ReplicationError>) -> Bool {
        state.withLock { state in
            let others = (state.underWay[pack] ?? []).subtracting([index])
            switch outcome {
            case .success:
                state.underWay[pack] = nil
                return true
            case .failure(let error):
                // Another peer may have brought it meanwhile.
                let isDone = state.underWay[pack] == nil
                if !isDone { state.underWay[pack] = others.isEmpty ? nil : others }
                switch error.code {
                case .notFound, .untrue, .refused, .noSpace:
                    state.without[pack, default: []].insert(index)
                    if error.code == .untrue { state.linksAlive.remove(index) }
                    if !isDone, others.isEmpty {
                        // Lost when nobody is left who might have it.
                        if state.linksAlive.isSubset(of: state.without[pack] ?? []) {
                            state.lost[pack] = error.description
                        } else {
                            state.waiting.append(pack)
                        }
                    }
                    return error.code != .untrue
                case .cutOff:
                    state.linksAlive.remove(index)
                    if !isDone, others.isEmpty { state.waiting.append(pack) }
                    if state.linksAlive.isEmpty { state.failure = state.failure ?? error }
                    return false
                case .local, .stopped:
                    state.failure = state.failure ?? error
                    return false
                }
            }
        }
    }

    /// Fetches a whole pack, all its parts asked for at once, and stores it once it is what its name says.
    private func fetch(_ pack: PackID, _ link: any PeerLink) throws(ReplicationError) {
        try progress.requireGoing()
        let object = ObjectID(pack.value)
        let first = try PeerVault(link).ask(
            .get(Get(kind: .pack, id: object, offset: 0, lengthBytes: Limits.bulkBytesMax)), "get pack \(pack)")
        guard case .part(let part) = first.answer, part.totalBytes > 0, part.totalBytes <= Limits.packBytesMax else {
            throw ReplicationError(.untrue, "get pack \(pack): the peer's answer makes no sense")
        }
        progress.received(first.bulk.count)
        let assembly = ConditionLock(Assembly(bytes: first.bulk, totalBytes: part.totalBytes))
        var offset = first.bulk.count
        var asked = 0
        do {
            while offset < part.totalBytes {
                try progress.requireGoing()
                let count = min(Limits.bulkBytesMax, part.totalBytes - offset)
                let get = Get(kind: .pack, id: object, offset: offset, lengthBytes: count)
                let (at, progress) = (offset, progress)
                try link.submit(.get(get), bulk: []) { result in
                    assembly.withLock { $0.take(result, at: at, count: count) }
                    if case .success(let reply) = result { progress.received(reply.bulk.count) }
                }
                asked += 1
                offset += count
            }
        } catch let error as ReplicationError {
            throw error
        } catch let error as PeerProtocolError {
            throw ReplicationError(error)
        } catch {
            throw ReplicationError(.cutOff, "\(error)")
        }
        let expected = asked
        let whole = assembly.wait { state in state.answers == expected ? Optional(state) : nil }
        if let failure = whole.failure { throw failure }
        let taken = whole.bytes.withUnsafeBytes { bytes in
            Result { () throws(ReplicationError) in try sink(pack, bytes) }
        }
        try taken.get()
    }

    /// The parts of one pack that have come.
    private struct Assembly: Sendable {
        var bytes: [UInt8]
        var answers = 0
        var failure: ReplicationError?

        init(bytes: [UInt8], totalBytes: Int) {
            self.bytes = bytes
            if bytes.count < totalBytes { self.bytes += [UInt8](repeating: 0, count: totalBytes - bytes.count) }
        }

        mutating func take(_ result: Result<PeerReply, PeerProtocolError>, at offset: Int, count: Int) {
            answers += 1
            switch result {
            case .failure(let error): failure = failure ?? ReplicationError(error)
            case .success(let reply):
                if case .failed(let failed) = reply.answer {
                    failure = failure ?? ReplicationError("get a part of a pack", failed)
                } else if case .part(let part) = reply.answer, part.totalBytes == bytes.count, reply.bulk.count == count {
                    bytes.replaceSubrange(offset..<offset + count, with: reply.bulk)
                } else {
                    failure = ReplicationError(.untrue, "get a part of a pack: the peer's answer makes no sense")
                }
            }
        }
    }
}
