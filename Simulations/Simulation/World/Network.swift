package import BackupFormat
package import PeerProtocol

/// How often the network does what, once in so many writes; 0 for never.
package struct NetworkFaults: Sendable, Equatable {
    package var resets = 0
    package var flippedBytes = 0
    package var truncations = 0
    package var duplicates = 0
    package var reorderings = 0
    /// Milliseconds from one end to the other, at most.
    package var latencyMilliseconds = 40
    /// Once in so many writes something takes seconds.
    package var stalls = 0
    /// Bytes a second of each connection.
    package var bytesPerSecond = 10_000_000

    package init() {}
}

/// A node as the network knows it, from its start to its end or crash.
package protocol NetworkNode: AnyObject, Sendable {
    var machine: MachineIndex { get }
    var basis: SessionBasis { get }
    func connected(_ end: WireEnd)
    func requested(_ end: WireEnd, _ request: PeerRequest)
    func offered(_ end: WireEnd, _ offer: Offer)
    func disconnected(_ end: WireEnd, _ error: PeerProtocolError)
}

/// All connections of the world. What a connection does to bytes a real one may do too, or somebody in its way: delay them, stop, end in the
/// middle of a record, flip a bit, repeat or swap pieces.
package final class Network: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.

    package struct Way: Hashable, Sendable {
        package var from: MachineIndex
        package var to: MachineIndex
        package init(from: MachineIndex, to: MachineIndex) {
            self.from = from
            self.to = to
        }
    }

    let turns: Turns
    package var faults = NetworkFaults()
    /// How often each kind of fault was injected.
    package private(set) var injected: [String: Int] = [:]
    private var choices: SplitMix64
    private var nodes: [MachineIndex: any NetworkNode] = [:]
    private var cut: [Way: Int] = [:]
    private var connections: [Connection] = []
    /// The same by each of the machines that they join.
    private var connectionsOf: [MachineIndex: [Connection]] = [:]
    package private(set) var made = 0
    /// Machines that speak a later version of the protocol than all others: their first bytes say so.
    package var otherVersions: Set<MachineIndex> = []
    /// Told of each session that began between two versions.
    var mixed: ((MachineIndex, MachineIndex) -> Void)?
    /// Requests that were answered, by kind.
    package private(set) var asked: [String: Int] = [:]
    /// Told of each answer that has come to whoever asked: who asked, who answered, what, and the answer.
    var answered: ((MachineIndex, MachineIndex, Request, Answer) -> Void)?

    /// A peer that is cut off is noticed after that: ``SessionTiming/silentAfter`` and a little.
    private static let noticed: UInt64 = 14_000_000_000

    final class Connection {
        let ends: [WireEnd]
        init(_ a: WireEnd, _ b: WireEnd) { ends = [a, b] }
        var isOver: Bool { ends.allSatisfy(\.isOver) }
    }

    package init(turns: Turns, seed: UInt64) {
        self.turns = turns
        choices = SplitMix64(seed)
    }

    func count(_ kind: String) { injected[kind, default: 0] += 1 }

    func answered(_ asker: MachineIndex, _ holder: MachineIndex, _ request: Request, _ answer: Answer) {
        asked[request.kindName, default: 0] += 1
        answered?(asker, holder, request, answer)
    }

    // MARK: Nodes

    func register(_ node: any NetworkNode) { nodes[node.machine] = node }

    /// The node is gone: its own ends learn it at once, the others in time.
    package func remove(_ machine: MachineIndex) {
        nodes[machine] = nil
        for connection in connectionsOf[machine] ?? [] {
            for (index, end) in connection.ends.enumerated() where end.machine == machine {
                end.die()
                expectSilence(connection.ends[1 - index])
            }
        }
        forgetEnded(of: machine)
    }

    /// The machine slept: its sessions end, as the shell's detector has it.
    package func resumed(_ machine: MachineIndex) {
        for connection in connectionsOf[machine] ?? [] {
            for end in connection.ends where end.machine == machine { end.handle(.resumed) }
        }
    }

    /// Sessions that stand, between whomever.
    package var standing: [(WireEnd, WireEnd)] {
        connections.filter { $0.ends.allSatisfy { $0.isReady && !$0.isOver } }.map { ($0.ends[0], $0.ends[1]) }
    }

    /// Ends of the sessions of a machine's node with a node, the oldest first. Those of commands are none.
    func sessions(_ machine: MachineIndex, _ peer: Bytes32) -> [WireEnd] {
        (connectionsOf[machine] ?? []).compactMap { connection in
            guard let end = connection.ends.first(where: { $0.machine == machine }), end.isReady, !end.isOver,
                end.peer.agreementKey == peer, !connection.ends.contains(where: \.isOfCommand)
            else { return nil }
            return end
        }
    }

    func hasSession(_ machine: MachineIndex, _ peer: Bytes32) -> Bool { !sessions(machine, peer).isEmpty }

    // MARK: Cuts

    package func isCut(_ from: MachineIndex, _ to: MachineIndex) -> Bool { (cut[Way(from: from, to: to)] ?? 0) > 0 }

    package func cut(_ ways: [Way]) {
        for way in ways { cut[way, default: 0] += 1 }
        count(ways.count == 1 ? "one-way cut" : "cut")
        for connection in connections {
            let (a, b) = (connection.ends[0].machine, connection.ends[1].machine)
            guard isCut(a, b) || isCut(b, a) else { continue }
            for end in connection.ends { expectSilence(end) }
        }
    }

    package func heal(_ ways: [Way]) {
        for way in ways { cut[way, default: 1] -= 1 }
        for connection in connections { for end in connection.ends where !isCut(end.machine, end.farMachine) { end.flush() } }
    }

    package func healAll() { heal(cut.flatMap { way, count in Array(repeating: way, count: count) }) }

    /// If nothing has come through by then, the end notices.
    private func expectSilence(_ end: WireEnd) {
        turns.after(Network.noticed, on: end.machine) { [self] in
            guard !end.isOver, let far = end.far else { return }
            if far.isOver || isCut(end.machine, far.machine) || isCut(far.machine, end.machine) { end.hearNothing() }
        }
    }

    // MARK: Connections

    /// Dials, in the name of `node`. `ready` gets the session when both have said hello, or the reason why there is none.
    func connect(
        _ node: any NetworkNode, to machine: MachineIndex, peer: Bytes32?, token: Bytes32?, key: SessionBasis? = nil,
        ready: @escaping @Sendable (Result<WireEnd, PeerProtocolError>) -> Void
    ) {
        guard let other = nodes[machine], !turns.isSuspended(machine), !isCut(node.machine, machine),
            !isCut(machine, node.machine)
        else {
            turns.after(UInt64(choices.within(1...5000)) * 1_000_000, on: node.machine) {
                ready(.failure(PeerProtocolError(.disconnected, "no answer")))
            }
            return
        }
        made += 1
        let theirs = other.basis
        let a = WireEnd(self, node, (key ?? node.basis).setup(.initiator(peer: peer, token: token)), number: 2 * made)
        let b = WireEnd(self, other, theirs.setup(.responder(invitations: theirs.invitations)), number: 2 * made + 1)
        a.far = b
        b.far = a
        let isMixed = otherVersions.contains(node.machine) != otherVersions.contains(machine)
        a.ready = { [self] result in
            switch result {
            case .success: if isMixed { mixed?(node.machine, machine) }
            case .failure(let error):
                if isMixed, error.code == .otherVersion { count("another version, refused with that reason") }
            }
            ready(result)
        }
        for index in Set([node.machine, machine]) { forgetEnded(of: index) }
        let connection = Connection(a, b)
        connections.append(connection)
        for index in Set([node.machine, machine]) { connectionsOf[index, default: []].append(connection) }
        turns.after(b.due(after: delay()), on: b.machine) { b.handle(.connected) }
        a.handle(.connected)
        // Whoever never gets to hello is given up.
        for end in [a, b] { turns.after(12_000_000_000, on: end.machine) { if !end.isReady { end.hearNothing() } } }
    }

    private func forgetEnded(of machine: MachineIndex) {
        guard connectionsOf[machine]?.contains(where: \.isOver) == true else { return }
        connectionsOf[machine]?.removeAll(where: \.isOver)
        connections.removeAll(where: \.isOver)
    }

    private func delay() -> UInt64 {
        var milliseconds = choices.within(1...max(1, faults.latencyMilliseconds))
        if faults.stalls > 0, choices.isOne(in: faults.stalls) {
            count("stall")
            milliseconds += choices.below(8000)
        }
        return UInt64(milliseconds) * 1_000_000
    }

    /// Carries bytes to the far end, or does worse.
    func carry(_ bytes: [UInt8], from end: WireEnd) {
        guard let far = end.far else { return }
        if isCut(end.machine, far.machine) { return end.hold(bytes) }
        var bytes = bytes
        if !end.hasSpoken, bytes.count > Network.versionOffset {
            end.hasSpoken = true
            if otherVersions.contains(end.machine) { bytes[Network.versionOffset] += 1 }
        }
        var ends = false
        var isWrong = false
        func strikes(_ rate: Int, _ kind: String) -> Bool {
            guard rate > 0, choices.isOne(in: rate) else { return false }
            count(kind)
            isWrong = true
            return true
        }
        if strikes(faults.flippedBytes, "flipped bit"), !bytes.isEmpty {
            bytes[choices.below(bytes.count)] ^= 1 << UInt8(choices.below(8))
        }
        if strikes(faults.truncations, "truncation") {
            bytes = Array(bytes.prefix(choices.below(bytes.count + 1)))
            ends = true
        }
        if strikes(faults.resets, "reset") {
            bytes = []
            ends = true
        }
        var pieces = [bytes]
        if strikes(faults.duplicates, "duplicate") { pieces = [bytes, bytes] }
        if strikes(faults.reorderings, "reordering"), bytes.count > 1 {
            let middle = choices.within(1...bytes.count - 1)
            pieces = [Array(bytes[middle...]), Array(bytes[..<middle])]
        }
        for piece in pieces where !piece.isEmpty { deliver(piece, to: far) }
        if isWrong, !ends { expectEnd(end, far) }
        if ends {
            for end in [end, far] { turns.after(end.due(after: delay()), on: end.machine) { end.handle(.disconnected) } }
        }
    }

    /// Of the version in the first bytes of either side.
    private static let versionOffset = 8

    /// A record whose length was changed waits for bytes that do not come, until pings have filled it, or somebody gives up.
    private func expectEnd(_ a: WireEnd, _ b: WireEnd) {
        let moment = UInt64(choices.within(1...3600)) * 1_000_000_000
        for end in [a, b] { turns.after(moment, on: end.machine) { end.handle(.disconnected) } }
    }

    private func deliver(_ bytes: [UInt8], to end: WireEnd) {
        let onLine = UInt64(bytes.count) * 1_000_000_000 / UInt64(faults.bytesPerSecond)
        turns.after(end.due(after: delay(), onLine: onLine), on: end.machine) { end.receive(bytes) }
    }

    /// The connection is closed at one end: the other learns it after what was sent before.
    func closed(_ end: WireEnd) {
        guard let far = end.far, !far.isOver else { return }
        if isCut(end.machine, far.machine) { return expectSilence(far) }
        turns.after(far.due(after: delay()), on: far.machine) { far.handle(.disconnected) }
    }
}

extension Request {
    /// Its kind, for counting.
    fileprivate var kindName: String {
        switch self {
        case .vault: "vault"
        case .have: "have"
        case .put: "put"
        case .get: "get"
        case .list: "list"
        case .commit: "commit"
        case .forget: "forget"
        case .sweep: "sweep"
        case .audit: "audit"
        case .reserve: "reserve"
        case .pair: "pair"
        case .unpair: "unpair"
        case .recover: "recover"
        }
    }
}
