internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Replication

extension DaemonCore {
    /// To all paired peers whose sessions stand.
    var links: [any PeerLink] { state.read { $0.standing.map(\.connection) } }

    /// Gives packs that only peers have, from any but this one: in memory, one after the other for the whole node.
    func relay(besides session: PeerSession, _ progress: ReplicationProgress) -> PackRelay {
        { [self] (pack, body) throws(ReplicationError) in
            let links: [any PeerLink] = state.read { state in
                state.standing.filter { $0 !== session }.map(\.connection)
            }
            try oneRelay { () throws(ReplicationError) in try body(try fetchPack(pack, from: links, progress: progress)) }
        }
    }

    /// Runs `body`, which holds a whole pack in memory, while no other does.
    func oneRelay<R>(_ body: () throws(ReplicationError) -> R) throws(ReplicationError) -> R {
        _ = relaying.wait { isTaken -> Bool? in
            if isTaken { return nil }
            isTaken = true
            return true
        }
        defer { relaying.withLock { $0 = false } }
        return try body()
    }
}
