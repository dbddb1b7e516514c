package import BackupFormat

/// One answer's place: a service as it is seen through one interface and one protocol.
package struct ServiceKey: Hashable, Sendable {
    package let interface: Int32
    package let addressFamily: Int32
    /// As the daemon gave them, so that it is asked for the same; not necessarily text.
    package let name: [UInt8]
    package let domain: [UInt8]

    package init(interface: Int32, addressFamily: Int32, name: [UInt8], domain: [UInt8]) {
        self.interface = interface
        self.addressFamily = addressFamily
        self.name = name
        self.domain = domain
    }
}

/// Folds what the daemon says, a service at a time, into a set of nodes with their addresses.
///
/// A value without I/O. A network may announce any number of names: at most ``DiscoveryLimits/answersMax`` are kept, each with a few
/// hundred bytes; what there is no room for is asked for again later. A name that means nothing is watched on while there is room: the
/// daemon does not tell when it passes from one node to another, as this node's own does after a collision.
package struct PeerSet: Sendable {
    /// What the daemon said.
    package enum Input: Sendable, Hashable {
        case found(ServiceKey)
        case lost(ServiceKey)
        /// It is not known where the service is, or no longer.
        case unresolved(ServiceKey)
        case resolved(ServiceKey, address: [UInt8], port: UInt16, text: [[UInt8]])
        /// The daemon is not there any more, and nothing that it said is known to hold.
        case daemonLost
    }

    package enum Effect: Sendable, Hashable {
        /// Find out where the service is, and watch it for changes.
        case resolve(ServiceKey)
        /// Watch it no longer.
        case release(ServiceKey)
        case report(DiscoveryEvent)
        /// Some names were passed over: ask for all of them again, later.
        case browseAgain
    }

    private enum State {
        case unresolved
        /// This node's own, malformed, or of no use.
        case void
        case of(Answer)

        var answer: Answer? { if case .of(let answer) = self { answer } else { nil } }
        var isVoid: Bool { if case .void = self { true } else { false } }
    }

    private struct Answer {
        let hints: PeerHints
        let address: ServiceAddress
        /// When it came, as a count: of answers that disagree, the latest counts.
        let order: UInt64
    }

    private struct Peer {
        /// Of its answers, as they came.
        var keys: [ServiceKey]
        var shown: DiscoveredPeer
    }

    private let ownID: DeviceID
    /// Every name that is watched.
    private var answers: [ServiceKey: State] = [:]
    /// Those that are void, the oldest first.
    private var voids: [ServiceKey] = []
    private var members: [DeviceID: Peer] = [:]
    private var order: UInt64 = 0

    /// `ownID` is passed over, whoever announces it.
    package init(ownID: DeviceID) { self.ownID = ownID }

    /// The nodes that have appeared, by id.
    package var peers: [DiscoveredPeer] { members.values.map(\.shown).sorted { $0.id < $1.id } }
    /// How many names are watched.
    package var answersCount: Int { answers.count }

    package mutating func handle(_ input: Input) -> [Effect] {
        switch input {
        case .found(let key): return find(key)
        case .lost(let key): return drop(key)
        case .unresolved(let key):
            let effects = drop(key)
            return effects.isEmpty ? [] : effects + [.browseAgain]
        case .resolved(let key, let address, let port, let text):
            guard answers[key] != nil else { return [] }
            guard let hints = PeerHints(text: text), hints.id != ownID,
                let address = ServiceAddress(bytes: address, port: port, interface: UInt32(exactly: key.interface) ?? 0)
            else { return void(key) }
            return take(key, hints, address)
        case .daemonLost:
            let gone = members.keys.sorted()
            answers = [:]
            voids = []
            members = [:]
            return gone.map { .report(.gone($0)) }
        }
    }

    private mutating func find(_ key: ServiceKey) -> [Effect] {
        guard answers[key] == nil else { return [] }
        var effects: [Effect] = []
        if answers.count >= DiscoveryLimits.answersMax {
            effects = [.browseAgain]
            guard let oldest = voids.first else { return effects }
            effects += drop(oldest)
        }
        answers[key] = .unresolved
        return effects + [.resolve(key)]
    }

    private mutating func drop(_ key: ServiceKey) -> [Effect] {
        guard let state = answers.removeValue(forKey: key) else { return [] }
        if state.isVoid { voids.removeAll { $0 == key } }
        return [.release(key)] + (state.answer.map { leave(key, $0.hints.id) } ?? [])
    }

    /// Watches a name on that says nothing of another node.
    private mutating func void(_ key: ServiceKey) -> [Effect] {
        let former = answers[key]
        if former?.isVoid == true { return [] }
        answers[key] = .void
        voids.append(key)
        return former?.answer.map { leave(key, $0.hints.id) } ?? []
    }

    private mutating func take(_ key: ServiceKey, _ hints: PeerHints, _ address: ServiceAddress) -> [Effect] {
        let former = answers[key]?.answer?.hints.id
        let keys = members[hints.id]?.keys
        let hasRoom = keys.map { $0.count < DiscoveryLimits.answersPerPeerMax } ?? (members.count < DiscoveryLimits.peersMax)
        guard former == hints.id || hasRoom else { return drop(key) + [.browseAgain] }
        if answers[key]?.isVoid == true { voids.removeAll { $0 == key } }
        order += 1
        answers[key] = .of(Answer(hints: hints, address: address, order: order))
        if former == hints.id { return refresh(hints.id) }
        let left = former.map { leave(key, $0) } ?? []
        if let keys {
            members[hints.id]?.keys = keys + [key]
            return left + refresh(hints.id)
        }
        guard let peer = merged([key], hints.id) else { return left }
        members[hints.id] = Peer(keys: [key], shown: peer)
        return left + [.report(.appeared(peer))]
    }

    /// Takes an answer from a node, and the node from the set with its last one.
    private mutating func leave(_ key: ServiceKey, _ id: DeviceID) -> [Effect] {
        members[id]?.keys.removeAll { $0 == key }
        guard members[id]?.keys.isEmpty == true else { return refresh(id) }
        members[id] = nil
        return [.report(.gone(id))]
    }

    /// Reports a node if it differs from what was shown of it.
    private mutating func refresh(_ id: DeviceID) -> [Effect] {
        guard let member = members[id], let peer = merged(member.keys, id), peer != member.shown else { return [] }
        members[id]?.shown = peer
        return [.report(.changed(peer))]
    }

    private func merged(_ keys: [ServiceKey], _ id: DeviceID) -> DiscoveredPeer? {
        let found = keys.compactMap { key in answers[key]?.answer.map { (key, $0) } }
        guard let (key, latest) = found.max(by: { $0.1.order < $1.1.order }) else { return nil }
        return DiscoveredPeer(
            id: id, name: readableName(key.name), protocolVersion: latest.hints.protocolVersion, role: latest.hints.role,
            freeBytes: latest.hints.freeBytes, addresses: Set(found.map { $0.1.address }).sorted())
    }
}
