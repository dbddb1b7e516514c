internal import BackupFormat
internal import HostFiles
internal import PeerProtocol

/// All connections of a transport, under one lock: carries out what ``Admission`` decides.
final class ConnectionTable: Sendable {
    private struct State {
        var admission: Admission
        var drivers: [ConnectionID: SessionDriver] = [:]
        var dialers: [Bytes32: PeerDialer] = [:]
        var peers: [ConnectionID: Bytes32] = [:]
        var lastNumber: UInt64 = 0
        var isStopping = false
    }

    private let state: ConditionLock<State>
    /// This node's agreement key, for who decides between two sessions.
    private let ownKey: Bytes32

    init(bounds: TransportBounds, ownKey: Bytes32) {
        self.ownKey = ownKey
        state = ConditionLock(
            State(
                admission: Admission(
                    pairedMax: bounds.pairedMax, unknownMax: bounds.unknownMax,
                    unknownPerSourceMax: bounds.unknownPerSourceMax)))
    }

    var unknownCount: Int { state.read { $0.admission.unknownCount } }
    var openCount: Int { state.read { $0.drivers.count } }

    func makeID() -> ConnectionID {
        state.withLock { state in
            state.lastNumber += 1
            return ConnectionID(number: state.lastNumber)
        }
    }

    /// A connection begins; `source` is nil for one that this node dials. False when the transport is stopping.
    func opened(_ driver: SessionDriver, from source: ConnectionSource?) -> Bool {
        let (isOpen, evicted) = state.withLock { state -> (Bool, SessionDriver?) in
            guard !state.isStopping else { return (false, nil) }
            state.drivers[driver.id] = driver
            guard let source, let oldest = state.admission.arrived(driver.id, from: source) else { return (true, nil) }
            return (true, state.drivers[oldest])
        }
        evicted?.end(.busy, "")
        return isOpen
    }

    /// A session has become ready with a paired peer. False when there are too many.
    func becamePaired(_ id: ConnectionID, peer: Bytes32) -> Bool {
        let (isAdmitted, duplicate) = state.withLock { state -> (Bool, SessionDriver?) in
            switch state.admission.becamePaired(id, peer: peer, decides: ownKey < peer) {
            case .busy: return (false, nil)
            case .admitted(let duplicate):
                state.peers[id] = peer
                // Under the lock, so that the dialer hears of everything in the order in which it happened.
                state.dialers[peer]?.connected()
                return (true, duplicate.flatMap { state.drivers[$0] })
            }
        }
        duplicate?.end(.duplicate, "")
        return isAdmitted
    }

    /// A session is over; its channel may still be open.
    func ended(_ id: ConnectionID) {
        state.withLock { state in
            state.admission.left(id)
            guard let peer = state.peers.removeValue(forKey: id), state.admission.current(peer) == nil else { return }
            state.dialers[peer]?.lost()
        }
    }

    /// A channel is closed.
    func closed(_ id: ConnectionID) { _ = state.withLock { $0.drivers.removeValue(forKey: id) } }

    // MARK: Dialers

    /// Adds a dialer, or answers the one that is there. Nil when the transport is stopping.
    func dialer(for peer: Bytes32, make: () -> PeerDialer) -> PeerDialer? {
        state.withLock { state in
            guard !state.isStopping else { return nil }
            if let dialer = state.dialers[peer] { return dialer }
            let dialer = make()
            state.dialers[peer] = dialer
            if state.admission.current(peer) != nil { dialer.connected() }
            return dialer
        }
    }

    func removeDialer(_ peer: Bytes32) -> PeerDialer? { state.withLock { $0.dialers.removeValue(forKey: peer) } }

    var allDialers: [PeerDialer] { state.read { Array($0.dialers.values) } }
    var allDrivers: [SessionDriver] { state.read { Array($0.drivers.values) } }

    // MARK: Stopping

    /// Takes no more connections; answers what is to be ended.
    func stop() -> (drivers: [SessionDriver], dialers: [PeerDialer]) {
        state.withLock { state in
            state.isStopping = true
            defer { state.dialers = [:] }
            return (Array(state.drivers.values), Array(state.dialers.values))
        }
    }

    /// Waits until every channel is closed; false when `milliseconds` have passed before.
    func waitUntilEmpty(milliseconds: Int) -> Bool {
        state.wait(milliseconds: milliseconds) { $0.drivers.isEmpty ? true : nil } ?? false
    }
}
