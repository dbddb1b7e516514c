internal import BackupFormat
internal import PeerProtocol

/// Keeps dialling whoever a node wants, as the shell's dialer does.
final class Dialer: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    private struct Wanted {
        var machine: MachineIndex
        var failures = 0
        /// How often in a row another node has answered there.
        var strangers = 0
        /// Attempts that were superseded find another number.
        var attempt = 0
    }

    private let machine: MachineIndex
    private let network: Network
    private weak var node: (any NetworkNode)?
    private var wanted: [Bytes32: Wanted] = [:]
    private var choices: SplitMix64

    private static let pauseMax: UInt64 = 300_000_000_000
    private static let refusedBase: UInt64 = 1_000_000_000
    private static let strangerBase: UInt64 = 60_000_000_000
    private static let strangerMax: UInt64 = 3600_000_000_000

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
        guard wanted[peer] == nil, let there = addresses.lazy.compactMap({ Machine.index(of: $0) }).first else { return }
        wanted[peer] = Wanted(machine: there)
        dial(peer, after: UInt64(choices.below(1000)) * 1_000_000)
    }

    func forget(_ peer: Bytes32) { wanted[peer] = nil }

    /// The machine was asleep: what failed before may work now.
    func wake() {
        for peer in wanted.keys.sorted() {
            wanted[peer]?.failures = 0
            wanted[peer]?.strangers = 0
            dial(peer, after: UInt64(choices.within(100...2000)) * 1_000_000)
        }
    }

    /// There is a session less with the peer.
    func lost(_ peer: Bytes32) { dial(peer, after: UInt64(choices.within(100...2000)) * 1_000_000) }

    private func dial(_ peer: Bytes32, after nanoseconds: UInt64) {
        wanted[peer]?.attempt += 1
        guard let attempt = wanted[peer]?.attempt else { return }
        network.turns.after(nanoseconds, on: machine) { [self] in
            guard let node, let found = wanted[peer], found.attempt == attempt else { return }
            // Two may dial each other at one moment: then there are two sessions.
            if network.hasConnection(machine, found.machine) { return }
            network.connect(node, to: found.machine, peer: peer, token: nil) { [self] result in
                switch result {
                case .success:
                    wanted[peer]?.failures = 0
                    wanted[peer]?.strangers = 0
                case .failure(let error) where [.otherPeer, .otherVersion, .notThisProtocol, .notWelcome].contains(error.code):
                    let base = error.code == .notWelcome ? Dialer.refusedBase : Dialer.strangerBase
                    let longest = min(Dialer.strangerMax, base << UInt64(min(found.strangers, 16)))
                    wanted[peer]?.strangers += 1
                    dial(peer, after: longest / 2 + choices.next() % (longest / 2))
                case .failure:
                    wanted[peer]?.failures += 1
                    let longest = min(Dialer.pauseMax, 1_000_000_000 << UInt64(min(found.failures, 9)))
                    dial(peer, after: max(100_000_000, longest / 2 + choices.next() % (longest / 2)))
                }
            }
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
