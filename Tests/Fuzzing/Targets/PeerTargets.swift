internal import BackupFormat
internal import Cryptography
internal import PeerProtocol

/// What peers send: messages, and whole sessions of strangers and of peers with keys.
let peerTargets: [FuzzTarget] = [
    roundTrip("peer-message", vectors: "messages") { bytes in try Message(decoding: bytes).encode() },
    FuzzTarget(
        name: "peer-stranger",
        run: { bytes in
            var choices = Choices(bytes)
            let isResponder = choices.byte() & 1 == 0
            let side: HandshakeSide =
                isResponder ? .responder(invitations: [.zero]) : .initiator(peer: nil, token: nil)
            var session = Session(PeerWorld.setup(PeerWorld.node, side), ephemeral: SecretBytes(PeerWorld.ephemeral))
            _ = session.handle(.connected, at: .zero)
            while !choices.isEmpty, session.ended == nil {
                let piece = choices.take(1 + Int(choices.byte()))
                for effect in session.handle(.received(piece), at: .zero) {
                    if case .ready = effect { throw BrokenPromise(description: "peer-stranger: let in without a key") }
                    if case .requested = effect { throw BrokenPromise(description: "peer-stranger: heard without a key") }
                }
                let held = session.heldBytes
                try promise(held <= Limits.handshakeRecordBytesMax + 64, "peer-stranger: holds \(held) bytes")
            }
        },
        seeds: {
            let wire = try Vectors.read("session")
            func pieces(_ name: String) -> [UInt8] {
                let bytes = wire.first { $0.name == name }?.bytes ?? []
                return stride(from: 0, to: bytes.count, by: 100).flatMap { start in
                    let piece = bytes[start..<min(start + 100, bytes.count)]
                    return [UInt8(piece.count - 1)] + piece
                }
            }
            return [[0] + pieces("initiator"), [1] + pieces("responder"), [0] + Array("GET / HTTP/1.1\r\n\r\n".utf8)]
        }),
    FuzzTarget(
        name: "peer-handshake-payload",
        run: { bytes in
            guard bytes.count <= 1900 else { return }
            var world = PeerWorld(payload: Array(bytes))
            world.hello()
            // The owner's word for this key is the one certificate that makes it a device.
            let isCertified = bytes.starts(with: PeerWorld.certificateField)
            try promise(world.trust == nil || isCertified == (world.trust == .own), "peer-handshake-payload: wrongly trusted")
        },
        seeds: { [PeerWorld.payload, [], [0x12, 1, 0x61]] }),
    FuzzTarget(
        name: "peer-session",
        run: { bytes in
            var choices = Choices(bytes)
            var world = PeerWorld(payload: PeerWorld.payload)
            world.hello()
            var credit = 0
            while !choices.isEmpty, world.session.ended == nil {
                for effect in world.record(Array(choices.take(1 + choices.number(bytes: 2)))) {
                    switch effect {
                    case .requested(_, _, _, let bytes), .answered(_, _, _, let bytes): credit += bytes
                    default: break
                    }
                }
                try promise(credit <= Limits.creditBytesInitial, "peer-session: more than its credit")
                let held = world.session.heldBytes
                try promise(
                    held <= Limits.bulkBytesMax + Limits.controlBytesMax + Limits.recordBytesMax + 2,
                    "peer-session: holds \(held) bytes")
            }
        },
        seeds: {
            try Vectors.read("messages").map { PeerWorld.record($0.bytes, bulk: 0) } + [
                try Vectors.read("messages").flatMap { PeerWorld.record($0.bytes, bulk: 0) },
                PeerWorld.record(Message.request(RequestID(1), .put(PeerWorld.put)).encode(), bulk: 50),
            ]
        }),
    FuzzTarget(
        name: "audit-samples",
        run: { bytes in
            guard let verdicts = try? PeerWorld.audit.verdicts(of: Array(bytes)) else { return }
            try promise(verdicts.count == 2, "audit-samples: a verdict for each pack")
            if verdicts.allSatisfy({ $0 == .proven }) {
                try promise(bytes.elementsEqual(PeerWorld.samples), "audit-samples: other bytes than the packs have")
            }
        },
        seeds: { [PeerWorld.samples, AuditSample.missing + AuditSample.missing] }),
]

/// A session of a node with a peer of the same owner, whose every byte is chosen here.
private struct PeerWorld: ~Copyable {
    static let owner = OwnerKey(seed: sha256([1]))
    static let node = NodeKey(seed: sha256([2]))
    static let peer = NodeKey(seed: sha256([3]))
    static let ephemeral = sha256([4])
    static let put = Put(kind: .pack, id: ObjectID(.zero), totalBytes: 1000, offset: 0)

    static func setup(_ key: NodeKey, _ side: HandshakeSide) -> SessionSetup {
        SessionSetup(
            handshake: HandshakeSetup(key: key, certificate: certificate(key), agent: "fuzz"), side: side,
            acquaintances: Acquaintances(owner: owner.id), offer: Offer(role: .auto))
    }

    private static func certificate(_ key: NodeKey) -> Certificate {
        owner.certify(key, name: "fuzz", permissions: .all, serial: 1)
    }

    /// What the peer says of itself in the handshake when it tells the truth.
    static let payload: [UInt8] = certificateField + [0x12, 4] + Array("fuzz".utf8)

    static let certificateField: [UInt8] = {
        var writer = ProtobufWriter()
        writer.message(1, certificate(peer).encode())
        return writer.bytes
    }()

    /// A record, as an input of the target names it: its length less 1, little-endian, and its bytes.
    static func record(_ control: [UInt8], bulk: Int) -> [UInt8] {
        let plain = header(control.count, bulk) + control + [UInt8](repeating: 1, count: bulk)
        return [UInt8(truncatingIfNeeded: plain.count - 1), UInt8(truncatingIfNeeded: (plain.count - 1) >> 8)] + plain
    }

    private static func header(_ control: Int, _ bulk: Int) -> [UInt8] {
        [control, bulk].flatMap { count in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } }
    }

    var session: Session
    /// The peer's cipher; nil when the node ended the handshake.
    private var sending: CipherState?
    private(set) var trust: Trust?

    /// Opens the session; the peer's part of the handshake carries `payload`.
    init(payload: [UInt8]) {
        session = Session(
            PeerWorld.setup(PeerWorld.node, .responder(invitations: [])), ephemeral: SecretBytes(PeerWorld.ephemeral))
        sending = nil
        _ = session.handle(.connected, at: .zero)
        let preamble = Array("bakarePP\u{1}\u{0}".utf8)
        var noise = HandshakeState(
            .xx, isInitiator: true, prologue: Array("bakare peer protocol v1".utf8) + preamble, staticKey: PeerWorld.peer,
            ephemeral: SecretBytes(sha256([5])))
        guard let first = try? noise.writeMessage([]) else { return }
        let reply = receive(preamble + PeerWorld.framed(first)).dropFirst(12)
        guard case .success = reply.withUnsafeBytes({ bytes in Result { try noise.readMessage(bytes) } }),
            let last = try? noise.writeMessage(payload)
        else { return }
        _ = receive(PeerWorld.framed(last))
        guard session.ended == nil else { return }
        var transport = noise.split()
        sending = transport.takeSending()
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
    }

    /// What the node writes upon these bytes.
    private mutating func receive(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { session.handle(.received($0), at: .zero) }.flatMap { effect -> [UInt8] in
            if case .write(let bytes) = effect { bytes } else { [] }
        }
    }

    /// Says hello, and notes what the node makes of the peer.
    mutating func hello() {
        let hello = Message.notice(.hello(Hello(offer: Offer(role: .auto)))).encode()
        for effect in record(PeerWorld.header(hello.count, 0) + hello) {
            if case .ready(_, let found, _) = effect { trust = found }
        }
    }

    /// The peer sends a record of exactly these bytes, at most 65,519.
    mutating func record(_ plain: [UInt8]) -> [SessionEffect] {
        guard var cipher = sending.take() else { return [] }
        var text = plain.prefix(Limits.recordContentBytesMax) + [UInt8](repeating: 0, count: CipherState.tagBytes)
        let isSealed = text.withUnsafeMutableBytes { (try? cipher.encrypt(inPlace: $0)) != nil }
        sending = consume cipher
        guard isSealed else { return [] }
        return PeerWorld.framed(Array(text)).withUnsafeBytes { session.handle(.received($0), at: .zero) }
    }

    private static let packs: [[UInt8]] = [10, 9000].map { count in (0..<count).map { UInt8(truncatingIfNeeded: $0 * 131) } }
    static let audit = Audit(
        seed: sha256([6]), packs: packs.map { pack in pack.withUnsafeBytes { MerkleTree(hashing: $0).packID } })
    static let samples: [UInt8] = packs.flatMap { pack in
        let tree = pack.withUnsafeBytes { MerkleTree(hashing: $0) }
        let leaf = audit.leaf(of: tree.packID, leafCount: tree.leaves.count)
        let end = min(pack.count, (leaf + 1) * Limits.leafBytes)
        return AuditSample.encode(
            packBytes: pack.count, leaf: Array(pack[leaf * Limits.leafBytes..<end]), proof: tree.proof(of: leaf..<leaf + 1))
    }
}
