internal import BackupFormat
internal import BackupNode
internal import Control
internal import HostFiles
internal import PeerProtocol
internal import Replication

/// Parts of packs by way of the running node, which has the sessions with peers that only dial it: as if it were one of them.
final class ControlLink: PeerLink {
    private struct Place: Hashable {
        let pack: ObjectID
        let offset: Int
    }

    private let home: Home
    /// How often each part was asked for: again, another peer is asked.
    private let asked = ConditionLock<[Place: UInt8]>([:])

    private static let placesMax = 4096
    /// The exit code that stands for: nobody is connected.
    static let nobody: UInt8 = 2

    init(_ home: Home) { self.home = home }

    /// Whether a node runs on the home that has peers.
    static func isUseful(_ home: Home) -> Bool {
        guard let running = try? RunningNode.find(home), let peers = try? running.peers() else { return false }
        return peers.contains { $0.isOnline }
    }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>, then: @escaping ReplyHandler
    ) throws(PeerProtocolError) {
        guard case .get(let get) = request, get.kind == .pack else {
            throw PeerProtocolError(.disconnected, "only packs are read by way of the running node")
        }
        let attempt = asked.withLock { asked -> UInt8 in
            let place = Place(pack: get.id, offset: get.offset)
            if asked.count >= ControlLink.placesMax { asked = [:] }
            defer { asked[place] = (asked[place] ?? 0) &+ 1 }
            return asked[place] ?? 0
        }
        // The one call of a connection waits for its answer.
        let thread = WorkerThread(name: "get") { [home] in then(ControlLink.ask(get, attempt, home)) }
        if thread == nil { throw PeerProtocolError(.disconnected, "the system has no thread left") }
    }

    private static func ask(_ get: Get, _ attempt: UInt8, _ home: Home) -> Result<PeerReply, PeerProtocolError> {
        var writer = ByteWriter()
        writer.uint64(UInt64(get.offset))
        writer.uint64(UInt64(get.lengthBytes))
        writer.byte(attempt)
        let request = ControlRequest(ControlVerb.get.rawValue, [get.id.value.bytes, writer.bytes])
        do throws(ControlError) {
            guard let client = try ControlClient.connect(home: home.directory) else {
                return .failure(PeerProtocolError(.disconnected, "the running node ended"))
            }
            switch try client.ask(request) {
            case .result(let bytes):
                guard bytes.count > 8 else {
                    return .failure(PeerProtocolError(.disconnected, "the running node is of another version"))
                }
                let total = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                return .success(PeerReply(.part(Part(totalBytes: total)), bulk: Array(bytes.dropFirst(8))))
            case .failed(let code, let message):
                if code == nobody { return .failure(PeerProtocolError(.disconnected, message)) }
                return .success(PeerReply(.failed(Failed(.notFound, reason: message))))
            case .progress: return .failure(PeerProtocolError(.disconnected, "the running node is of another version"))
            }
        } catch { return .failure(PeerProtocolError(.disconnected, error.description)) }
    }
}

extension DaemonCore {
    /// A part of a pack from a peer that is here, for a command: which one, `place` and `attempt` decide.
    func get(_ pack: PackID, _ place: [UInt8]) -> ControlReply {
        guard place.count == 17 else { return .failed(code: 64, message: "get: an argument of 17 bytes is missing") }
        func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
        let (offset, length) = (number(place[..<8]), number(place[8..<16]))
        guard (0..<Limits.packBytesMax).contains(offset), (1...Limits.bulkBytesMax).contains(length) else {
            return .failed(code: 64, message: "get: no pack has such a part")
        }
        let links = state.read { state in
            state.standing
                .sorted { ($0.device?.hex ?? "") < ($1.device?.hex ?? "") }.map(\.connection)
        }
        guard !links.isEmpty else { return .failed(code: ControlLink.nobody, message: "no peer is connected") }
        let first = offset / Limits.bulkBytesMax + Int(pack.value.bytes.first ?? 0) + Int(place[16])
        var reason = ""
        var isCutOff = true
        for number in links.indices {
            let link = links[(first + number) % links.count]
            let get = Get(kind: .pack, id: ObjectID(pack.value), offset: offset, lengthBytes: length)
            do throws(ReplicationError) {
                let reply = try PeerVault(link).ask(.get(get), "get pack \(pack)")
                guard case .part(let part) = reply.answer else { continue }
                var writer = ByteWriter(capacity: reply.bulk.count + 8)
                writer.uint64(UInt64(clamping: part.totalBytes))
                writer.raw(reply.bulk)
                return .result(writer.bytes)
            } catch {
                reason = error.description
                isCutOff = isCutOff && error.code == .cutOff
            }
        }
        return .failed(code: isCutOff ? ControlLink.nobody : 1, message: reason)
    }
}
