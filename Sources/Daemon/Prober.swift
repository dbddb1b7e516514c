internal import BackupFormat
internal import NodeRuntime
internal import PeerProtocol
internal import Peers

/// Finds out who is behind an address of which only that is known: one that the user named, or that the network announces. Whoever turns
/// out to be an own device or a friend's goes into the book, and is dialled by name from then on. Nobody gets anything by being probed but
/// what the handshake shows to everyone.
final class Prober: Sendable {
    private let core: DaemonCore
    private let transport: PeerTransport
    private let configured: [PeerAddress]

    private static let firstPauseSeconds: Int64 = 2
    private static let pauseSecondsMax: Int64 = 300
    /// Strangers are asked again after that: they may have become friends.
    private static let strangerSeconds: Int64 = 3600
    /// Strangers remembered; more are asked more often.
    private static let strangersMax = 512
    /// Each that does not answer takes seconds.
    private static let addressesMax = 4

    init(_ core: DaemonCore, _ transport: PeerTransport, configured: [PeerAddress]) {
        self.core = core
        self.transport = transport
        self.configured = configured
    }

    private enum Finding {
        case known(Bytes32)
        case stranger
        case nobody(String)
    }

    private struct Attempt {
        var due: Int64
        var pause: Int64
        var said: String?
    }

    /// Goes on with the addresses that the user named, until the node stops.
    func probeNamed() {
        var addresses = Dictionary(
            configured.map { ($0, Attempt(due: 0, pause: Prober.firstPauseSeconds)) }, uniquingKeysWith: { first, _ in first })
        while !core.isStopping, !addresses.isEmpty {
            for (address, attempt) in addresses where attempt.due <= core.now && !core.isStopping {
                addresses[address] = probe(address, attempt)
            }
            core.rest(milliseconds: 500)
        }
    }

    /// The same for nodes that the network announces. Anybody may announce many that do not answer: nothing else waits for this.
    func probeAnnounced() {
        var strangers: [DeviceID: (addresses: [PeerAddress], due: Int64, friends: [Friend])] = [:]
        while !core.isStopping {
            let (unknown, book) = core.state.read { ($0.roster.unknown, $0.roster.book) }
            if strangers.count > Prober.strangersMax { strangers = [:] }
            for node in unknown where !core.isStopping {
                let addresses = Array(node.addresses.prefix(Prober.addressesMax))
                // Asked before, at these addresses, by who had the same friends.
                if let last = strangers[node.id], last.addresses == addresses, last.due > core.now, last.friends == book.friends {
                    continue
                }
                _ = ask(addresses)
                strangers[node.id] = (addresses, core.now + Prober.strangerSeconds, book.friends)
            }
            core.rest(milliseconds: 500)
        }
    }

    /// Nil when it is known who is there: the dialer does the rest.
    private func probe(_ address: PeerAddress, _ attempt: Attempt) -> Attempt? {
        var next = attempt
        let reason: String
        switch ask([address]) {
        case .known: return nil
        case .stranger: reason = "the node there is neither this owner's nor a friend's; pair by invite and join"
        case .nobody(let text): reason = text
        }
        if attempt.said != reason {
            core.log("\(address): \(reason)")
            next.said = reason
        }
        next.due = core.now + attempt.pause
        next.pause = min(attempt.pause * 2, Prober.pauseSecondsMax)
        return next
    }

    private func ask(_ addresses: [PeerAddress]) -> Finding {
        let connection: PeerConnection
        do throws(PeerProtocolError) { connection = try transport.connect(to: addresses, peer: nil, token: nil) } catch {
            return .nobody(error.description)
        }
        guard connection.trust == .own || connection.trust == .friend, let certificate = connection.peer.certificate else {
            connection.close(.leaving)
            return .stranger
        }
        let now = core.now
        do throws(PeerBookError) {
            try core.changeBook { book throws(PeerBookError) in
                _ = book.saw(certificate, at: addresses.map(\.description), now: now)
            }
        } catch { core.log("\(error)") }
        return .known(connection.peer.agreementKey)
    }
}
