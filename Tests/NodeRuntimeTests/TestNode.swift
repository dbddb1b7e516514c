import BackupFormat
import Cryptography
import HostFiles
import NodeRuntime
import PeerProtocol
import Testing

/// A transport, and a layer above it that notes everything and answers requests on threads of its own.
final class TestNode: TransportEvents {
    struct Log {
        var connections: [PeerConnection] = []
        var open: [PeerConnection] = []
        var ends: [PeerProtocolError] = []
        var refusals: [PeerProtocolError] = []
        var inbox: [(PeerConnection, PeerRequest)] = []
        var inboxBytes = 0
        var inboxBytesMax = 0
        var answered = 0
        var isStopped = false
    }

    typealias Answering = @Sendable (PeerRequest) -> (Answer, [UInt8])?

    let key: NodeKey
    let owner: OwnerKey
    let log = ConditionLock(Log())
    private let started = ConditionLock<(transport: PeerTransport, workers: [WorkerThread])?>(nil)

    /// `answering` answers on one of `workers` threads; nil never answers.
    init(
        owner: OwnerKey, key: NodeKey = .generate(), workers: Int = 2, bounds: TransportBounds = TransportBounds(),
        speed: Int = 1, invitations: [Bytes32] = [], windowBytes: Int = 8 << 20,
        answering: @escaping Answering = { standardAnswer($0) }
    ) {
        self.key = key
        self.owner = owner
        var basis = SessionBasis(
            handshake: HandshakeSetup(
                key: key, certificate: owner.certify(key, name: "test", permissions: .all, serial: 1), agent: "bakare-test 1"),
            acquaintances: Acquaintances(owner: owner.id), offer: Offer(role: .auto))
        basis.invitations = invitations
        basis.windowBytes = windowBytes
        let fixed = basis
        let transport = PeerTransport(events: self, bounds: bounds, clock: ShellClock(speed: speed), threads: 1) { fixed }
        let threads = (0..<workers).compactMap { _ in
            WorkerThread(name: "answers") { [log] in TestNode.work(log, answering) }
        }
        started.withLock { $0 = (transport, threads) }
    }

    var transport: PeerTransport {
        started.wait { $0?.transport }
    }
    var agreementKey: Bytes32 { key.agreementPublicKey }

    /// Listens on a free port of an address of this machine.
    func listen(_ host: String = "127.0.0.1") throws -> PeerAddress {
        try transport.listen(on: PeerAddress(host: host, port: 0))
    }

    func stop() {
        transport.stop()
        log.withLock { $0.isStopped = true }
        started.wait { $0?.workers }.forEach { $0.join() }
    }

    /// Waits until the log is so; false after `seconds`.
    func wait(seconds: Int = 20, until condition: @Sendable (Log) -> Bool) -> Bool {
        log.wait(milliseconds: seconds * 1000) { condition($0) ? true : nil } ?? false
    }

    /// The newest session that is open.
    func connection(seconds: Int = 20) throws -> PeerConnection {
        try #require(log.wait(milliseconds: seconds * 1000) { $0.open.last })
    }

    private static func work(_ log: ConditionLock<Log>, _ answering: Answering) {
        while true {
            let next = log.wait { log -> (PeerConnection, PeerRequest)?? in
                if log.isStopped { return .some(nil) }
                guard !log.inbox.isEmpty else { return nil }
                let next = log.inbox.removeFirst()
                log.inboxBytes -= next.1.creditBytes
                return next
            }
            guard let (connection, request) = next else { return }
            connection.consumed(creditBytes: request.creditBytes)
            guard let (answer, bulk) = answering(request) else { continue }
            // A session that has ended takes no answers; the test looks at that elsewhere.
            if (try? connection.answer(request.id, with: answer, bulk: bulk[...])) != nil { log.withLock { $0.answered += 1 } }
        }
    }

    func connected(_ connection: PeerConnection) {
        log.withLock {
            $0.connections.append(connection)
            $0.open.append(connection)
        }
    }

    func requested(_ connection: PeerConnection, _ request: PeerRequest) {
        log.withLock {
            $0.inbox.append((connection, request))
            $0.inboxBytes += request.creditBytes
            $0.inboxBytesMax = max($0.inboxBytesMax, $0.inboxBytes)
        }
    }

    func offered(_ connection: PeerConnection, _ offer: Offer) {}

    func disconnected(_ connection: PeerConnection, _ error: PeerProtocolError) {
        log.withLock {
            $0.open.removeAll { $0 === connection }
            $0.ends.append(error)
        }
    }

    func refused(_ error: PeerProtocolError) { log.withLock { $0.refusals.append(error) } }
}

/// Answers a put with how many bytes came and the sum of them as generation, a get with the bytes of its offset.
func standardAnswer(_ request: PeerRequest) -> (Answer, [UInt8])? {
    switch request.request {
    case .put(let put):
        let sum = request.bulk.reduce(0) { $0 &+ UInt64($1) }
        return (
            .stored(Stored(receivedBytes: put.offset + request.bulk.count, isDurable: false, generation: sum)), []
        )
    case .get(let get): return (.part(Part(totalBytes: get.offset + get.lengthBytes)), content(get.offset, get.lengthBytes))
    case .vault: return (.vault(VaultState(exists: false)), [])
    default: return (.failed(Failed(.busy, reason: "")), [])
    }
}

/// Bytes that tell where they are from.
func content(_ offset: Int, _ count: Int) -> [UInt8] {
    var state = UInt64(offset) &* 0x9e37_79b9_7f4a_7c15 | 1
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        for index in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer[index] = UInt8(truncatingIfNeeded: state >> 56)
        }
        initialized = count
    }
}

func put(_ total: Int, _ offset: Int = 0) -> Request {
    .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: total, offset: offset))
}

func get(_ offset: Int, _ count: Int) -> Request {
    .get(Get(kind: .pack, id: ObjectID(.zero), offset: offset, lengthBytes: count))
}

/// Puts `bytes`, and checks that they came as they were.
func checkedPut(_ connection: PeerConnection, _ bytes: [UInt8]) throws {
    let reply = try connection.request(put(Limits.packBytesMax), bulk: bytes[...])
    let sum = bytes.reduce(0) { $0 &+ UInt64($1) }
    #expect(reply.answer == .stored(Stored(receivedBytes: bytes.count, isDurable: false, generation: sum)))
}

/// Runs `body` on so many threads at once, and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).compactMap { index in WorkerThread(name: "asks") { body(index) } }
    #expect(threads.count == count)
    for thread in threads { thread.join() }
}
