internal import BackupFormat
internal import PeerProtocol

/// Keeps dialling whoever a node wants: carries out what the node's own ``DialPlan`` decides, as the shell's dialer does.
final class Dialer: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    private struct Wanted {
        var plan = DialPlan()
        /// The attempt under way at each address.
        var attempts: [PeerAddress: Int] = [:]
        /// Ticks of deadlines that have changed since find another number.
        var deadlines = 0
    }

    private let machine: MachineIndex
    private let network: Network
    private weak var node: (any NetworkNode)?
    private var wanted: [Bytes32: Wanted] = [:]
    private var choices: SplitMix64
    private var attempts = 0

    init(_ machine: MachineIndex, _ network: Network, seed: UInt64) {
        self.machine = machine
        self.network = network
        choices = SplitMix64(seed)
    }

    func begin(_ node: any NetworkNode) { self.node = node }

    func stop() {
        node = nil
        wanted = [:]
    }

    func keep(_ peer: Bytes32, _ addresses: [PeerAddress]) {
        if wanted[peer] == nil { wanted[peer] = Wanted() }
        handle(.candidates(addresses), peer)
        if network.hasSession(machine, peer) { handle(.connected, peer) }
    }

    func forget(_ peer: Bytes32) { wanted[peer] = nil }

    /// The machine was asleep.
    func wake() { for peer in wanted.keys.sorted() { handle(.wake, peer) } }

    /// There is a session with the peer, whoever dialled.
    func connected(_ peer: Bytes32) { handle(.connected, peer) }

    /// There is a session less with the peer.
    func lost(_ peer: Bytes32) { if !network.hasSession(machine, peer) { handle(.lost, peer) } }

    private func handle(_ event: DialPlan.Event, _ peer: Bytes32) {
        guard var found = wanted[peer] else { return }
        let now = Duration.nanoseconds(Int64(network.turns.now))
        let effects = found.plan.handle(event, at: now, using: &choices)
        var begun: [(PeerAddress, Int)] = []
        for effect in effects {
            switch effect {
            case .dial(let address):
                attempts += 1
                found.attempts[address] = attempts
                begun.append((address, attempts))
            case .abandon(let address): found.attempts[address] = nil
            }
        }
        found.deadlines += 1
        let (deadline, number) = (found.plan.deadline, found.deadlines)
        wanted[peer] = found
        for (address, attempt) in begun { dial(address, peer, attempt) }
        // A plan that was told something meanwhile has another deadline, and has set it.
        guard let deadline, wanted[peer]?.deadlines == number else { return }
        let pause = max(0, (deadline - now) / .nanoseconds(1))
        network.turns.after(UInt64(pause), on: machine) { [self] in
            if node != nil, wanted[peer]?.deadlines == number { handle(.tick, peer) }
        }
    }

    private func dial(_ address: PeerAddress, _ peer: Bytes32, _ attempt: Int) {
        guard let node, let there = Machine.index(of: address) else { return ended(address, peer, attempt, .disconnected) }
        network.connect(node, to: there, peer: peer, token: nil) { [self] result in
            // Of one that has come to a session the node is told.
            if case .failure(let error) = result { ended(address, peer, attempt, error.code) }
        }
    }

    private func ended(_ address: PeerAddress, _ peer: Bytes32, _ attempt: Int, _ code: PeerProtocolError.Code) {
        // An attempt that was abandoned has no say in what came after it.
        guard wanted[peer]?.attempts[address] == attempt else { return }
        wanted[peer]?.attempts[address] = nil
        switch code {
        case .otherPeer: handle(.otherPeer(address), peer)
        case .otherVersion, .notThisProtocol, .notWelcome: handle(.refused(address), peer)
        default: handle(.failed(address), peer)
        }
    }
}

extension Machine {
    static func index(of address: PeerAddress) -> MachineIndex? {
        let parts = address.host.split(separator: ".").compactMap { Int($0) }
        guard parts.count == 4, parts[0] == 10 else { return nil }
        return parts[2] * 250 + parts[3] - 1
    }
}
