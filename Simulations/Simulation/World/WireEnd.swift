package import BackupFormat
package import PeerProtocol

/// One end of a simulated connection: drives a real ``Session``, with its handshake and its ciphers.
///
/// A session that is idle is not called every few seconds: its clock stands still meanwhile, as if pings had come and gone. When the
/// connection is cut, or the far end is gone, its clock goes on, and it notices.
package final class WireEnd: PeerChannel, @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    private let network: Network
    private let node: any NetworkNode
    private var session: Session
    package let number: Int
    private var waiting: [RequestID: (request: Request, then: ReplyHandler)] = [:]
    private var outbox: [Outgoing] = []
    private var clock = Duration.zero
    private var calledAt: UInt64 = 0
    private var held: [[UInt8]] = []
    private var lastDue: UInt64 = 0
    private var lineFreeAt: UInt64 = 0
    private var ended: PeerProtocolError?
    private var isPumping = false
    /// Its first bytes are out.
    var hasSpoken = false
    var ready: (@Sendable (Result<WireEnd, PeerProtocolError>) -> Void)?
    weak var far: WireEnd?
    /// Lives as long as the end does.
    var keeping: AnyObject?
    /// What the peer is told in place of the truth; nil for an honest node.
    package var lies: (@Sendable (Request, Answer, [UInt8]) -> (Answer, [UInt8]))?
    /// Requests of the peer that are not answered, for liars.
    private var asked: [RequestID: Request] = [:]

    package private(set) var isReady = false
    package private(set) var peer = PeerIdentity(agreementKey: .zero, certificate: nil, agent: "")
    package private(set) var trust = Trust.stranger
    package private(set) var hello = Hello(offer: Offer(role: .auto))
    package var handshakeHash: [UInt8] { session.handshakeHash ?? [] }
    package var invitationToken: Bytes32? { session.invitationToken }

    private enum Outgoing {
        case request(Request, ArraySlice<UInt8>, ReplyHandler)
        case answer(RequestID, Answer, ArraySlice<UInt8>)
    }

    init(_ network: Network, _ node: any NetworkNode, _ setup: SessionSetup, number: Int) {
        self.network = network
        self.node = node
        self.number = number
        session = Session(setup, ephemeral: .random32())
    }

    package var machine: MachineIndex { node.machine }
    var farMachine: MachineIndex { far?.machine ?? Turns.nobody }
    var isOfCommand: Bool { node is CommandNode }
    package var isOver: Bool { ended != nil }

    // MARK: PeerChannel

    package func submit(
        _ request: Request, bulk: ArraySlice<UInt8>, then: @escaping ReplyHandler
    ) throws(PeerProtocolError) {
        if let ended { throw ended }
        outbox.append(.request(request, bulk, then))
        pump()
    }

    package func answer(_ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8>) throws(PeerProtocolError) {
        if let ended { throw ended }
        var (answer, bulk) = (answer, bulk)
        if let lies, let request = asked.removeValue(forKey: id) {
            let (other, bytes) = lies(request, answer, Array(bulk))
            (answer, bulk) = (other, bytes[...])
        }
        outbox.append(.answer(id, answer, bulk))
        pump()
    }

    package func consumed(creditBytes: Int) { handle(.consumed(creditBytes: creditBytes)) }
    package func announce(_ offer: Offer) { handle(.offer(offer)) }
    package func close(_ code: PeerProtocolError.Code, reason: String) { handle(.close(code, reason: reason)) }

    // MARK: What happens

    /// The session's own time: it passes no faster than it would with pings.
    private func tick() -> Duration {
        let passed = network.turns.now - calledAt
        calledAt = network.turns.now
        clock += min(.nanoseconds(Int64(passed)), .seconds(3))
        return clock
    }

    func handle(_ event: SessionEvent) {
        guard ended == nil else { return }
        perform(session.handle(event, at: tick()))
    }

    func receive(_ bytes: [UInt8]) {
        guard ended == nil else { return }
        let now = tick()
        perform(bytes.withUnsafeBytes { session.handle(.received($0), at: now) })
    }

    /// The connection has been silent for so long that the session must notice.
    func hearNothing() {
        for _ in 0..<4 where ended == nil {
            clock += .seconds(5)
            perform(session.handle(.tick, at: clock))
        }
    }

    /// The node is gone.
    func die() {
        guard ended == nil else { return }
        perform(session.handle(.disconnected, at: clock))
    }

    private func perform(_ effects: [SessionEffect]) {
        var answeredBytes = 0
        for effect in effects {
            switch effect {
            case .write(let bytes): network.carry(bytes, from: self)
            case .ready(let peer, let trust, let hello):
                (self.peer, self.trust, self.hello) = (peer, trust, hello)
                isReady = true
                node.connected(self)
                ready?(.success(self))
                ready = nil
            case .offered(let offer): node.offered(self, offer)
            case .requested(let id, let request, let bulk, let creditBytes):
                if lies != nil { asked[id] = request }
                node.requested(self, PeerRequest(id: id, request: request, bulk: bulk, creditBytes: creditBytes))
            case .answered(let id, let answer, let bulk, let creditBytes):
                if let (request, then) = waiting.removeValue(forKey: id) {
                    network.answered(machine, farMachine, request, answer)
                    then(.success(PeerReply(answer, bulk: bulk)))
                }
                answeredBytes += creditBytes
            case .creditGrew: break
            case .closed(let error): finish(error)
            }
        }
        if answeredBytes > 0 { handle(.consumed(creditBytes: answeredBytes)) }
        pump()
    }

    private func pump() {
        guard isReady, ended == nil, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while ended == nil,
            let index = outbox.firstIndex(where: { if case .answer = $0 { true } else { false } }) ?? outbox.indices.first
        {
            do throws(SendRefusal) {
                switch outbox[index] {
                case .request(let request, let bulk, let then):
                    let (id, bytes) = try session.request(request, bulk: bulk, at: tick())
                    outbox.remove(at: index)
                    waiting[id] = (request, then)
                    network.carry(bytes, from: self)
                case .answer(let id, let answer, let bulk):
                    let bytes = try session.answer(id, with: answer, bulk: bulk, at: tick())
                    outbox.remove(at: index)
                    network.carry(bytes, from: self)
                }
            } catch { return }
        }
    }

    private func finish(_ error: PeerProtocolError) {
        ended = error
        let unanswered = waiting.sorted { $0.key < $1.key }
        waiting = [:]
        for (_, open) in unanswered { open.then(.failure(error)) }
        for case .request(_, _, let then) in outbox { then(.failure(error)) }
        outbox = []
        if isReady { node.disconnected(self, error) }
        ready?(.failure(error))
        ready = nil
        network.closed(self)
    }

    // MARK: For the network

    /// When something comes here that takes so long on its way, and for so long has the line for itself: never before what was sent
    /// earlier, and what is sent at once comes one after the other.
    func due(after nanoseconds: UInt64, onLine lineNanoseconds: UInt64 = 0) -> UInt64 {
        lineFreeAt = max(lineFreeAt, network.turns.now) + lineNanoseconds
        lastDue = max(lastDue + 1, lineFreeAt + nanoseconds)
        return lastDue - network.turns.now
    }

    func hold(_ bytes: [UInt8]) { held.append(bytes) }

    /// The way is free again.
    func flush() {
        let bytes = held
        held = []
        for piece in bytes where ended == nil { network.carry(piece, from: self) }
    }
}
