package import Archive
package import BackupFormat
package import BackupNode
internal import Cryptography
internal import HostFiles
internal import NodeRuntime
internal import PeerProtocol
internal import Peers
internal import Replication

/// Packs that only peers have, for a command that reads backups: part by part, straight from the peers.
///
/// A node that runs on the home and has peers passes on what they give. Else the command has sessions of its own: as nobody in particular who
/// shows the owner key, which gives the right to read and no other. They are begun when the first such pack is needed, and again when they break.
package final class PeerPacks: PackSource {
    private struct State {
        var opened: CommandSessions.Opened?
        /// Begun once nobody was where they were last.
        var local: LocalSearch?
        /// Threads that dial, which end by themselves.
        var dialling = 0
        var threads: [WorkerThread] = []
        /// How often everybody was dialled in vain, one time after the other.
        var failures = 0
        /// Somebody was reached before: what is away now comes back, most likely.
        var wasReached = false
        /// Those who are away were looked for on the local network.
        var wasSearched = false
        /// Who is away and may have packs, and when that was found out, in nanoseconds of the monotonic clock.
        var away: (names: [String], time: UInt64)?
        var isClosed = false

        var mayDial: Bool { failures < (wasReached ? PeerPacks.repeatsMax : PeerPacks.attemptsMax) }
    }

    private let home: Home
    private let owner: OwnerKey
    private let device: DeviceID
    private let candidates: CommandSessions.Candidates
    private let reader: PackReader
    private let progress: Progress
    private let log: @Sendable (String) -> Void
    private let state = ConditionLock(State())

    /// How often everybody is dialled: within a quarter of a minute, or within three minutes where somebody was reached before, as
    /// when a line is cut, or a peer starts anew or gets another address.
    private static let attemptsMax = 6
    private static let repeatsMax = 22
    private static let pauseSecondsMax = 10
    /// After so many times in vain they are looked for on the local network as well,
    private static let searchAfter = 2
    /// or for so long where others are there who do not have what is needed.
    private static let searchSeconds = 3
    /// For so long it is not asked again who is away.
    private static let awayNanoseconds: UInt64 = 10_000_000_000
    /// What the command needs for all else, in bytes; two thirds of the rest are for parts of packs, each of 1 MiB.
    private static let otherBytes = 112 << 20

    /// Nil where nothing can be read, without the owner key. `log` takes lines for people.
    package init?(
        _ home: Home, _ keys: HomeKeys, _ configuration: Configuration, _ progress: Progress,
        log: @escaping @Sendable (String) -> Void
    ) {
        guard let owner = keys.owner, let book = try? home.peerBook().read() else { return nil }
        self.home = home
        self.owner = owner
        device = keys.identity.key.id
        self.progress = progress
        self.log = log
        candidates = CommandSessions.Candidates(book, keys, configuration)
        let spareBytes = (configuration.memoryBytes - PeerPacks.otherBytes) / 3 * 2
        let blocks = min(128, max(8, spareBytes / Limits.bulkBytesMax))
        reader = PackReader(blocksMax: blocks, progress: ReplicationProgress(isStopping: { progress.isStopping }))
    }

    deinit { close() }

    /// Ends the sessions. Reading fails from then on.
    package func close() {
        let (opened, local, threads) = state.withLock { state in
            state.isClosed = true
            defer {
                state.opened = nil
                state.local = nil
                state.threads = []
            }
            return (state.opened, state.local, state.threads)
        }
        opened?.close()
        local?.stop()
        for thread in threads { thread.join() }
    }

    package func expect(_ packs: [PackID]) { reader.expect(packs) }

    package func read(
        _ pack: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, isAgain: Bool
    ) throws(ArchiveError) {
        var again = isAgain
        while true {
            if reader.alivePeers == 0 { try connect() }
            let wasDialling = isDialling
            do throws(ReplicationError) {
                try reader.read(pack, range, into: buffer, isAgain: again)
                // Only who gives what is asked for is worth being patient with.
                if state.read({ $0.failures > 0 }) { state.withLock { $0.failures = 0 } }
                return
            } catch {
                switch error.code {
                case .stopped: throw ArchiveError(.interrupted, "read from peers", "interrupted")
                case .cutOff: again = false
                // Whoever is still dialled may have it.
                case .notFound where wasDialling && !progress.isStopping:
                    awaitDialled()
                    again = false
                case .notFound where searchForAway(): again = false
                default: throw absence(error)
                }
            }
        }
    }

    /// Those who may have packs and cannot be asked now.
    private var away: [DeviceID] {
        var asked = Set(reader.aliveLinks.compactMap { ($0 as? PeerConnection).flatMap { candidates.device(of: $0.peer) } })
        if let peers = try? RunningNode.find(home)?.peers() { asked.formUnion(peers.filter(\.isOnline).map(\.id)) }
        return candidates.holders(besides: asked, home)
    }

    /// Why a pack came from nobody who is there.
    private func absence(_ error: ReplicationError) -> ArchiveError {
        let damaged = ArchiveError(.damaged, "read from peers", error.description)
        guard error.code == .notFound else { return damaged }
        let now = monotonicNanoseconds()
        let known = state.read { state in state.away.flatMap { now - $0.time < PeerPacks.awayNanoseconds ? $0.names : nil } }
        let names = known ?? away.map { candidates.names[$0] ?? $0.hex }.sorted()
        if known == nil { state.withLock { $0.away = (names, now) } }
        guard !names.isEmpty else { return damaged }
        return ArchiveError(
            .away, "read from peers",
            "the peers that are reached do not have all of it; run it again when \(names.prefix(3).joined(separator: ", ")) can be"
                + " reached too (`bakare-node peers`)")
    }

    /// Looks on the local network, once, for those who are away, and dials who is found. False if that was done before.
    private func searchForAway() -> Bool {
        let isFirst = state.withLock { state -> Bool in
            guard !state.wasSearched, !state.isClosed, state.opened != nil else { return false }
            state.wasSearched = true
            state.dialling += 1
            return true
        }
        guard isFirst else { return false }
        defer { state.withLock { $0.dialling -= 1 } }
        let wanted = away
        guard !wanted.isEmpty, let local = beginSearch() else { return true }
        for _ in 0..<PeerPacks.searchSeconds * 10 where !progress.isStopping {
            if targets(wanted, local).count == wanted.count { break }
            _ = state.wait(milliseconds: 100) { $0.isClosed ? true : nil }
        }
        dial(targets(wanted, local))
        return true
    }

    /// Nil if all is over.
    private func beginSearch() -> LocalSearch? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            let local = state.local ?? LocalSearch(device, wanted: Set(candidates.devices), log: log)
            state.local = local
            return local
        }
    }

    private var isDialling: Bool { state.read { $0.dialling > 0 } }

    /// Waits a little for those who are being dialled.
    private func awaitDialled() { _ = state.wait(milliseconds: 200) { $0.dialling == 0 || $0.isClosed ? true : nil } }

    /// Waits until a peer is there who keeps something for the owner; one thread dials, all wait.
    private func connect() throws(ArchiveError) {
        while true {
            let pause = state.withLock { state -> Int? in
                guard state.dialling == 0, reader.alivePeers == 0, !state.isClosed else { return nil }
                guard state.mayDial else { return nil }
                state.failures += 1
                state.dialling = 1
                return state.failures
            }
            if let pause, !useRunningNode() { dial(after: pause) }
            let isThere = state.wait(milliseconds: 100) { state -> Bool? in
                if reader.alivePeers > 0 { return true }
                return state.isClosed || state.dialling == 0 && !state.mayDial ? false : nil
            }
            if progress.isStopping { throw ArchiveError(.interrupted, "read from peers", "interrupted") }
            guard let isThere else { continue }
            if isThere { return }
            throw ArchiveError(
                .unreachable, "read from peers",
                "packs are needed that only peers have, and none of these is reached (`bakare-node peers`): run it again when one is"
            )
        }
    }

    private func useRunningNode() -> Bool {
        guard ControlLink.isUseful(home) else { return false }
        reader.add(ControlLink(home))
        state.withLock { state in
            state.dialling -= 1
            state.wasReached = true
        }
        return true
    }

    /// Dials everyone at once, so that nobody who is away holds up the others.
    private func dial(after failures: Int) {
        // At once at first, then with growing pauses.
        let pauseSeconds = min(failures - 1, PeerPacks.pauseSecondsMax)
        for _ in 0..<pauseSeconds * 10 where !progress.isStopping {
            _ = state.wait(milliseconds: 100) { $0.isClosed ? true : nil }
        }
        var all = candidates.addresses.map { Target(addresses: $0, key: nil) }
        if failures > PeerPacks.searchAfter, let local = beginSearch() {
            all += targets(candidates.devices, local)
        }
        dial(all)
        state.withLock { $0.dialling -= 1 }
    }

    private struct Target {
        let addresses: [PeerAddress]
        /// Whose; nil for whoever is where somebody was last.
        let key: Bytes32?
    }

    /// Those of these nodes that are announced, where they are.
    private func targets(_ devices: [DeviceID], _ local: LocalSearch) -> [Target] {
        let found = local.found
        return devices.compactMap { id in found[id].map { Target(addresses: $0, key: candidates.keys[id]) } }
    }

    private func dial(_ targets: [Target]) {
        let opened = state.withLock { state -> CommandSessions.Opened? in
            if state.isClosed { return nil }
            if state.opened == nil {
                // A key that nobody has seen and nobody certified: it takes no place in anybody's book of peers.
                let setup = HandshakeSetup(key: NodeKey.generate(), certificate: nil, agent: "bakare-node")
                state.opened = CommandSessions.Opened(setup, owner: owner.id)
            }
            state.dialling += targets.count
            return state.opened
        }
        guard let opened else { return }
        for target in targets {
            let thread = WorkerThread(name: "dial") { [self] in
                ask(target, opened.transport)
                state.withLock { $0.dialling -= 1 }
            }
            state.withLock { state in
                if let thread { state.threads.append(thread) } else { state.dialling -= 1 }
            }
        }
    }

    private func ask(_ target: Target, _ transport: PeerTransport) {
        guard let connection = CommandSessions.holder(at: target.addresses, peer: target.key, owner, transport) else { return }
        state.withLock { state in
            state.wasReached = true
            state.away = nil
            reader.add(connection)
        }
        log("reading from \(connection.peer.certificate?.shownName ?? "a peer") what is with peers only")
    }
}
