import BackupFormat
import Cryptography
import HostFiles
import PeerProtocol
import Peers
import Replication
import TestSupport
import Testing
import Vault

/// An owner with one device.
struct ServeOwner: Sendable {
    var key = OwnerKey.generate()
    var node = NodeKey.generate()

    func identity(_ permissions: Permissions = .all) -> PeerIdentity {
        PeerIdentity(
            agreementKey: node.agreementPublicKey,
            certificate: key.certify(node, name: "laptop", permissions: permissions, serial: 1), agent: "test")
    }

    func record(
        _ sequence: UInt64, _ pages: [PackListPage], revision: UInt64 = 0, sealed: [UInt8] = [1, 2, 3]
    ) -> SnapshotRecord {
        var record = SnapshotRecord(
            owner: key.id, device: node.id, sequence: sequence, sealed: sealed, revision: revision,
            pages: pages.map { SnapshotRecord.Page(id: $0.id, packCount: $0.packs.count) },
            certificate: key.certify(node, name: "laptop", permissions: .all, serial: 1))
        signSnapshot(&record, with: node)
        return record
    }

    func forget(_ ids: [SnapshotID]) -> [UInt8] {
        signForget(ids, certificate: key.certify(node, name: "laptop", permissions: .all, serial: 1), with: node).encode()
    }
}

/// A pack of bytes that nobody else has.
struct ServePack: Sendable {
    let id: PackID
    let bytes: [UInt8]

    /// The same for the same seed: a block of random bytes over and over, each with its number.
    init(_ count: Int, seed: UInt64) {
        var choices = Choices(seed: seed)
        let block = choices.bytes(64)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes += block }
        bytes.removeLast(bytes.count - count)
        for start in stride(from: 0, to: count, by: 4096) { bytes[start] = UInt8(truncatingIfNeeded: start >> 12) }
        self.bytes = bytes
        id = bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }
    }

    var object: ObjectID { ObjectID(id.value) }

    func put(_ offset: Int) -> Put { Put(kind: .pack, id: object, totalBytes: bytes.count, offset: offset) }
}

/// What a service is asked to do things by, changed by tests at any time.
final class ServeRules: Sendable {
    struct Values: Sendable {
        var now: Int64 = 1000
        var reserveBytes: UInt64 = 0
        var policies: [OwnerID: ServingPolicy] = [:]
        var forgotten: Set<SnapshotID> = []
        var changes: [VaultChange] = []
        var log: [String] = []
    }

    private let values = ConditionLock(Values())

    var now: Int64 {
        get { values.withLock { $0.now } }
        set { values.withLock { $0.now = newValue } }
    }
    func set(_ body: (inout Values) -> Void) { values.withLock { body(&$0) } }
    func get<R>(_ body: (Values) -> R) -> R { values.withLock { body($0) } }

    func service(_ disk: any Disk, own: OwnerID, bufferBytes: Int = 20 << 20, grace: Int64 = 100) -> VaultService {
        let values = values
        let service = VaultService(
            disk: disk, directory: "/home/vault", own: own, reserveBytes: { values.withLock { $0.reserveBytes } },
            policy: { owner in values.withLock { $0.policies[owner] } },
            isForgotten: { id in values.withLock { $0.forgotten.contains(id) } }, bufferBytes: bufferBytes,
            trashGraceSeconds: grace, now: { values.withLock { $0.now } },
            log: { line in values.withLock { $0.log.append(line) } })
        service.onChange = { change in values.withLock { $0.changes.append(change) } }
        return service
    }
}

/// A friend whose vault this node keeps.
struct ServeWorld {
    let own = ServeOwner()
    let friend = ServeOwner()
    let rules = ServeRules()
    let disk: SimulatedDisk
    var service: VaultService
    let hash = [UInt8](repeating: 7, count: 64)

    init(quotaBytes: UInt64 = 1 << 30, disk: SimulatedDisk = SimulatedDisk(), bufferBytes: Int = 20 << 20) {
        self.disk = disk
        disk.now = 1000
        let policy = ServingPolicy(quotaBytes: quotaBytes, mayStore: true)
        let owners = [own.key.id, friend.key.id]
        rules.set { values in
            values.policies = [owners[0]: ServingPolicy(quotaBytes: .max, mayStore: true), owners[1]: policy]
        }
        service = rules.service(disk, own: own.key.id, bufferBytes: bufferBytes)
    }

    func setQuota(_ bytes: UInt64, mayStore: Bool = true) {
        let owner = friend.key.id
        rules.set { $0.policies[owner] = ServingPolicy(quotaBytes: bytes, mayStore: mayStore) }
    }

    func session(_ permissions: Permissions = .all) -> VaultSession {
        service.session(peer: friend.identity(permissions), trust: .friend, handshakeHash: hash)
    }

    func ownSession(_ permissions: Permissions = .all) -> VaultSession {
        service.session(peer: own.identity(permissions), trust: .own, handshakeHash: hash)
    }

    /// The friend's vault, looked at from beside.
    func vault() throws -> Vault { try Vault(disk: disk, directory: "/home/vault", owner: friend.key.id, create: false) }

    /// Bytes of the friend's files, and of the reserve though it be given up.
    func fileBytes() -> Int { ServeWorld.fileBytes(disk, friend.key.id) }

    static func fileBytes(_ disk: SimulatedDisk, _ owner: OwnerID) -> Int {
        let root = RawPath("/home/vault").appending(owner.hex)
        let files = disk.files(under: root)
        guard !files.isEmpty else { return 0 }
        let kept = files.filter { $0.path == root.appending("reserve") }.reduce(0) { $0 + $1.bytes.count }
        return files.reduce(0) { $0 + $1.bytes.count } - kept + Vault.reserveBytes
    }
}

extension VaultSession {
    /// One request, and what comes of it; checks that the answer is one that may be sent for it.
    func ask(_ request: Request, _ bulk: [UInt8] = []) -> (answer: Answer, bulk: [UInt8]) {
        let (answer, bytes) = self.answer(request, bulk: bulk)
        let encoded = Message.answer(RequestID(1), answer).encode()
        #expect(encoded.count <= Limits.controlBytesMax && bytes.count <= Limits.bulkBytesMax)
        let decoded = encoded.withUnsafeBytes { try? Message(decoding: $0) }
        if case .failed(let failed) = answer {
            guard case .answer(_, .failed(let other))? = decoded else {
                Issue.record("\(answer) cannot be sent")
                return (answer, bytes)
            }
            #expect(other.code == failed.code && bytes.isEmpty)
        } else {
            #expect(decoded == Message.answer(RequestID(1), answer), "\(answer)")
        }
        switch (request, answer) {
        case (_, .failed): break
        case (.put(let put), .stored(let stored)):
            #expect(stored.receivedBytes <= put.totalBytes && stored.isDurable == (stored.receivedBytes == put.totalBytes))
        case (.get(let get), .part(let part)): #expect(bytes.count == min(get.lengthBytes, part.totalBytes - get.offset))
        case (.have(let have), .missing(let missing)): #expect(have.ids.filter { missing.ids.contains($0) } == missing.ids)
        case (.reserve(let reserve), .reserved(let reserved)): #expect(reserved.bytes <= reserve.bytes)
        case (.audit, .samples): #expect(!bytes.isEmpty)
        case (.vault, .vault), (.recover, .vault), (.list, .listing), (.commit, .outcome), (.forget, .forgotten),
            (.sweep, .swept):
            break
        default: Issue.record("\(answer) to \(request)")
        }
        return (answer, bytes)
    }

    func stored(_ put: Put, _ bytes: some Collection<UInt8>) throws -> Stored {
        let answer = ask(.put(put), Array(bytes)).answer
        guard case .stored(let stored) = answer else { throw ServeFailure(answer: answer) }
        return stored
    }

    /// Puts a pack from where the service wants it on, in parts; anew if what it had kept was torn by a crash.
    func put(_ pack: ServePack, partBytes: Int = 1 << 20) throws {
        var offset = try stored(pack.put(0), []).receivedBytes
        var hasBegunAnew = false
        while offset < pack.bytes.count {
            let end = min(offset + partBytes, pack.bytes.count)
            let answer = try stored(pack.put(offset), pack.bytes[offset..<end])
            guard answer.receivedBytes == end || !hasBegunAnew else { throw ServeFailure(answer: .stored(answer)) }
            hasBegunAnew = hasBegunAnew || answer.receivedBytes != end
            offset = answer.receivedBytes
        }
    }

    func put(_ page: PackListPage) throws {
        let bytes = page.encode()
        let put = Put(kind: .page, id: ObjectID(page.id.value), totalBytes: bytes.count, offset: 0)
        guard try stored(put, bytes).isDurable else { throw ServeFailure(answer: .samples) }
    }

    @discardableResult
    func put(_ record: SnapshotRecord) throws -> ObjectID {
        let bytes = record.encode()
        let id = ObjectID(sha256(bytes))
        guard try stored(Put(kind: .draft, id: id, totalBytes: bytes.count, offset: 0), bytes).isDurable else {
            throw ServeFailure(answer: .samples)
        }
        return id
    }

    func commit(_ record: SnapshotRecord, isReplacement: Bool = false) throws -> Outcome.Result {
        let draft = try put(record)
        let answer = ask(.commit(Commit(draft: draft, isReplacement: isReplacement))).answer
        guard case .outcome(let outcome) = answer else { throw ServeFailure(answer: answer) }
        return outcome.result
    }

    /// A whole pack, part by part.
    func got(_ pack: ServePack, partBytes: Int = 1 << 20) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < pack.bytes.count {
            let (answer, bulk) = ask(.get(Get(kind: .pack, id: pack.object, offset: bytes.count, lengthBytes: partBytes)))
            guard case .part(let part) = answer, part.totalBytes == pack.bytes.count else { throw ServeFailure(answer: answer) }
            bytes += bulk
        }
        return bytes
    }

    func code(_ request: Request, _ bulk: [UInt8] = []) -> Failed.Code? {
        if case .failed(let failed) = ask(request, bulk).answer { return failed.code }
        return nil
    }

    var vaultState: VaultState? {
        if case .vault(let state) = ask(.vault).answer { return state }
        return nil
    }
}

struct ServeFailure: Error { let answer: Answer }

/// A session as the client side sees one: it may break after some requests.
final class SessionLink: PeerLink {
    private struct State {
        var left: Int?
        var putBytes = 0
    }

    let session: VaultSession
    private let state: ConditionLock<State>

    init(_ session: VaultSession, breaksAfter: Int? = nil) {
        self.session = session
        state = ConditionLock(State(left: breaksAfter))
    }

    var putBytes: Int { state.withLock { $0.putBytes } }

    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping @Sendable (Result<PeerReply, PeerProtocolError>) -> Void
    ) throws(PeerProtocolError) {
        let isCut = state.withLock { state in
            if case .put = request { state.putBytes += bulk.count }
            guard let left = state.left else { return false }
            state.left = left - 1
            return left <= 0
        }
        if isCut {
            session.end()
            throw PeerProtocolError(.disconnected)
        }
        let (answer, bytes) = session.ask(request, Array(bulk))
        then(.success(PeerReply(answer, bulk: bytes)))
    }
}
