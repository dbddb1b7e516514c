package import BackupFormat
internal import BackupNode
internal import HostFiles
package import PeerProtocol
package import Peers
package import Placement
internal import Synchronization

/// A session with a peer: its requests are answered in order, by threads of their own; what it keeps for this node is brought to it by
/// another.
package final class PeerSession: Sendable {
    package let connection: any PeerChannel
    private let core: DaemonCore
    private let vaultSession: VaultSession
    let state: ConditionLock<State>

    struct State {
        var requests = RequestLine()
        var end: PeerProtocolError?
        /// What each side said last of itself to the other.
        var mine: Offer?
        var theirs: Offer
        /// The peer has made its offer to this node; what came with its hello was for anyone.
        var hasOffered = false
        var announcements = AnnouncementBudget()
        /// When this node's offer was said last, in nanoseconds of the monotonic clock.
        var announcedAt: UInt64 = 0
        /// It was said that there is no room here, or there.
        var lacked = (here: false, there: false)
        /// Threads that work for the session.
        var threads = 0

        var agreement: Agreement {
            mine.map { negotiate(mine: $0, theirs: theirs) } ?? Agreement(storedHere: 0, storedThere: 0)
        }
    }

    package init(_ connection: any PeerChannel, _ core: DaemonCore) {
        self.connection = connection
        self.core = core
        vaultSession = core.service.session(
            peer: connection.peer, trust: connection.trust, handshakeHash: connection.handshakeHash)
        state = ConditionLock(State(theirs: connection.hello.offer))
    }

    var isPaired: Bool { connection.trust == .own || connection.trust == .friend }
    var device: DeviceID? { connection.peer.certificate?.device }
    var name: String { connection.peer.certificate?.shownName ?? "a node without a name" }
    var ended: PeerProtocolError? { state.read { $0.end } }

    /// What both have agreed on, by what each said last.
    package var agreement: Agreement { state.read { $0.agreement } }

    /// Whether both have said what they offer each other.
    var isSettled: Bool { state.read { $0.mine != nil && $0.hasOffered } }

    var theirOffer: Offer { state.read { $0.theirs } }

    package func begin() {
        core.add(self)
        var isServed = start("serve") { $0.serve() }
        if isPaired, isServed {
            core.log("connected with \(name) (\(connection.trust == .own ? "own device" : "friend"))")
            // Another thread takes the next pack while one goes to the disk.
            isServed = start("serve") { $0.serve() } && start("replicate") { Replicator($0, $0.core).run() }
            core.offersChanged(self)
        }
        if !isServed { connection.close(.busy) }
    }

    private func start(_ name: String, _ body: @escaping @Sendable (PeerSession) -> Void) -> Bool {
        state.withLock { $0.threads += 1 }
        let thread = WorkerThread(name: name) { [self] in
            body(self)
            leave()
        }
        if thread == nil { leave() }
        return thread != nil
    }

    /// One thread fewer; the last one closes up.
    private func leave() {
        let isLast = state.withLock { state in
            state.threads -= 1
            return state.threads == 0
        }
        guard isLast else { return }
        vaultSession.end()
        if let end = ended, end.isByPeer, end.code == .unpaired, connection.trust == .friend { theyLeft() }
        core.remove(self)
    }

    /// The friend has ended the agreement.
    private func theyLeft() {
        guard let owner = connection.peer.certificate?.owner else { return }
        let now = core.now
        do throws(PeerBookError) {
            _ = try core.changeBook { book throws(PeerBookError) in book.unpair(owner, now: now) }
        } catch { core.log("\(error)") }
    }

    // MARK: From the event loop

    package func take(_ request: PeerRequest) { state.withLock { $0.requests.add(request) } }

    package func take(_ offer: Offer) {
        // Only whoever believes in an agreement sends offers: tell those who were away when it was ended.
        if !isPaired, core.state.read({ $0.roster.hasLeft(connection.peer) }) { return connection.close(.unpaired) }
        let isNews = state.withLock { state in
            let before = state.agreement
            state.theirs = offer
            defer { state.hasOffered = true }
            return state.agreement != before || !state.hasOffered
        }
        // An offer that changes nothing is no reason to look through everything.
        if isNews { core.offersChanged(self) }
    }

    package func end(_ error: PeerProtocolError) {
        let isFirst = state.withLock { state in
            defer { state.end = state.end ?? error }
            return state.end == nil
        }
        // It keeps nothing for this node any more: another takes its place, though it may go on coming by.
        if isFirst, isPaired, error.isByPeer, [.notWelcome, .unpaired].contains(error.code), let device {
            core.updateReplica(device) { $0.grantedBytes = 0 }
            core.poke()
        }
        core.wake()
        if isFirst, isPaired { core.log("the session with \(name) ended: \(error)") }
    }

    /// Says once when a disk, here or there, has no room for what the other wants to place: else nobody knew why nothing is kept.
    func tellOfRoom() {
        let (here, there) = state.withLock { state -> (Bool, Bool) in
            guard isPaired, state.hasOffered, let mine = state.mine else { return (false, false) }
            let before = state.lacked
            state.lacked = (lacksRoom(by: mine, for: state.theirs), lacksRoom(by: state.theirs, for: mine))
            return (state.lacked.here && !before.here, state.lacked.there && !before.there)
        }
        let least = describeBytes(Int(GrantLimits.beginBytes))
        if here { core.log("nothing more is kept for \(name): beyond `reserve`, less than \(least) are free here") }
        if there {
            core.log("\(name) keeps nothing more for this node: beyond what it reserves, less than \(least) are free there")
        }
    }

    // MARK: Answering

    /// Puts a device of which the book knows nothing, or has an older certificate, into the book: whoever has a session is a peer.
    private func introduce() {
        guard isPaired, let certificate = connection.peer.certificate,
            core.state.read({ $0.roster.isWelcome(connection.peer) })
        else { return }
        let known = core.state.read { $0.roster.book.device(certificate.device, of: certificate.owner)?.certificate }
        guard known.map({ $0.serial < certificate.serial }) ?? true else { return }
        let now = core.now
        do throws(PeerBookError) {
            _ = try core.changeBook { book throws(PeerBookError) in book.saw(certificate, at: [], now: now) }
            core.updateReplica(certificate.device) { $0.lastSeen = now }
        } catch { core.log("\(error)") }
    }

    private func serve() {
        introduce()
        while let request = next() {
            connection.consumed(creditBytes: request.creditBytes)
            let (answer, bulk) = answer(request)
            state.withLock { $0.requests.done(request) }
            do { try connection.answer(request.id, with: answer, bulk: bulk[...]) } catch { return }
            switch answer {
            case .paired: connection.close(.paired)
            case .unpaired: connection.close(.unpaired)
            default: break
            }
        }
    }

    private func next() -> PeerRequest? {
        state.wait { state -> PeerRequest?? in
            if state.end != nil { return .some(nil) }
            return state.requests.next().map { .some($0) }
        }
    }

    private func answer(_ request: PeerRequest) -> (Answer, [UInt8]) {
        switch request.request {
        case .pair(let pair):
            guard let token = connection.invitationToken else { return (.failed(Failed(.notPermitted)), []) }
            let (identity, keys, now) = (connection.peer, core.inviterKeys, core.now)
            do throws(PeerBookError) {
                let paired = try core.changeBook { book throws(PeerBookError) in
                    try book.admit(pair, from: identity, token: token, keys: keys, now: now)
                }
                core.log("paired with \(identity.certificate?.shownName ?? shownName(pair.name))")
                return (.paired(paired), [])
            } catch { return (.failed(Failed(.notPermitted, reason: "\(error)")), []) }
        case .unpair:
            guard let owner = connection.peer.certificate?.owner, connection.trust == .friend else {
                return (.failed(Failed(.notPermitted, reason: "own devices are not unpaired; block one instead")), [])
            }
            let now = core.now
            do throws(PeerBookError) {
                _ = try core.changeBook { book throws(PeerBookError) in book.unpair(owner, now: now) }
                core.log("\(name) has ended the agreement")
                return (.unpaired, [])
            } catch { return (.failed(Failed(.internalError, reason: "\(error)")), []) }
        default: return vaultSession.answer(request.request, bulk: request.bulk)
        }
    }

    // MARK: Offers

    /// What nothing hangs on, such as how much is in use, is said again after so long: while packs come it changes with each of them.
    private static let smallNewsNanoseconds: UInt64 = 30_000_000_000

    /// Tells the peer what this node offers and wants, if that has changed; again until both sides' words agree. `usage` is what is kept here
    /// for the peer's owner.
    package func renewOffer(freeBytes: UInt64, wantedBytes: UInt64, usage: VaultTotals?) {
        guard isPaired, let owner = connection.peer.certificate?.owner else { return }
        let quota: UInt64
        switch connection.trust {
        case .own: quota = core.configuration.localCopyBytes == nil ? .max : 0
        default: quota = core.state.read { $0.roster.book.friend(owner)?.quotaBytes } ?? 0
        }
        let role = core.configuration.role
        var offer = Offer(
            role: role, free: freeBytes, reserve: UInt64(core.configuration.reserveBytes), quota: quota,
            used: usage?.usedBytes ?? 0, wanted: role == .persister ? 0 : wantedBytes, generation: usage?.generation ?? 0)
        let now = monotonicNanoseconds()
        let (isChanged, isNews) = state.withLock { state in
            let before = state.mine.map { _ in state.agreement }
            offer.granted = state.mine?.granted ?? 0
            // Granting what follows may lead to what follows from that: it settles in two steps.
            for _ in 0..<2 { offer.granted = negotiate(mine: offer, theirs: state.theirs).storedHere }
            // What must wait is found changed again the next time.
            guard state.mine != offer else { return (false, false) }
            if let mine = state.mine, mine.saysNearly(the: offer), negotiate(mine: offer, theirs: state.theirs) == before,
                now - state.announcedAt < PeerSession.smallNewsNanoseconds
            {
                return (false, false)
            }
            guard state.announcements.take(at: now) else { return (false, false) }
            state.mine = offer
            state.announcedAt = now
            return (true, state.agreement != before)
        }
        guard isChanged else { return }
        connection.announce(offer)
        // What is kept here for others grows with each pack that comes: as long as both agree on the same, that is no reason to look
        // through everything.
        if isNews { core.offersChanged(self) }
    }
}

extension Offer {
    /// Whether the other differs in what is free, in use and wanted alone, and wants something as this one does or does not.
    fileprivate func saysNearly(the other: Offer) -> Bool {
        guard (wanted == 0) == (other.wanted == 0) else { return false }
        var other = other
        (other.free, other.used, other.wanted) = (free, used, wanted)
        return self == other
    }
}

/// How often a node may say again what it offers: while packs pour in, that changes with each of them, and a peer ends a session with
/// more than ``Limits/noticesMax`` notices at once and one a second.
package struct AnnouncementBudget: Sendable {
    private var left = AnnouncementBudget.atOnce
    private var countedAt: UInt64 = 0

    package static let atOnce = Limits.noticesMax / 4
    /// Half of what the peer puts up with: pings count too.
    package static let secondsBetween: UInt64 = 2

    package init() {}

    /// Whether it may be said now. `now` is nanoseconds of the monotonic clock.
    package mutating func take(at now: UInt64) -> Bool {
        let step = AnnouncementBudget.secondsBetween * 1_000_000_000
        let steps = now >= countedAt ? (now - countedAt) / step : 0
        if steps > 0 {
            left =
                steps >= UInt64(AnnouncementBudget.atOnce)
                ? AnnouncementBudget.atOnce : min(AnnouncementBudget.atOnce, left + Int(steps))
            countedAt = now
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
