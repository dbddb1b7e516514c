internal import BackupFormat
internal import BackupNode
internal import Discovery
internal import HostFiles

/// Where nodes are that the local network announces, for a command that looks for peers. What is announced is a hint: who answers there has
/// to prove what it is.
final class LocalSearch: Sendable {
    private struct State {
        var addresses: [DeviceID: [PeerAddress]] = [:]
        /// Those that nobody has taken yet.
        var news: [[PeerAddress]] = []
        var isUnavailable = false
    }

    private static let nodesMax = 256

    private let state = ConditionLock(State())
    private let discovery: Discovery

    /// Begins to listen, to those `wanted` if given, and announces nothing. `log` takes lines for people.
    init(_ own: DeviceID, wanted: Set<DeviceID>? = nil, log: @escaping @Sendable (String) -> Void) {
        let announcement = Announcement(id: own, port: 0, role: .publisher, freeBytes: 0, name: machineName())
        discovery = Discovery(announcement: announcement) { [state] event in
            switch event {
            case .appeared(let peer), .changed(let peer):
                if let wanted, !wanted.contains(peer.id) { return }
                let addresses = peer.addresses.map(\.peerAddress)
                state.withLock { state in
                    guard state.addresses[peer.id] != nil || state.addresses.count < LocalSearch.nodesMax else { return }
                    state.addresses[peer.id] = addresses
                    state.news.append(addresses)
                    state.news = state.news.suffix(LocalSearch.nodesMax)
                }
            case .gone(let id): state.withLock { $0.addresses[id] = nil }
            case .unavailable(let reason):
                log("nothing is looked for on the local network: \(reason)")
                state.withLock { $0.isUnavailable = true }
            case .available: state.withLock { $0.isUnavailable = false }
            }
        }
    }

    deinit { stop() }

    /// Harmless when repeated.
    func stop() { discovery.stop() }

    enum News {
        case found([PeerAddress])
        case nothing
        case unavailable
    }

    /// Waits for news, up to a tenth of a second.
    func next() -> News {
        let news = state.wait(milliseconds: 100) { state -> News? in
            if !state.news.isEmpty { return .found(state.news.removeFirst()) }
            return state.isUnavailable ? .unavailable : nil
        }
        return news ?? .nothing
    }

    /// Where each is that is announced now.
    var found: [DeviceID: [PeerAddress]] { state.read(\.addresses) }
}
