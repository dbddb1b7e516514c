internal import BackupFormat
internal import BackupNode
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import NodeRuntime
internal import PeerProtocol
internal import Peers

/// The sessions of a command that pairs or recovers: it asks, and serves nobody.
final class CommandSessions: TransportEvents {
    private struct State {
        var asked: [(PeerConnection, PeerRequest)] = []
        var isOver = false
    }

    private let state = ConditionLock(State())

    func connected(_ connection: PeerConnection) {}
    func offered(_ connection: PeerConnection, _ offer: Offer) {}
    func disconnected(_ connection: PeerConnection, _ error: PeerProtocolError) {}
    func refused(_ error: PeerProtocolError) {}
    func requested(_ connection: PeerConnection, _ request: PeerRequest) {
        state.withLock { $0.asked.append((connection, request)) }
    }

    /// Runs `body` with a transport that is stopped after it.
    static func during<R>(
        _ key: HandshakeSetup, owner: OwnerID, _ body: (PeerTransport) throws(NodeError) -> R
    ) throws(NodeError) -> R {
        let opened = Opened(key, owner: owner)
        defer { opened.close() }
        return try body(opened.transport)
    }

    /// A transport of a command, until it is closed.
    struct Opened: Sendable {
        let transport: PeerTransport
        private let events: CommandSessions
        private let thread: WorkerThread?

        init(_ key: HandshakeSetup, owner: OwnerID) {
            let events = CommandSessions()
            var acquaintances = Acquaintances(owner: owner)
            acquaintances.servesNobody = true
            let basis = SessionBasis(handshake: key, acquaintances: acquaintances, offer: Offer(role: .publisher))
            self.events = events
            transport = PeerTransport(events: events) { basis }
            thread = WorkerThread(name: "refuse") { events.refuse() }
        }

        func close() {
            events.state.withLock { $0.isOver = true }
            transport.stop()
            thread?.join()
        }
    }

    private func refuse() {
        while true {
            let next = state.wait { state -> (PeerConnection, PeerRequest)?? in
                if state.isOver { return .some(nil) }
                return state.asked.isEmpty ? nil : .some(state.asked.removeFirst())
            }
            guard let (connection, request) = next else { return }
            connection.consumed(creditBytes: request.creditBytes)
            // One that is over wants no answer.
            try? connection.answer(request.id, with: .failed(Failed(.busy, reason: "only a command runs here")))
        }
    }
}

extension CommandSessions {
    /// Whom a command dials for packs that only peers have.
    struct Candidates {
        /// Where each may be.
        let addresses: [[PeerAddress]]
        /// Devices that may keep something for the owner, reachable or not.
        let devices: [DeviceID]
        /// What they are called, and the keys by which they prove to be themselves.
        let names: [DeviceID: String]
        let keys: [DeviceID: Bytes32]

        private static let dialledMax = 32

        init(_ book: PeerBook, _ keys: HomeKeys, _ configuration: Configuration) {
            let known = book.devices.filter { !$0.isBlocked && $0.id != keys.identity.key.id }
            let all =
                known.map { device in device.addresses.compactMap { try? PeerAddress($0) } }
                + configuration.peerAddresses.map { [$0] }
            addresses = Array(all.filter { !$0.isEmpty }.prefix(Candidates.dialledMax))
            // A friend who has left is asked, and not counted on.
            let counted = known.filter { $0.owner == keys.publisher.owner || book.friend($0.owner)?.isPaired == true }
            devices = counted.map(\.id)
            names = Dictionary(counted.map { ($0.id, $0.certificate.shownName) }) { first, _ in first }
            self.keys = Dictionary(counted.map { ($0.id, $0.agreementKey) }) { first, _ in first }
        }

        /// Which of them a peer is; anybody can claim a device's id, and not its key.
        func device(of peer: PeerIdentity) -> DeviceID? {
            guard let device = peer.certificate?.device, keys[device] == peer.agreementKey else { return nil }
            return device
        }

        /// Those of them that may have packs, by the ledger, but for these.
        func holders(besides asked: Set<DeviceID>, _ home: Home) -> [DeviceID] {
            let table = ReplicaTable.read(home.disk, directory: home.ledgerDirectory)
            return devices.filter { device in
                guard !asked.contains(device) else { return false }
                // Of one that is not in the ledger, nothing is known: it may be new, or the ledger.
                guard let known = table.replicas[device] else { return true }
                // A session that broke leaves packs there before any snapshot counts.
                return !known.snapshots.isEmpty || known.packs > 0 || known.usedBytes > 0 || known.grantedBytes > 0
            }
        }
    }

    /// What a node that was just dialled says of the vault of the owner, whose key gives the right to read it; nil if it keeps none. Waits for
    /// half a minute, since it may be anybody, and others wait to be asked.
    static func vault(
        of owner: OwnerKey, at connection: PeerConnection, isStopping: () -> Bool = { false }
    ) throws(PeerProtocolError) -> VaultState? {
        let recover = Recover(owner: owner.id, signature: owner.signRecovery(handshakeHash: connection.handshakeHash))
        guard case .vault(let state) = try connection.request(.recover(recover), within: 30, isStopping: isStopping).answer,
            state.exists
        else {
            return nil
        }
        return state
    }

    /// A session with whoever answers at these addresses, has the key `peer` if one is given, and keeps something for the owner, whose key
    /// gives the right to read it.
    static func holder(
        at addresses: [PeerAddress], peer: Bytes32? = nil, _ owner: OwnerKey, _ transport: PeerTransport
    ) -> PeerConnection? {
        guard let connection = try? transport.connect(to: addresses, peer: peer, token: nil) else { return nil }
        guard (try? vault(of: owner, at: connection)) != nil else {
            connection.close(.leaving)
            return nil
        }
        return connection
    }
}
