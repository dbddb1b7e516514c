package import BackupFormat
internal import HostFiles
package import PeerProtocol

/// Reads parts of packs from several peers at once, into memory and no further.
///
/// Packs are read in blocks of 1 MiB, each asked of the peer that will probably answer first; a block that does not come is asked of another
/// as well. While packs are read front to back, the blocks that come next are on their way already, into the next pack too. What comes is
/// not checked here: whoever reads chunks opens them with keys that no peer has, and asks again for what does not open.
///
/// Memory: `blocksMax` blocks, and those that threads wait for.
package final class PackReader: Sendable {
    let state: ConditionLock<State>
    private let progress: ReplicationProgress

    /// The block's number in its pack.
    struct Key: Hashable {
        let pack: PackID
        let number: Int
    }

    struct Block {
        var bytes: [UInt8]?
        /// Peers that are asked for it, by number.
        var asked: Set<Int> = []
        /// Who gave it.
        var giver: Int?
        /// Who has given wrong bytes of it.
        var avoided: Set<Int> = []
        /// A thread has wanted some of it; others came ahead of being wanted.
        var wasRead = false
        /// Threads that wait for it.
        var waiting = 0
        var used: UInt64 = 0
    }

    struct Peer {
        let link: any PeerLink
        var isAlive = true
        var underWay = 0
        /// Of one block, lately.
        var milliseconds = 100.0
        /// Packs that it does not have.
        var without: Set<PackID> = []
    }

    struct State {
        var peers: [Peer] = []
        var blocks: [Key: Block] = [:]
        let blocksMax: Int
        var uses: UInt64 = 0
        /// Lengths of packs, as far as peers have said.
        var totals: [PackID: Int] = [:]
        /// The pack that is read after each, probably.
        var successors: [PackID: PackID] = [:]
        /// Why a block came from nobody.
        var reason = ""
    }

    private struct Order {
        let key: Key
        let peer: Int
        let link: any PeerLink
    }

    private static let blockBytes = Limits.bulkBytesMax

    /// `progress` is told of what comes, and may stop it all.
    package init(blocksMax: Int, progress: ReplicationProgress = ReplicationProgress()) {
        state = ConditionLock(State(blocksMax: max(4, blocksMax)))
        self.progress = progress
    }

    /// From now on this peer is asked too.
    package func add(_ link: any PeerLink) { state.withLock { $0.peers.append(Peer(link: link)) } }

    package var alivePeers: Int { state.read { state in state.peers.count { $0.isAlive } } }

    /// Those that can be asked now.
    package var aliveLinks: [any PeerLink] { state.read { state in state.peers.filter(\.isAlive).map(\.link) } }

    /// The order in which packs are going to be read.
    package func expect(_ packs: [PackID]) {
        state.withLock { state in
            for (pack, next) in zip(packs, packs.dropFirst()) { state.successors[pack] = next }
        }
    }

    /// Fills `buffer` with bytes `range` of a pack. With `isAgain`, those that were given before are wrong: another peer is asked.
    ///
    /// Throws `cutOff` when no peer is left, `notFound` when none of them has the pack.
    package func read(
        _ pack: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, isAgain: Bool
    ) throws(ReplicationError) {
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= Limits.packBytesMax else {
            throw ReplicationError(.notFound, "get pack \(pack): it has no such bytes")
        }
        let numbers = range.lowerBound / PackReader.blockBytes...(range.upperBound - 1) / PackReader.blockBytes
        // Others wait only for what comes from peers.
        state.withLock(wakes: false) { state in
            for number in numbers { state.begin(Key(pack: pack, number: number), isAgain: isAgain) }
        }
        defer { state.withLock(wakes: false) { state in for number in numbers { state.end(Key(pack: pack, number: number)) } } }
        var isHedging = false
        while true {
            try progress.requireGoing()
            let orders = state.withLock(wakes: false) { state in
                var orders = numbers.compactMap { state.order(Key(pack: pack, number: $0), isHedging: isHedging) }
                for key in state.ahead(pack, numbers.upperBound) {
                    if let order = state.order(key, isHedging: false) { orders.append(order) }
                }
                return orders.map { Order(key: $0.key, peer: $0.peer, link: $0.link) }
            }
            for order in orders { ask(order) }
            let wait = state.read { $0.patience(numbers.map { Key(pack: pack, number: $0) }) }
            let outcome = state.wait(milliseconds: wait, wakes: false) { state -> Result<[[UInt8]], ReplicationError>?? in
                var pieces: [[UInt8]] = []
                for number in numbers {
                    let key = Key(pack: pack, number: number)
                    if let bytes = state.blocks[key]?.bytes {
                        pieces.append(bytes)
                    } else if state.blocks[key]?.asked.isEmpty != false {
                        // Nobody is at it: ask somebody else, or give up.
                        return state.candidate(pack, not: []) == nil ? .some(.failure(state.failure(pack))) : .some(nil)
                    }
                }
                return pieces.count == numbers.count ? .some(.success(pieces)) : nil
            }
            isHedging = outcome == nil
            if isHedging { state.withLock(wakes: false) { $0.noteLate(numbers.map { Key(pack: pack, number: $0) }) } }
            guard let result = outcome ?? nil else { continue }
            return try copy(try result.get(), from: numbers.lowerBound * PackReader.blockBytes, pack, range, buffer)
        }
    }

    private func copy(
        _ pieces: [[UInt8]], from start: Int, _ pack: PackID, _ range: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(ReplicationError) {
        var offset = start
        var filled = 0
        for piece in pieces {
            let part =
                max(range.lowerBound, offset)..<max(max(range.lowerBound, offset), min(range.upperBound, offset + piece.count))
            if !part.isEmpty {
                UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + part.count])
                    .copyBytes(from: piece[(part.lowerBound - offset)..<(part.upperBound - offset)])
                filled += part.count
            }
            offset += PackReader.blockBytes
        }
        // A peer may say that a pack is shorter than it is.
        guard filled == range.count else { throw ReplicationError(.untrue, "get pack \(pack): it came too short") }
    }

    private func ask(_ order: Order) {
        let (state, progress) = (state, progress)
        let began = ContinuousClock.now
        let get = Get(
            kind: .pack, id: ObjectID(order.key.pack.value), offset: order.key.number * PackReader.blockBytes,
            lengthBytes: PackReader.blockBytes)
        do {
            try order.link.submit(.get(get), bulk: []) { result in
                let milliseconds = (ContinuousClock.now - began) / .milliseconds(1)
                state.withLock { $0.take(result, order.key, order.peer, milliseconds) }
                if case .success(let reply) = result { progress.received(reply.bulk.count) }
            }
        } catch {
            state.withLock { $0.take(.failure(error), order.key, order.peer, 0) }
        }
    }
}

extension PackReader.State {
    private static let blockBytes = Limits.bulkBytesMax
    /// Requests that one peer has at once; each side's window holds about as much.
    private static let perPeerMax = 6
    /// Peers that one block is asked of, one after the other, while none of them answers.
    private static let askedMax = 4
    /// Of all blocks, what one place that is read from may have ahead.
    private static let aheadShare = 12

    mutating func begin(_ key: PackReader.Key, isAgain: Bool) {
        if isAgain, let giver = blocks[key]?.giver {
            blocks[key]?.avoided.insert(giver)
            blocks[key]?.bytes = nil
            blocks[key]?.giver = nil
        }
        touch(key)
        blocks[key]?.wasRead = true
        blocks[key]?.waiting += 1
    }

    mutating func end(_ key: PackReader.Key) { blocks[key]?.waiting -= 1 }

    private mutating func touch(_ key: PackReader.Key) {
        uses += 1
        blocks[key, default: PackReader.Block()].used = uses
    }

    /// Who is to be asked for a block that is not here; nil if it is here or on its way.
    mutating func order(
        _ key: PackReader.Key, isHedging: Bool
    ) -> (key: PackReader.Key, peer: Int, link: any PeerLink)? {
        let block = blocks[key] ?? PackReader.Block()
        let askedMax = isHedging ? PackReader.State.askedMax : 1
        guard block.bytes == nil, block.asked.count < askedMax else { return nil }
        // Who was wrong before may be the only one left.
        let others = candidate(key.pack, not: block.asked.union(block.avoided))
        guard let peer = others ?? candidate(key.pack, not: block.asked) else { return nil }
        if blocks[key] == nil { touch(key) }
        blocks[key]?.asked.insert(peer)
        peers[peer].underWay += 1
        return (key, peer, peers[peer].link)
    }

    /// Whoever these were waited for in vain is thought slower: what comes next is asked of others first.
    mutating func noteLate(_ keys: [PackReader.Key]) {
        for peer in Set(keys.filter { blocks[$0]?.bytes == nil }.flatMap { blocks[$0]?.asked ?? [] }) {
            peers[peer].milliseconds = min(60_000, 4 * peers[peer].milliseconds)
        }
    }

    /// The peer that will probably answer first.
    func candidate(_ pack: PackID, not others: Set<Int>) -> Int? {
        var best: (peer: Int, milliseconds: Double)?
        for (index, peer) in peers.enumerated() where peer.isAlive && !others.contains(index) && !peer.without.contains(pack) {
            let milliseconds = peer.milliseconds * Double(peer.underWay + 1)
            if best.map({ milliseconds < $0.milliseconds }) ?? true { best = (index, milliseconds) }
        }
        return best?.peer
    }

    /// Blocks that are likely to be wanted next, as many as there is room for; none while blocks are read here and there.
    func ahead(_ pack: PackID, _ number: Int) -> [PackReader.Key] {
        let isInRow =
            blocks[PackReader.Key(pack: pack, number: number - 1)] != nil || number == 0
            || blocks[PackReader.Key(pack: pack, number: number + 1)] != nil
        let alive = peers.count { $0.isAlive }
        let underWay = peers.reduce(0) { $0 + $1.underWay }
        var room = min(blocksMax / 2, alive * PackReader.State.perPeerMax) - underWay
        guard isInRow, room > 0 else { return [] }
        var keys: [PackReader.Key] = []
        var key = PackReader.Key(pack: pack, number: number)
        // Several threads read at several places, and what each has ahead must not push out what another has.
        for _ in 0..<max(1, blocksMax / PackReader.State.aheadShare) where room > 0 {
            guard let total = totals[key.pack] else { break }
            if (key.number + 1) * PackReader.State.blockBytes < total {
                key = PackReader.Key(pack: key.pack, number: key.number + 1)
            } else if let next = successors[key.pack] {
                key = PackReader.Key(pack: next, number: 0)
            } else {
                break
            }
            if blocks[key] == nil {
                keys.append(key)
                room -= 1
            }
        }
        return keys
    }

    mutating func take(
        _ result: Result<PeerReply, PeerProtocolError>, _ key: PackReader.Key, _ peer: Int, _ milliseconds: Double
    ) {
        peers[peer].underWay -= 1
        blocks[key]?.asked.remove(peer)
        switch result {
        case .failure(let error):
            peers[peer].isAlive = false
            reason = error.description
        case .success(let reply):
            let offset = key.number * PackReader.State.blockBytes
            if case .part(let part) = reply.answer, part.totalBytes <= Limits.packBytesMax, offset < part.totalBytes,
                reply.bulk.count == min(PackReader.State.blockBytes, part.totalBytes - offset)
            {
                peers[peer].milliseconds = peers[peer].milliseconds * 0.75 + milliseconds * 0.25
                totals[key.pack] = part.totalBytes
                // Whoever was slower brings what is here already.
                if blocks[key]?.bytes == nil {
                    blocks[key, default: PackReader.Block()].bytes = reply.bulk
                    blocks[key]?.giver = peer
                }
            } else {
                peers[peer].without.insert(key.pack)
                if case .failed(let failed) = reply.answer { reason = failed.reason }
            }
        }
        letGo()
    }

    /// Keeps to the memory: the blocks that were used longest ago go, but none that a thread waits for, and those that are still to be
    /// wanted only after all others, unless nobody wanted them for long.
    private mutating func letGo() {
        while blocks.count > blocksMax {
            let longAgo = uses > UInt64(8 * blocksMax) ? uses - UInt64(8 * blocksMax) : 0
            func rank(_ block: PackReader.Block) -> (Int, UInt64) {
                (block.wasRead || block.used < longAgo ? 0 : 1, block.used)
            }
            let oldest = blocks.filter { $0.value.waiting == 0 && $0.value.asked.isEmpty }.min { rank($0.value) < rank($1.value) }
            guard let oldest else { return }
            blocks[oldest.key] = nil
        }
    }

    /// How long to wait for these before another peer is asked too, in milliseconds.
    func patience(_ keys: [PackReader.Key]) -> Int {
        let slowest = keys.flatMap { blocks[$0]?.asked ?? [] }.map { peers[$0].milliseconds * Double(max(1, peers[$0].underWay)) }
            .max()
        return max(500, Int(min(60_000, 4 * (slowest ?? 0))))
    }

    func failure(_ pack: PackID) -> ReplicationError {
        if peers.contains(where: \.isAlive) {
            return ReplicationError(.notFound, "pack \(pack) is with no peer that can be asked: \(reason)")
        }
        return ReplicationError(.cutOff, peers.isEmpty ? "no peer is reached" : "no peer is reached any more: \(reason)")
    }
}
