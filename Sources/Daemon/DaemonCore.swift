package import BackupFormat
package import BackupNode
internal import Cryptography
package import Discovery
internal import HostFiles
internal import Ledger
package import PeerProtocol
package import Peers
internal import Placement
internal import Replication
internal import Synchronization
package import Vault

/// How `memory` is shared out to what peers send.
struct DaemonMemory: Sendable {
    /// What one peer may send ahead: the least with which two nodes that both send cannot hold each other up.
    static let windowBytes = 4608 << 10
    /// Packs that arrive.
    let bufferBytes: Int
    let pairedMax: Int

    /// Sessions that one friend's devices may have, so that one who certifies many cannot keep out everybody else.
    var perFriendMax: Int { max(2, pairedMax / 4) }

    init(memoryBytes: Int) {
        bufferBytes = max(Limits.packBytesMax, memoryBytes / 5)
        // Of each, what waits in its window and what two threads have in hand.
        pairedMax = min(64, max(4, memoryBytes / 2 / (DaemonMemory.windowBytes + Limits.bulkBytesMax)))
    }
}

/// How often a node looks for something to do where nothing tells it.
package struct DaemonPace: Sendable {
    /// Between two looks at what a peer should have.
    package var roundMilliseconds = 600_000
    /// After something went wrong with a peer.
    package var retryMilliseconds = 30_000
    /// What is kept for somebody who has left stays for so long: they may come back, or recover.
    package var leavingGraceSeconds: Int64 = 30 * 86_400

    package init() {}
}

/// What all parts of a running node share. Locks are held for moments, never while anything waits.
package final class DaemonCore: Sendable {
    package let home: Home
    package let keys: HomeKeys
    package let configuration: Configuration
    package let vault: Vault
    let targets: SnapshotTargets
    let bookFile: PeerBookFile
    package let service: VaultService
    package let orders: OrderFolder
    let memory: DaemonMemory
    let pace: DaemonPace
    /// Takes lines for people, and never waits.
    let log: @Sendable (String) -> Void
    let state: ConditionLock<State>
    private let currentBasis: Mutex<SessionBasis>
    /// The table of replicas as it was written last.
    let saving = Mutex<ReplicaTable?>(nil)
    let backups = Mutex(SourceBackups())
    /// Of packs that only peers have.
    let elsewhereBytes = Atomic<Int>(0)
    /// Taken while a pack goes from one peer to another by way of this node's memory.
    let relaying = ConditionLock(false)
    /// Had from reading or changing the book until all has followed it, so that an earlier book never comes after a later one.
    private let booking = Mutex<(marks: [UInt64?], seconds: Int64)>(([], 0))
    private let dialling = Mutex<Dialling?>(nil)
    /// What peers need room for, as it was counted last, at which poke and when.
    let wanted = Mutex<(bytes: UInt64, pokes: Int, seconds: Int64)?>(nil)
    /// The peers that were asked about last, in the order in which this node's snapshots go to them.
    let ordered = Mutex<(candidates: [Candidate], order: PlacementOrder)?>(nil)
    /// Of devices in the book.
    let notes = Mutex<[DeviceID: PeerNotes]>([:])

    struct State {
        var roster: Roster
        /// In the order in which they began.
        var sessions: [PeerSession] = []
        var replicas: ReplicaTable
        var areReplicasUnsaved = false
        /// Peers that had no room when they were asked last.
        var full: Set<DeviceID> = []
        /// Devices that something is being brought to now.
        var busy: Set<DeviceID> = []
        var listening: PeerAddress?
        /// Raised whenever there may be something new to bring to peers.
        var pokes = 0
        /// Raised for a session alone, when what both sides offer has changed and nobody else's share with it.
        var nudges: [ObjectIdentifier: Int] = [:]
        /// Raised with each of both.
        var news = 0
        /// Snapshots of this node's owner that peers have committed here.
        var brought = 0
        /// How far each session has come with that.
        var finished: [ObjectIdentifier: Int] = [:]
        /// Backups that run in other processes and have told so.
        var backupsRunning = 0
        /// The daily sweep of the own vault runs: it reads packs, and nothing takes them away from under it.
        var isSweeping = false
        /// What was said last of a peer that is in the way: told once, not each time.
        var complaints: [DeviceID: String] = [:]
        var isStopping = false

        /// Sessions with paired peers that stand.
        var standing: [PeerSession] { sessions.filter { $0.isPaired && $0.ended == nil } }

        /// Whether the book says something else of the peer now than when the session began.
        func isOutdated(_ session: PeerSession) -> Bool {
            session.connection.trust != .invited && session.isPaired != roster.isWelcome(session.connection.peer)
        }

        mutating func poke() {
            pokes += 1
            news += 1
        }

        /// Of devices in the book alone: a friend can certify any number.
        mutating func updateReplica(_ device: DeviceID, _ body: (inout Replica) -> Void) {
            guard roster.book.device(device) != nil else { return }
            let before = replicas[device]
            var after = before
            body(&after)
            guard after != before else { return }
            replicas[device] = after
            areReplicasUnsaved = true
        }
    }

    package init(
        _ home: Home, _ keys: HomeKeys, _ configuration: Configuration, pace: DaemonPace = DaemonPace(),
        log: @escaping @Sendable (String) -> Void
    ) throws(NodeError) {
        self.home = home
        self.keys = keys
        self.configuration = configuration
        self.log = log
        self.pace = pace
        memory = DaemonMemory(memoryBytes: configuration.memoryBytes)
        guard let certificate = keys.identity.certificate else {
            throw NodeError(.key, "start", "this node has no certificate of its owner", path: home.keysDirectory)
        }
        inviterKeys = InviterKeys(owner: keys.owner, publisher: keys.publisher, certificate: certificate)
        let owner = keys.publisher.owner
        let book: PeerBook
        do {
            vault = try Vault(disk: home.disk, directory: home.vaultDirectory, owner: owner, create: true)
            targets = SnapshotTargets(configuration, keys, vault)
            try home.disk.makeDirectories(home.ledgerDirectory)
            bookFile = try PeerBookFile(disk: home.disk, directory: home.peersDirectory)
            orders = try OrderFolder(home)
            book = try bookFile.read()
        } catch {
            throw NodeError(.home, "start", "\(error)", path: home.directory)
        }
        let roster = Roster(book: book, owner: owner, device: keys.identity.key.id)
        var replicas = ReplicaTable.read(home.disk, directory: home.ledgerDirectory)
        replicas.forgetUnproven()
        let state = ConditionLock(State(roster: roster, replicas: replicas))
        self.state = state
        let handshake = HandshakeSetup(key: keys.identity.key, certificate: certificate, agent: "bakare-node")
        let now = currentTime() / 1_000_000_000
        var basis = SessionBasis(
            handshake: handshake, acquaintances: book.acquaintances(owner: owner), offer: Offer(role: configuration.role))
        basis.invitations = book.openTokens(now: now)
        basis.windowBytes = DaemonMemory.windowBytes
        currentBasis = Mutex(basis)
        let (role, orders, reserve) = (configuration.role, orders, UInt64(configuration.reserveBytes))
        let keepsAll = configuration.localCopyBytes == nil
        service = VaultService(
            disk: home.disk, directory: home.vaultDirectory, own: owner, reserveBytes: { reserve },
            policy: { asked in
                let mayStore = role != .publisher
                // A node that lets go of what others have is nobody for its owner's other devices to count on.
                if asked == owner { return ServingPolicy(quotaBytes: .max, mayStore: mayStore && keepsAll) }
                guard let friend = state.read({ $0.roster.book.friend(asked) }) else { return nil }
                return ServingPolicy(quotaBytes: friend.quotaBytes, mayStore: mayStore && friend.unpairedAt == nil)
            },
            isForgotten: { orders.forbids($0) }, bufferBytes: memory.bufferBytes,
            trashGraceSeconds: Int64(configuration.trashDays) * 86_400, now: { currentTime() / 1_000_000_000 }, log: log)
        service.onChange = { [weak self] change in self?.noteChange(change) }
    }

    /// A peer has changed a vault here. What it did for this node's own owner goes on to others.
    private func noteChange(_ change: VaultChange) {
        switch change {
        case .committed(let owner, _):
            guard owner == self.owner else { return }
            state.withLock { state in
                state.brought += 1
                state.poke()
            }
        case .forgotten(let owner, let bytes):
            guard owner == self.owner, let order = bytes.withUnsafeBytes({ try? ForgetOrder(decoding: $0) }) else { return }
            do throws(NodeError) { try orders.add(order) } catch { log("\(error)") }
            poke()
        }
    }

    /// What this node gives to those that it has invited.
    let inviterKeys: InviterKeys

    /// Seconds since 1970.
    var now: Int64 { currentTime() / 1_000_000_000 }
    var owner: OwnerID { keys.publisher.owner }
    package var basis: SessionBasis { currentBasis.withLock { $0 } }

    package func begin(listening: PeerAddress, _ dialling: Dialling) {
        state.withLock { $0.listening = listening }
        self.dialling.withLock { $0 = dialling }
    }

    /// Dials everyone who is known, at the addresses known now; may be said again at any time.
    package func dialKnown() {
        dialling.withLock { $0?.follow(state.read { $0.isStopping ? [] : $0.roster.wanted }) }
    }

    /// Something may have to be brought to peers.
    package func poke() { state.withLock { $0.poke() } }

    /// A session has begun, or what both sides offer each other has changed. Others look only where that changes what they are to keep: one
    /// connection that breaks again and again gives nobody else work.
    func offersChanged(_ session: PeerSession) {
        session.tellOfRoom()
        let granted = session.isSettled ? session.agreement.storedThere : nil
        state.withLock { state in
            state.nudges[ObjectIdentifier(session), default: 0] += 1
            state.news += 1
            guard let device = session.device, let granted, state.replicas[device].grantedBytes != granted else { return }
            state.updateReplica(device) { $0.grantedBytes = granted }
            state.poke()
        }
    }

    /// Lets whoever waits for something look again.
    func wake() { state.withLock { _ in } }

    /// A session has done what was due at that poke, as far as it could.
    func finished(_ pokes: Int, _ session: PeerSession) {
        state.withLock { $0.finished[ObjectIdentifier(session)] = pokes }
    }

    /// Waits for so long, or for the end.
    package func rest(milliseconds: Int) { _ = state.wait(milliseconds: milliseconds) { $0.isStopping ? true : nil } }

    /// Waits for so long, or until there may be something new to bring or to offer to peers after what was known at `news`, or for the end.
    package func rest(after news: Int, milliseconds: Int) {
        _ = state.wait(milliseconds: milliseconds) { $0.isStopping || $0.news != news ? true : nil }
    }

    package var news: Int { state.read { $0.news } }

    /// Whether a backup, which may be another process's, makes packs now: they are sent as they come.
    package func backupRuns(_ runs: Bool) {
        state.withLock { state in
            state.backupsRunning += runs ? 1 : -1
            if !runs { state.poke() }
        }
    }

    /// Waits for so long, or until no backup runs any more.
    func restDuringBackup(milliseconds: Int) {
        _ = state.wait(milliseconds: milliseconds) { $0.isStopping || $0.backupsRunning == 0 ? true : nil }
    }

    package var isStopping: Bool { state.read { $0.isStopping } }

    package func stop() {
        state.withLock { state in
            state.isStopping = true
            state.poke()
        }
    }

    /// After all sessions have ended.
    package func finish() {
        _ = state.wait(milliseconds: 10_000) { $0.sessions.isEmpty && $0.busy.isEmpty ? true : nil }
        saveReplicas(toTheSecond: true)
    }

    // MARK: The book

    /// Takes over the book as it is on disk now: a command may have changed it.
    package func reloadBook() {
        booking.withLock { _ in
            do throws(PeerBookError) { take(try bookFile.read()) } catch { log("\(error)") }
        }
    }

    func reloadBookIfChanged() {
        booking.withLock { seen in
            // Decay changes no mark, and is mended when the book is read.
            let (marks, now) = (bookFile.marks, now)
            guard marks != seen.marks || isRepeatDue(every: DaemonCore.bookSeconds, since: seen.seconds, now: now),
                let book = try? bookFile.read()
            else { return }
            seen = (marks, now)
            if state.read({ $0.roster.book != book }) { take(book) }
        }
    }

    private static let bookSeconds: Int64 = 3600

    private func take(_ book: PeerBook) {
        let (ended, met) = state.withLock { state -> ([PeerSession], [PeerSession]) in
            state.roster.book = book
            state.poke()
            // Who has left may throw away what they have: it counts for nothing.
            let before = state.replicas
            state.replicas.keep(Set(state.roster.peers.map(\.id)))
            if state.replicas != before { state.areReplicasUnsaved = true }
            let changed = state.sessions.filter { state.isOutdated($0) }
            return (changed.filter(\.isPaired), changed.filter { !$0.isPaired })
        }
        let known = Set(book.devices.map(\.certificate.device))
        notes.withLock { notes in notes = notes.filter { known.contains($0.key) } }
        let (now, owner) = (now, owner)
        currentBasis.withLock { basis in
            basis.acquaintances = book.acquaintances(owner: owner)
            basis.invitations = book.openTokens(now: now)
        }
        for session in ended { session.connection.close(farewell(to: session)) }
        // They were strangers when these sessions began: in the next ones they are not.
        for session in met { session.connection.close(.leaving) }
        dialKnown()
    }

    /// Changes the book, on disk first.
    func changeBook<R: Sendable>(
        _ body: (inout PeerBook) throws(PeerBookError) -> R
    ) throws(PeerBookError) -> R {
        try booking.withLock { _ throws(PeerBookError) in
            let (result, book) = try bookFile.change { book throws(PeerBookError) in (try body(&book), book) }
            take(book)
            return result
        }
    }

    // MARK: Sessions

    func add(_ session: PeerSession) {
        let identity = session.connection.peer
        let (isStopping, isOutdated, isCrowded) = state.withLock { state in
            let isCrowded = state.friendSessions(besides: session) >= memory.perFriendMax
            state.sessions.append(session)
            if session.isPaired, let device = identity.certificate?.device {
                // Somebody else had its place.
                if state.replicas[device].state(now: now) == .offline { state.poke() }
                state.updateReplica(device) { $0.lastSeen = now }
            }
            return (state.isStopping, state.isOutdated(session), isCrowded)
        }
        if isCrowded { return session.connection.close(.busy) }
        if isOutdated || isStopping { session.connection.close(isStopping ? .leaving : farewell(to: session)) }
    }

    /// Why a session is closed that is not as the book has it.
    private func farewell(to session: PeerSession) -> PeerProtocolError.Code {
        session.isPaired ? state.read { $0.roster.farewell(to: session.connection.peer) } : .leaving
    }

    package func session(_ connection: any PeerChannel) -> PeerSession? {
        state.read { state in state.sessions.first { $0.connection === connection } }
    }

    /// A session is over and nobody works for it any more.
    func remove(_ session: PeerSession) {
        state.withLock { state in
            state.sessions.removeAll { $0 === session }
            state.finished[ObjectIdentifier(session)] = nil
            state.nudges[ObjectIdentifier(session)] = nil
            guard session.isPaired, let device = session.device else { return }
            state.updateReplica(device) { $0.lastSeen = now }
        }
    }

    // MARK: Discovery

    func announcement() -> Announcement {
        let free = (try? home.disk.freeBytes(home.vaultDirectory)) ?? 0
        let spare = max(0, free - configuration.reserveBytes)
        return Announcement(
            id: keys.identity.key.id, port: state.read { $0.listening?.port } ?? 0, role: configuration.role,
            freeBytes: configuration.role == .publisher ? 0 : UInt64(spare),
            name: keys.identity.certificate?.name ?? machineName())
    }

    package func discovered(_ event: DiscoveryEvent) {
        switch event {
        case .available: return
        case .unavailable(let reason):
            return log("nothing is announced or found on the local network: \(reason); known addresses are dialled")
        case .appeared(let peer), .changed(let peer):
            state.withLock { $0.roster.found(peer.id, peer.name, peer.addresses.map(\.peerAddress)) }
        case .gone(let id): state.withLock { $0.roster.lost(id) }
        }
        dialKnown()
    }
}
