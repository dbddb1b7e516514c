import BackupFormat
import Cryptography
import PeerProtocol
import Testing

/// A node with an owner of its own.
struct TestNode {
    let owner: OwnerKey
    let key = NodeKey.generate()
    var certificate: Certificate?

    init(owner: OwnerKey = .generate(), permissions: Permissions = .all) {
        self.owner = owner
        certificate = owner.certify(key, name: "test", permissions: permissions, serial: 1)
    }

    func setup(
        _ side: HandshakeSide, friends: Set<OwnerID> = [], blocked: Set<Bytes32> = [], offer: Offer = Offer(role: .auto),
        windowBytes: Int = Limits.creditBytesInitial
    ) -> SessionSetup {
        SessionSetup(
            handshake: HandshakeSetup(key: key, certificate: certificate, agent: "bakare-test 1"), side: side,
            acquaintances: Acquaintances(owner: owner.id, friends: friends, blocked: blocked), offer: offer,
            windowBytes: windowBytes)
    }
}

/// One end of a wire: a session, and what it asked to be done.
struct End: ~Copyable {
    var session: Session
    /// Bytes on their way to the other end.
    var outbox: [UInt8] = []
    /// Everything else, in order.
    var events: [SessionEffect] = []

    init(_ setup: SessionSetup) { session = Session(setup, ephemeral: .random32()) }

    mutating func handle(_ event: SessionEvent, at now: Duration = .zero) {
        for effect in session.handle(event, at: now) {
            if case .write(let bytes) = effect { outbox += bytes } else { events.append(effect) }
        }
    }

    mutating func receive(_ bytes: [UInt8], at now: Duration = .zero) {
        bytes.withUnsafeBytes { handle(.received($0), at: now) }
    }

    mutating func request(_ request: Request, bulk: [UInt8] = [], at now: Duration = .zero) throws -> RequestID {
        let made = try session.request(request, bulk: bulk[...], at: now)
        outbox += made.bytes
        return made.id
    }

    mutating func answer(_ id: RequestID, _ answer: Answer, bulk: [UInt8] = [], at now: Duration = .zero) throws {
        outbox += try session.answer(id, with: answer, bulk: bulk[...], at: now)
    }

    mutating func takeOutbox() -> [UInt8] {
        defer { outbox = [] }
        return outbox
    }

    mutating func takeEvents() -> [SessionEffect] {
        defer { events = [] }
        return events
    }

    var endCode: PeerProtocolError.Code? { session.ended?.code }
}

/// Two sessions and the wire between them.
struct Wire: ~Copyable {
    var a: End
    var b: End
    /// How many bytes to deliver next; everything by default.
    var pieces: (Int) -> Int = { $0 }

    init(_ a: SessionSetup, _ b: SessionSetup, begin: Bool = true) {
        self.a = End(a)
        self.b = End(b)
        self.a.handle(.connected)
        self.b.handle(.connected)
        if begin { run() }
    }

    /// Two devices of one owner, or with `friends` of two owners that know each other, after the handshake.
    static func paired(friends: Bool = false, windowBytes: Int = Limits.creditBytesInitial, begin: Bool = true) -> Wire {
        let first = TestNode()
        let second = friends ? TestNode() : TestNode(owner: first.owner)
        return Wire(
            first.setup(.initiator(peer: nil, token: nil), friends: friends ? [second.owner.id] : [], windowBytes: windowBytes),
            second.setup(.responder(invitations: []), friends: friends ? [first.owner.id] : [], windowBytes: windowBytes),
            begin: begin)
    }

    /// Delivers what is on the wire until nothing is.
    mutating func run(at now: Duration = .zero) {
        while !a.outbox.isEmpty || !b.outbox.isEmpty {
            let toB = a.takeOutbox()
            let toA = b.takeOutbox()
            deliver(toB, toFirst: false, now)
            deliver(toA, toFirst: true, now)
        }
    }

    private mutating func deliver(_ bytes: [UInt8], toFirst: Bool, _ now: Duration) {
        var place = 0
        while place < bytes.count {
            let count = max(1, min(pieces(bytes.count - place), bytes.count - place))
            let piece = Array(bytes[place..<place + count])
            if toFirst { a.receive(piece, at: now) } else { b.receive(piece, at: now) }
            place += count
        }
    }
}

extension [SessionEffect] {
    var trust: Trust? {
        for case .ready(_, let trust, _) in self { return trust }
        return nil
    }

    var requests: [(id: RequestID, request: Request, bulk: [UInt8])] {
        compactMap { if case .requested(let id, let request, let bulk, _) = $0 { (id, request, bulk) } else { nil } }
    }

    var answers: [(id: RequestID, answer: Answer, bulk: [UInt8])] {
        compactMap { if case .answered(let id, let answer, let bulk, _) = $0 { (id, answer, bulk) } else { nil } }
    }

    var creditBytes: Int {
        reduce(0) { sum, effect in
            switch effect {
            case .requested(_, _, _, let bytes), .answered(_, _, _, let bytes): sum + bytes
            default: sum
            }
        }
    }

    var closed: PeerProtocolError? {
        for case .closed(let error) in self { return error }
        return nil
    }
}
