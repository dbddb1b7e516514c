internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Ledger
internal import Peers
internal import Placement

extension DaemonCore {
    /// What peers need room for to hold all of this node's backups, in bytes. All sessions ask at once, after each poke: the vault is looked at
    /// once for them.
    var wantedBytes: UInt64 {
        let (pokes, now) = (state.read { $0.pokes }, now)
        if let known = wanted.withLock({ $0 }), known.pokes == pokes,
            !isRepeatDue(every: DaemonCore.wantedSeconds, since: known.seconds, now: now)
        {
            return known.bytes
        }
        let bytes = (service.usage(of: owner)?.usedBytes ?? 0) + UInt64(max(0, elsewhereBytes.load(ordering: .relaxed)))
        wanted.withLock { $0 = (bytes, pokes, now) }
        return bytes
    }

    private static let wantedSeconds: Int64 = 5

    /// What of this node's snapshots is to be brought to the peer; nil for nothing.
    func share(of session: PeerSession) -> PlacedShare? {
        guard let device = session.device, configuration.role != .persister, session.agreement.isPublisherHere else {
            return nil
        }
        let wanted = wantedBytes
        let (candidates, full) = candidates()
        let damaged = Set(state.read { state in candidates.map(\.id).filter { state.replicas[$0].isDamaged } })
        return PlacedShare(
            of: device, wantedBytes: wanted, largest: targets.largest, order: order(of: candidates), full: full,
            damaged: damaged)
    }

    /// All sessions ask for the same, again and again.
    private func order(of candidates: [Candidate]) -> PlacementOrder {
        ordered.withLock { known in
            if let known, known.candidates == candidates { return known.order }
            let order = PlacementOrder(candidates, publisher: keys.identity.key.id)
            known = (candidates, order)
            return order
        }
    }

    private func candidates() -> (candidates: [Candidate], full: Set<DeviceID>) {
        let now = now
        let (devices, sessions, replicas, full) = state.read { state in
            (state.roster.peers, state.sessions, state.replicas, state.full)
        }
        var granted: [DeviceID: UInt64] = [:]
        // Until both have said what they offer, what was agreed before holds.
        for session in sessions where session.isPaired && session.ended == nil && session.isSettled {
            if let device = session.device { granted[device] = session.agreement.storedThere }
        }
        let candidates = devices.compactMap { known -> Candidate? in
            let id = known.certificate.device
            let replica = replicas[id]
            guard let bytes = granted[id] ?? (replica.state(now: now) == .offline ? nil : replica.grantedBytes), bytes > 0 else {
                return nil
            }
            return Candidate(id: id, isOwn: known.certificate.owner == owner, grantedBytes: bytes)
        }
        return (candidates, full)
    }

    /// Takes a device for one session's thread: two sessions with one peer must not bring the same to it twice. Waits until no other
    /// has it; false when the session or the node ends before.
    func claim(_ device: DeviceID, _ session: PeerSession) -> Bool {
        state.wait { state -> Bool? in
            if session.ended != nil || state.isStopping { return false }
            return state.busy.insert(device).inserted ? true : nil
        }
    }

    func release(_ device: DeviceID) { _ = state.withLock { $0.busy.remove(device) } }
}
