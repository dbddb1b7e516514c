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
        /// Those of whom there were sessions.
        var reached: Set<DeviceID> = []
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
    /// After so many times in vain they are looked for on the local network as well.
    private static let searchAfter = 2
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
                default: throw absence(error)
                }
            }
        }
    }

    /// Why a pack came from nobody who is there.
    private func absence(_ error: ReplicationError) -> ArchiveError {
        var asked = state.read(\.reached)
        if let peers = try? RunningNode.find(home)?.peers() { asked.formUnion(peers.filter(\.isOnline).map(\.id)) }
        let away = candidates.holders(besides: asked, home).map { candidates.names[$0] ?? $0.hex }.sorted()
        guard error.code == .notFound, !away.isEmpty else { return ArchiveError(.damaged, "read from peers", error.description) }
        return ArchiveError(
            .away, "read from peers",
            "the peers that are reached do not have all of it; run it again when \(away.prefix(3).joined(separator: ", ")) can be"
                + " reached too (`bakare-node peers`)")
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
            state.dialling = 0
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
        var all = candidates.addresses
        let opened = state.withLock { state -> CommandSessions.Opened? in
            if let local = state.local { all += local.found(candidates.devices).filter { !all.contains($0) } }
            state.dialling = all.count
            if state.isClosed { return nil }
            if failures > PeerPacks.searchAfter, state.local == nil { state.local = LocalSearch(device, log: log) }
            if state.opened == nil {
                // A key that nobody has seen and nobody certified: it takes no place in anybody's book of peers.
                let setup = HandshakeSetup(key: NodeKey.generate(), certificate: nil, agent: "bakare-node")
                state.opened = CommandSessions.Opened(setup, owner: owner.id)
            }
            return state.opened
        }
        for addresses in all {
            let thread = opened.flatMap { opened in
                WorkerThread(name: "dial") { [self] in
                    ask(addresses, opened.transport)
                    state.withLock { $0.dialling -= 1 }
                }
            }
            state.withLock { state in
                if let thread { state.threads.append(thread) } else { state.dialling -= 1 }
            }
        }
    }

    private func ask(_ addresses: [PeerAddress], _ transport: PeerTransport) {
        guard let connection = CommandSessions.holder(at: addresses, owner, transport) else { return }
        state.withLock { state in
            state.wasReached = true
            if let device = connection.peer.certificate?.device { state.reached.insert(device) }
            reader.add(connection)
        }
        log("reading from \(connection.peer.certificate?.shownName ?? "a peer") what is with peers only")
    }
}
