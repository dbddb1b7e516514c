// How fast sealed bytes go over one connection on loopback, beside what one core can seal and open.
//
//     WireSpeed [MEBIBYTES [put|get]]
import BackupFormat
import Cryptography
import Glibc
import HostFiles
import NodeRuntime
import PeerProtocol

/// A node that takes everything that is put, and gives whatever is asked for.
final class Node: TransportEvents {
    private let connections = ConditionLock<[PeerConnection]>([])
    private let inbox = ConditionLock<[(PeerConnection, PeerRequest)]?>([])
    private static let block = [UInt8](repeating: 7, count: Limits.bulkBytesMax)

    var connection: PeerConnection { connections.wait { $0.last } }

    func work() {
        while let (connection, request) = inbox.wait(for: { inbox -> (PeerConnection, PeerRequest)?? in
            guard let waiting = inbox else { return .some(nil) }
            guard !waiting.isEmpty else { return nil }
            return inbox?.removeFirst()
        }) {
            connection.consumed(creditBytes: request.creditBytes)
            switch request.request {
            case .get(let get):
                let part = Part(totalBytes: get.lengthBytes)
                try? connection.answer(request.id, with: .part(part), bulk: Node.block.prefix(get.lengthBytes))
            default:
                let stored = Stored(receivedBytes: request.bulk.count, isDurable: false, generation: 0)
                try? connection.answer(request.id, with: .stored(stored))
            }
        }
    }

    func stop() { inbox.withLock { $0 = nil } }

    func connected(_ connection: PeerConnection) { connections.withLock { $0.append(connection) } }
    func requested(_ connection: PeerConnection, _ request: PeerRequest) { inbox.withLock { $0?.append((connection, request)) } }
    func offered(_ connection: PeerConnection, _ offer: Offer) {}
    func disconnected(_ connection: PeerConnection, _ error: PeerProtocolError) {}
    func refused(_ error: PeerProtocolError) { print("refused: \(error)") }
}

/// Bytes a second that one core seals and opens, one after the other.
func cipherSpeed(mebibytes: Int) throws -> Double {
    var sealing = CipherState(key: SecretBytes(.zero))
    var opening = CipherState(key: SecretBytes(.zero))
    var record = [UInt8](repeating: 7, count: Limits.recordBytesMax)
    var plain = [UInt8](repeating: 0, count: Limits.recordBytesMax)
    let rounds = mebibytes << 20 / Limits.recordContentBytesMax
    let began = ContinuousClock.now
    for _ in 0..<rounds {
        try record.withUnsafeMutableBytes { try sealing.encrypt(inPlace: $0) }
        try record.withUnsafeBytes { sealed in try plain.withUnsafeMutableBytes { try opening.decrypt(sealed, into: $0) } }
    }
    return Double(rounds * Limits.recordContentBytesMax) / ((ContinuousClock.now - began) / .seconds(1))
}

func transport(_ node: Node, owner: OwnerKey, key: NodeKey) -> PeerTransport {
    let basis = SessionBasis(
        handshake: HandshakeSetup(
            key: key, certificate: owner.certify(key, name: "speed", permissions: .all, serial: 1), agent: "WireSpeed"),
        acquaintances: Acquaintances(owner: owner.id), offer: Offer(role: .auto))
    return PeerTransport(events: node, threads: 1) { basis }
}

func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

@main
struct WireSpeed {
    static func main() throws {
        let arguments = CommandLine.arguments
        let mebibytes = arguments.count > 1 ? Int(arguments[1]) ?? 4096 : 4096
        let isGet = arguments.count > 2 && arguments[2] == "get"
        let cipher = try cipherSpeed(mebibytes: 1024)
        let owner = OwnerKey.generate()
        let (serverKey, clientKey) = (NodeKey.generate(), NodeKey.generate())
        let (server, client) = (Node(), Node())
        let serving = transport(server, owner: owner, key: serverKey)
        let asking = transport(client, owner: owner, key: clientKey)
        let worker = WorkerThread(name: "answers") { server.work() }
        asking.keepSession(
            with: serverKey.agreementPublicKey, at: [try serving.listen(on: PeerAddress(host: "127.0.0.1", port: 0))])
        let connection = client.connection
        let block = [UInt8](repeating: 7, count: Limits.bulkBytesMax)
        let answered = ConditionLock(0)
        let before = processorSeconds()
        let began = ContinuousClock.now
        for index in 0..<mebibytes {
            // Ten under way: what a window of 8 MiB takes, and some to spare.
            _ = answered.wait { index - $0 < 10 ? true : nil }
            let request: Request =
                isGet
                ? .get(Get(kind: .pack, id: ObjectID(.zero), offset: 0, lengthBytes: block.count))
                : .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: Limits.packBytesMax, offset: 0))
            try connection.submit(request, bulk: isGet ? [] : block[...]) { _ in answered.withLock { $0 += 1 } }
        }
        _ = answered.wait { $0 == mebibytes ? true : nil }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        let processor = processorSeconds() - before
        let speed = Double(mebibytes << 20) / seconds
        print("one core seals and opens: \(Int(cipher / 1e6)) MB/s")
        print(
            "one connection, \(isGet ? "get" : "put"): \(Int(speed / 1e6)) MB/s, ratio \(Double(Int(speed / cipher * 100)) / 100)"
        )
        print("a core, both ends together: \(Int(Double(mebibytes << 20) / processor / 1e6)) MB/s")
        asking.stop()
        serving.stop()
        server.stop()
        worker?.join()
    }
}
