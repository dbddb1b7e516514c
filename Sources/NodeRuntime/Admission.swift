package import BackupFormat

/// Names one connection of a transport.
package struct ConnectionID: Hashable, Sendable {
    package let number: UInt64
    package init(number: UInt64) { self.number = number }
}

/// Which connections there are, and which have to go: a value that decides, and closes nothing itself.
///
/// Unknown connections cost little and come from anybody. When there are too many, the oldest goes, of the same source if that has
/// too many: an honest handshake takes a moment, whoever holds connections open loses them first.
///
/// Of two sessions between the same two nodes **the node with the smaller agreement key decides, and keeps the newer one**. The
/// other keeps both until it is told, and speaks through the newer. So when both dial at once exactly one remains, whatever
/// the order in which each sees them; and who comes again after a crash is not kept out by what is left of his old session.
package struct Admission {
    private struct Unknown {
        let id: ConnectionID
        let source: ConnectionSource
    }

    private struct Paired {
        let id: ConnectionID
        let peer: Bytes32
    }

    private let pairedMax: Int
    private let unknownMax: Int
    private let unknownPerSourceMax: Int
    /// Oldest first.
    private var unknown: [Unknown] = []
    /// Oldest first.
    private var paired: [Paired] = []

    package init(pairedMax: Int, unknownMax: Int, unknownPerSourceMax: Int) {
        precondition(pairedMax > 0 && unknownMax > 0 && unknownPerSourceMax > 0)
        self.pairedMax = pairedMax
        self.unknownMax = unknownMax
        self.unknownPerSourceMax = unknownPerSourceMax
    }

    package var unknownCount: Int { unknown.count }
    package var pairedCount: Int { paired.count }

    /// Somebody connects; answers who has to go, being the one that is there longest.
    package mutating func arrived(_ id: ConnectionID, from source: ConnectionSource) -> ConnectionID? {
        defer { unknown.append(Unknown(id: id, source: source)) }
        let ofSource = unknown.lazy.filter { $0.source == source }.count
        if ofSource >= unknownPerSourceMax, let oldest = unknown.firstIndex(where: { $0.source == source }) {
            return unknown.remove(at: oldest).id
        }
        return unknown.count >= unknownMax ? unknown.removeFirst().id : nil
    }

    package enum Verdict: Equatable {
        /// It stays; `duplicate` has to go for it.
        case admitted(duplicate: ConnectionID?)
        /// There are too many.
        case busy
    }

    /// A connection turns out to be of a paired peer. `decides`: this node's key is smaller than the peer's.
    package mutating func becamePaired(_ id: ConnectionID, peer: Bytes32, decides: Bool) -> Verdict {
        unknown.removeAll { $0.id == id }
        let others = paired.filter { $0.peer == peer }
        guard others.count > 0 || peerCount < pairedMax else { return .busy }
        paired.append(Paired(id: id, peer: peer))
        // Who does not decide keeps one besides, until he is told which.
        guard let oldest = others.first, decides || others.count > 1 else { return .admitted(duplicate: nil) }
        paired.removeAll { $0.id == oldest.id }
        return .admitted(duplicate: oldest.id)
    }

    /// A connection is no more. Harmless when repeated.
    package mutating func left(_ id: ConnectionID) {
        unknown.removeAll { $0.id == id }
        paired.removeAll { $0.id == id }
    }

    /// The session to speak through: the newest.
    package func current(_ peer: Bytes32) -> ConnectionID? { paired.last { $0.peer == peer }?.id }

    private var peerCount: Int { Set(paired.map(\.peer)).count }
}
