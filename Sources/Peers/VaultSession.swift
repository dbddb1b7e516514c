internal import BackupFormat
internal import Cryptography
package import PeerProtocol
internal import Synchronization
internal import Vault

/// One session's requests on the vaults of this node.
///
/// Whom a peer may ask about follows from its certificate and the proof of an owner key in this session, and from nothing it says.
package final class VaultSession: Sendable {
    let shared: ServiceState
    let number: Int
    private let peer: PeerIdentity
    private let trust: Trust
    private let handshakeHash: [UInt8]
    private let state = Mutex(State())
    /// Of the owner that this peer's certificate names, if that counts here.
    private let place: OwnerVault?

    private struct State {
        var isEnded = false
        var answering = 0
        /// Of the owner whose key this peer has shown to hold.
        var recovered: OwnerVault?
        /// Objects that were whole a moment ago: further parts of them, which are on the way already, are not worth another look.
        var durable: [(key: ObjectKey, totalBytes: Int)] = []
    }

    private static let durableMax = 16
    /// Requests that are answered at once.
    package static let answeringMax = 2

    init(_ shared: ServiceState, peer: PeerIdentity, trust: Trust, handshakeHash: [UInt8]) {
        self.shared = shared
        self.peer = peer
        self.trust = trust
        self.handshakeHash = handshakeHash
        number = shared.newSession()
        let isPaired = trust == .own || trust == .friend
        if isPaired, let certificate = peer.certificate, (certificate.owner == shared.own) == (trust == .own) {
            place = shared.place(certificate.owner)
        } else {
            place = nil
        }
        place?.beginSession()
    }

    deinit { end() }

    /// Answers a request; waits for the disk. In the order in which they came, one at a time; but parts of two packs may be answered at
    /// once. Every failure is `.failed`, with a reason for people. `.pair` and `.unpair` are not for this layer, and refused.
    package func answer(_ request: Request, bulk: [UInt8]) -> (answer: Answer, bulk: [UInt8]) {
        let isOpen = state.withLock { state in
            guard !state.isEnded, state.answering < VaultSession.answeringMax else { return false }
            state.answering += 1
            return true
        }
        guard isOpen else { return (.failed(Failed(.busy, reason: "the session is over, or at other requests")), []) }
        defer {
            let isOver = state.withLock { state in
                state.answering -= 1
                return state.isEnded && state.answering == 0
            }
            if isOver { release() }
        }
        do throws(Refusal) { return try carryOut(request, bulk) } catch {
            shared.note(error, "answer a request of \(peer.certificate.map { shownName($0.name) } ?? "a peer")")
            return (.failed(Failed(error.code, reason: error.reason)), [])
        }
    }

    /// The session is over: gives back reservations and memory, keeps what has come of packs for the next session. A request that is
    /// being answered is answered to its end first, to nobody. May be called from any thread, and again.
    package func end() {
        let isMine = state.withLock { state in
            defer { state.isEnded = true }
            return !state.isEnded && state.answering == 0
        }
        if isMine { release() }
    }

    var isEnded: Bool { state.withLock { $0.isEnded } }

    private func release() {
        shared.accounts.withLock { $0.end(session: number) }
        place?.end(session: number)
        state.withLock { $0.recovered }?.end(session: number)
    }

    private func carryOut(_ request: Request, _ bulk: [UInt8]) throws(Refusal) -> (answer: Answer, bulk: [UInt8]) {
        switch request {
        case .pair, .unpair: throw Refusal(.notPermitted, "that is not for vaults to answer")
        case .recover(let recover): return (.vault(try self.recover(recover)), [])
        case .vault: return (.vault(try vaultState(try reader())), [])
        case .have(let have): return (.missing(try reader().place.missing(have)), [])
        case .get(let get): return try reader().get(get)
        case .list(let list): return (.listing(try reader().place.list(list)), [])
        case .put(let put): return (.stored(try self.put(put, bulk)), [])
        case .commit(let commit):
            let (place, quotaBytes) = try writer()
            return (.outcome(try place.commit(commit, session: number, quotaBytes: quotaBytes)), [])
        case .reserve(let reserve):
            let (place, quotaBytes) = try writer()
            let bytes = try place.reserve(reserve.bytes, session: number, quotaBytes: quotaBytes)
            return (.reserved(Reserved(bytes: UInt64(bytes))), [])
        case .forget:
            // Who brings the order does not matter: its signature says who may.
            return (.forgotten(Forgotten(count: try paired().place.forget(bulk))), [])
        case .sweep:
            let (place, certificate) = try paired()
            guard trust == .own || certificate.permissions.contains(.forget) else { throw lacking("forget") }
            return (.swept(try place.sweepForPeer()), [])
        case .audit(let audit):
            // What turns out not to be whole is taken anew.
            let keys = Set(audit.packs.map { ObjectKey(kind: .pack, id: ObjectID($0.value)) })
            state.withLock { state in state.durable.removeAll { keys.contains($0.key) } }
            return (.samples, try paired().place.samples(audit, isEnded: { isEnded }))
        }
    }

    // MARK: Who may what

    private func lacking(_ permission: String) -> Refusal {
        Refusal(.notPermitted, "the certificate of this device lacks the permission `\(permission)`")
    }

    /// The vault of the owner that certified the peer, while that owner is known here.
    private func paired() throws(Refusal) -> (place: OwnerVault, certificate: Certificate) {
        guard let place, let certificate = peer.certificate else { throw Refusal(.notPermitted, "this node does not know you") }
        guard shared.policy(place.owner) != nil else {
            throw Refusal(.notPermitted, "this node does not know your owner any more")
        }
        return (place, certificate)
    }

    private func writer() throws(Refusal) -> (place: OwnerVault, quotaBytes: UInt64) {
        let (place, certificate) = try paired()
        guard certificate.permissions.contains(.backup) else { throw lacking("backup") }
        guard let policy = shared.policy(place.owner), policy.mayStore else {
            throw Refusal(.notPermitted, "this node stores nothing more for you now")
        }
        return (place, policy.quotaBytes)
    }

    /// The vault that is asked about, and what of it the peer may be given.
    private func reader() throws(Refusal) -> VaultReader {
        if let place = state.withLock({ $0.recovered }) { return VaultReader(place: place, access: .everything) }
        let (place, certificate) = try paired()
        let mayRestore = certificate.permissions.contains(.restore)
        return VaultReader(place: place, access: mayRestore ? .everything : .ownRecords(certificate.device))
    }

    private func recover(_ recover: Recover) throws(Refusal) -> VaultState {
        do throws(CryptographyError) {
            try verifyRecovery(recover.signature, handshakeHash: handshakeHash, owner: recover.owner)
        } catch {
            throw Refusal(.notPermitted, "the owner key did not sign this session")
        }
        guard let place = try shared.existing(recover.owner) else { return VaultState(exists: false) }
        let found = try vaultState(VaultReader(place: place, access: .everything))
        place.beginSession()
        let earlier = state.withLock { state in
            defer { state.recovered = place }
            return state.recovered
        }
        earlier?.end(session: number)
        return found
    }

    private func vaultState(_ reader: VaultReader) throws(Refusal) -> VaultState {
        guard let totals = try reader.place.totals() else { return VaultState(exists: false) }
        return VaultState(
            exists: true, generation: totals.generation, packs: totals.packs, snapshots: totals.snapshots,
            usedBytes: totals.usedBytes, quotaBytes: shared.policy(reader.place.owner)?.quotaBytes ?? 0)
    }

    private func put(_ put: Put, _ bulk: [UInt8]) throws(Refusal) -> Stored {
        let (place, quotaBytes) = try writer()
        let key = ObjectKey(kind: put.kind, id: put.id)
        let isKnown = state.withLock { state in state.durable.contains { $0.key == key && $0.totalBytes == put.totalBytes } }
        if isKnown, let stored = try place.stillStored(put) { return stored }
        let stored = try place.put(put, bulk, session: number, quotaBytes: quotaBytes)
        if stored.isDurable {
            state.withLock { state in
                state.durable.removeAll { $0.key == key }
                if state.durable.count >= VaultSession.durableMax { state.durable.removeFirst() }
                state.durable.append((key, put.totalBytes))
            }
        }
        return stored
    }
}
