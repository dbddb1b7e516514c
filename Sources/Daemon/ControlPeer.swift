internal import BackupFormat
internal import BackupNode
internal import Control
internal import HostFiles
internal import PeerProtocol
internal import Replication

/// One peer of the running node, which passes on what a command asks it: questions alone, that change nothing.
final class ControlPeer: PeerLink {
    private let home: Home
    private let device: DeviceID

    init(_ home: Home, _ device: DeviceID) {
        self.home = home
        self.device = device
    }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>, then: @escaping ReplyHandler
    ) throws(PeerProtocolError) {
        // The one call of a connection waits for its answer.
        let thread = WorkerThread(name: "ask") { [home, device] in then(ControlPeer.ask(request, device, home)) }
        if thread == nil { throw PeerProtocolError(.disconnected, "the system has no thread left") }
    }

    private static let otherVersion = PeerProtocolError(.disconnected, "the running node is of another version; restart it")

    private static func ask(_ request: Request, _ device: DeviceID, _ home: Home) -> Result<PeerReply, PeerProtocolError> {
        let message = Message.request(RequestID(1), request).encode()
        do throws(ControlError) {
            guard let client = try ControlClient.connect(home: home.directory) else {
                return .failure(PeerProtocolError(.disconnected, "the running node ended"))
            }
            switch try client.ask(ControlRequest(ControlVerb.ask.rawValue, [device.value.bytes, message])) {
            case .result(let bytes): return decode(bytes).map { .success($0) } ?? .failure(otherVersion)
            case .failed(_, let message): return .failure(PeerProtocolError(.disconnected, message))
            case .progress: return .failure(otherVersion)
            }
        } catch { return .failure(PeerProtocolError(.disconnected, error.description)) }
    }

    /// The answer's message, its length in four bytes before it, and what came with it.
    static func encode(_ reply: PeerReply) -> [UInt8] {
        let message = Message.answer(RequestID(1), reply.answer).encode()
        var writer = ByteWriter(capacity: 4 + message.count + reply.bulk.count)
        writer.uint32(UInt32(message.count))
        writer.raw(message)
        writer.raw(reply.bulk)
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) -> PeerReply? {
        bytes.withUnsafeBytes { buffer -> PeerReply? in
            var reader = ByteReader(buffer, "answer")
            guard let count = try? reader.uint32(), let message = try? reader.bytes(Int(count)),
                case .answer(_, let answer) = try? Message(decoding: message)
            else { return nil }
            return PeerReply(answer, bulk: Array(buffer[reader.offset...]))
        }
    }
}

extension DaemonCore {
    /// Asks one peer what a command wants to know: what it has, and nothing that would change it.
    func ask(_ device: DeviceID, _ message: [UInt8]) -> ControlReply {
        guard case .request(_, let request) = message.withUnsafeBytes({ try? Message(decoding: $0) }) else {
            return .failed(code: 64, message: "ask: that is no question to a peer")
        }
        switch request {
        case .vault, .have, .get, .list: break
        default: return .failed(code: 64, message: "ask: only questions are passed on")
        }
        guard let link = state.read({ $0.standing.first { $0.device == device }?.connection }) else {
            return .failed(code: 1, message: "the peer is not connected any more")
        }
        let reply = ConditionLock<Result<PeerReply, PeerProtocolError>?>(nil)
        do throws(PeerProtocolError) {
            try link.submit(request, bulk: []) { result in reply.withLock { $0 = result } }
            return .result(ControlPeer.encode(try reply.wait { $0 }.get()))
        } catch { return .failed(code: 1, message: error.description) }
    }
}
