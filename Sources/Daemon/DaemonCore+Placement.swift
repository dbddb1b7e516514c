internal import BackupFormat
internal import BackupNode
internal import Ledger
internal import Peers
internal import Placement

extension DaemonCore {
    /// Whether this node's snapshots are to be brought to the peer.
    func keepsForThisNode(_ session: PeerSession) -> Bool {
        guard let device = session.device, configuration.role != .persister, session.agreement.isPublisherHere else {
            return false
        }
        return placement().contains(device)
    }

    /// The peers that are to hold this node's snapshots, best first.
    ///
    /// Whoever can hold them all comes first; with too few of those, others hold the oldest ones. A peer that is away keeps its place
    /// for the grace time. One that has lost something, and does not mend it, keeps its place too, and another takes over beside it.
    func placement() -> [DeviceID] {
        let wanted = wantedBytes
        let (candidates, full) = candidates()
        let able = candidates.filter { $0.grantedBytes >= wanted && !full.contains($0.id) }
        let publisher = keys.identity.key.id
        let damaged = Set(state.withLock { state in able.map(\.id).filter { state.replicas[$0].isDamaged } })
        let first = keepers(
            publisher: publisher, wantedBytes: wanted, replicas: configuration.replicas, able: able, damaged: damaged)
        let missing = configuration.replicas - first.count { !damaged.contains($0) }
        let rest = candidates.filter { !able.contains($0) }
        guard missing > 0, !rest.isEmpty else { return first }
        return first
            + placementSet(publisher: publisher, wantedBytes: wanted, replicas: missing, candidates: rest).prefix(missing)
    }

    private func candidates() -> (candidates: [Candidate], full: Set<DeviceID>) {
        let now = now
        let (devices, sessions, replicas, full) = state.withLock { state in
            (state.roster.peers, state.sessions, state.replicas, state.full)
        }
        var granted: [DeviceID: UInt64] = [:]
        for session in sessions where session.isPaired && session.ended == nil {
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

    /// Takes a device for one session's thread: two sessions with one peer must not bring the same to it twice.
    func claim(_ device: DeviceID, _ session: PeerSession) -> Bool {
        state.withLock { state in
            guard session.ended == nil, !state.isStopping else { return false }
            return state.busy.insert(device).inserted
        }
    }

    func release(_ device: DeviceID) { _ = state.withLock { $0.busy.remove(device) } }
}
