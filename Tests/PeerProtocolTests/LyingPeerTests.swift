import BackupFormat
import Cryptography
import PeerProtocol
import TestSupport
import Testing

@Suite("A session with a peer that lies")
struct LyingPeerTests {
    private let node = TestNode()

    /// A paired peer that may say anything, or a stranger.
    private func liar(isStranger: Bool = false, hello: Bool = true) throws -> LyingPeer {
        let peer = isStranger ? TestNode() : TestNode(owner: node.owner)
        return try LyingPeer.open(node.setup(.responder(invitations: [])), peer.key, peer.certificate, hello: hello)
    }

    /// Whether `lie` ends the session for `code`, with a farewell that says so, and hands nothing up.
    private func ends(
        code: PeerProtocolError.Code = .violation, isStranger: Bool = false, hello: Bool = true, _ what: String,
        _ lie: (inout LyingPeer) throws -> Void
    ) throws {
        var peer = try liar(isStranger: isStranger, hello: hello)
        _ = try peer.listen()
        try lie(&peer)
        let ended = peer.honest.session.ended
        #expect(ended?.code == code, "\(what)")
        #expect(ended?.isByPeer == false, "\(what)")
        let events = peer.honest.takeEvents()
        #expect(events.last == ended.map { .closed($0) }, "\(what)")
        #expect(events.requests.isEmpty && events.answers.isEmpty, "\(what)")
        let said = try peer.listen()
        #expect(said.last == .notice(.goodbye(Goodbye(code, reason: ended?.detail ?? ""))), "\(what)")
    }

    @Test("refuses sizes beyond every limit by the header alone, and holds nothing for them")
    func sizes() throws {
        for (control, bulk) in [
            (0, 0), (0, 5), (Limits.controlBytesMax + 1, 0), (1, Limits.bulkBytesMax + 1), (Int(UInt32.max), Int(UInt32.max)),
        ] {
            try ends("\(control), \(bulk)") { try $0.record(LyingPeer.header(control, bulk) + [1]) }
        }
        for count in 1..<8 { try ends("a record of \(count) bytes") { try $0.record([UInt8](repeating: 0, count: count)) } }
        try ends("more than the header says") { try $0.record(LyingPeer.header(3, 0) + [8, 1, 2, 3]) }
        try ends("a record that is not full") { try $0.record(LyingPeer.header(1000, 0) + [8, 1]) }
        try ends("a notice with bytes after it") { try $0.say(.notice(.ping(1)), bulk: [1]) }
        try ends("a request with bytes that has none") { try $0.say(.request(RequestID(1), .vault), bulk: [1]) }
        try ends("an order without bytes") { try $0.say(.request(RequestID(1), .forget)) }
    }

    @Test("refuses an empty record and a longer one than may be")
    func records() throws {
        for length in [0, 15, 16] {
            var peer = try liar()
            peer.honest.receive([UInt8(length >> 8), UInt8(length & 255)] + [UInt8](repeating: 0, count: length))
            #expect(peer.honest.endCode == .violation)
        }
        var peer = try liar()
        peer.honest.receive([0, 17] + [UInt8](repeating: 0, count: 17))
        #expect(peer.honest.endCode == .notGenuine)
    }

    @Test("holds no more than one message and one record of what is never finished")
    func unfinished() throws {
        var peer = try liar()
        let content = Limits.recordContentBytesMax
        let message = Message.request(
            RequestID(1), .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: 1 << 24, offset: 0))
        ).encode()
        try peer.record(
            LyingPeer.header(message.count, Limits.bulkBytesMax) + message
                + [UInt8](repeating: 1, count: content - 8 - message.count))
        for _ in 0..<15 { try peer.record([UInt8](repeating: 1, count: content)) }
        #expect(peer.honest.endCode == nil)
        let held = peer.honest.session.heldBytes
        #expect(held > 15 * content && held <= Limits.bulkBytesMax + message.count + 2)
    }

    @Test("refuses whatever comes before hello, and a second hello")
    func early() throws {
        try ends(hello: false, "a request first") { try $0.say(.request(RequestID(1), .vault)) }
        try ends(hello: false, "a ping first") { try $0.say(.notice(.ping(1))) }
        try ends(hello: false, "a long message first") { try $0.record(LyingPeer.header(1025, 0)) }
        try ends(hello: false, "raw bytes first") { try $0.record(LyingPeer.header(20, 1)) }
        try ends("hello again") { try $0.say(.notice(.hello(Hello(offer: Offer(role: .auto))))) }
    }

    @Test("refuses unknown and malformed messages", arguments: 0..<30 as Range<UInt64>)
    func malformed(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let bytes = choices.bytes(1 + choices.below(60))
        guard (try? bytes.withUnsafeBytes { try Message(decoding: $0) }) == nil else { return }
        try ends("\(bytes)") { try $0.say(control: bytes) }
    }

    @Test("refuses request numbers that do not rise, and more open requests than may be")
    func requestNumbers() throws {
        for second in [RequestID(5), RequestID(4)] {
            var peer = try liar()
            try peer.say(.request(RequestID(5), .vault))
            try peer.say(.request(second, .vault))
            #expect(peer.honest.endCode == .violation)
        }
        var peer = try liar()
        for number in 1...Limits.requestsMax { try peer.say(.request(RequestID(UInt64(number) * 3), .vault)) }
        #expect(peer.honest.endCode == nil)
        try peer.say(.request(RequestID(1000), .vault))
        #expect(peer.honest.endCode == .violation)
    }

    @Test("refuses answers to nothing, answers twice, and answers of another kind")
    func unasked() throws {
        try ends("an answer to nothing") { try $0.say(.answer(RequestID(1), .unpaired)) }
        try ends("an answer of another kind") {
            _ = try $0.honest.request(.vault)
            try $0.say(.answer(RequestID(1), .unpaired))
        }
        var peer = try liar()
        _ = try peer.honest.request(.unpair)
        try peer.say(.answer(RequestID(1), .unpaired))
        #expect(peer.honest.endCode == nil)
        try peer.say(.answer(RequestID(1), .unpaired))
        #expect(peer.honest.endCode == .violation)
    }

    @Test("refuses answers that contradict what was asked: other ids, other ranges, more room than wanted")
    func contradictions() throws {
        func id<ID: Identifier>(_ number: UInt64) -> ID { ID(Bytes32(words: (number, 0, 0, 0))) }
        let have = Request.have(Have(kind: .pack, ids: [id(1), id(2), id(3)]))
        let get = Request.get(Get(kind: .pack, id: id(1), offset: 100, lengthBytes: 50))
        let put = Request.put(Put(kind: .pack, id: id(1), totalBytes: 10, offset: 0))
        let lies: [(Request, [UInt8], Answer, Int)] = [
            (have, [], .missing(Missing(ids: [id(4)], generation: 0)), 0),
            (have, [], .missing(Missing(ids: [id(2), id(1)], generation: 0)), 0),
            (have, [], .missing(Missing(ids: [id(2), id(2)], generation: 0)), 0),
            (get, [], .part(Part(totalBytes: 200)), 49), (get, [], .part(Part(totalBytes: 200)), 51),
            (get, [], .part(Part(totalBytes: 149)), 50), (get, [], .part(Part(totalBytes: 100)), 1),
            (
                .get(Get(kind: .page, id: id(1), offset: 0, lengthBytes: 1)), [],
                .part(Part(totalBytes: Limits.pageBytesMax + 1)), 1
            ),
            (put, [1], .stored(Stored(receivedBytes: 11, isDurable: false, generation: 0)), 0),
            (put, [1], .stored(Stored(receivedBytes: 9, isDurable: true, generation: 0)), 0),
            (.list(List(after: id(5))), [], .listing(Listing(snapshots: [id(5)], hasMore: false)), 0),
            (.reserve(Reserve(bytes: 5)), [], .reserved(Reserved(bytes: 6)), 0),
        ]
        for (request, bulk, answer, answerBulk) in lies {
            try ends("\(answer)") {
                _ = try $0.honest.request(request, bulk: bulk)
                try $0.say(.answer(RequestID(1), answer), bulk: [UInt8](repeating: 0, count: answerBulk))
            }
        }
    }

    @Test("refuses bytes of an object beyond its end, and none where some are due")
    func putRanges() throws {
        for (offset, count) in [(0, 11), (5, 6), (10, 1), (5, 0)] {
            try ends("\(count) bytes at \(offset)") {
                let put = Put(kind: .pack, id: ObjectID(.zero), totalBytes: 10, offset: offset)
                try $0.say(.request(RequestID(1), .put(put)), bulk: [UInt8](repeating: 0, count: count))
            }
        }
    }

    @Test("refuses more than its credit, and credit without end")
    func credit() throws {
        var peer = try liar()
        let megabyte = [UInt8](repeating: 0, count: Limits.bulkBytesMax)
        func put(_ number: UInt64) -> Message {
            .request(RequestID(number), .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: 1 << 24, offset: 0)))
        }
        try peer.say(put(1), bulk: megabyte)
        #expect(peer.honest.endCode == nil)
        _ = try? peer.say(put(2), bulk: megabyte)
        #expect(peer.honest.endCode == .violation)
        try ends("no credit") { try $0.say(.notice(.credit(0))) }
        try ends("more credit than may be") { try $0.say(.notice(.credit(UInt64(Limits.creditBytesMax)))) }
        try ends("credit that overflows") { try $0.say(.notice(.credit(.max))) }
    }

    @Test("refuses a flood of notices, and takes as many as a waking peer may have sent")
    func notices() throws {
        var peer = try liar()
        for number in 1...Limits.noticesMax { try peer.say(.notice(.ping(UInt64(number)))) }
        #expect(peer.honest.endCode == nil)
        let pongs = try peer.listen().filter { if case .notice(.pong) = $0 { true } else { false } }
        #expect(pongs.count == Limits.noticesMax)
        try peer.say(.notice(.ping(99)))
        #expect(peer.honest.endCode == .violation)
    }

    @Test("a stranger may ask nothing, and send nothing long; a false recovery ends its session")
    func strangers() throws {
        let requests = messageSamples().compactMap { sample -> (Request, [UInt8])? in
            guard case .request(_, let request) = sample.message, sample.bulk.isEmpty else { return nil }
            if case .recover = request { return nil }
            return (request, sample.bulk)
        }
        for (request, _) in requests {
            try ends(code: .notWelcome, isStranger: true, "\(request)") { try $0.say(.request(RequestID(1), request)) }
        }
        try ends(isStranger: true, "raw bytes") { try $0.record(LyingPeer.header(50, 1)) }
        try ends(isStranger: true, "a long message") { try $0.record(LyingPeer.header(Limits.strangerControlBytesMax + 1, 0)) }
        let false_ = Recover(owner: node.owner.id, signature: .zero)
        try ends(isStranger: true, "a false recovery") { try $0.say(.request(RequestID(1), .recover(false_))) }
    }

    @Test("a paired peer may not pair again without an invitation")
    func pairing() throws {
        try ends(code: .notWelcome, "pair") {
            try $0.say(.request(RequestID(1), .pair(Pair(quotaBytes: 1, device: DeviceID(.zero), name: ""))))
        }
    }
}

@Suite("Audits")
struct AuditTests {
    /// A persister's samples of packs that it holds.
    private func samples(_ audit: Audit, _ packs: [PackID: [UInt8]]) -> [[UInt8]] {
        audit.packs.map { id in
            guard let bytes = packs[id] else { return AuditSample.missing }
            let tree = bytes.withUnsafeBytes { MerkleTree(hashing: $0) }
            let leaf = audit.leaf(of: id, leafCount: tree.leaves.count)
            let end = min(bytes.count, (leaf + 1) * Limits.leafBytes)
            return AuditSample.encode(
                packBytes: bytes.count, leaf: Array(bytes[leaf * Limits.leafBytes..<end]), proof: tree.proof(of: leaf..<leaf + 1))
        }
    }

    private func world(_ choices: inout Choices) -> (Audit, [PackID: [UInt8]]) {
        var packs: [PackID: [UInt8]] = [:]
        for size in [1, 4096, 4097, 50_000, 123_456] {
            let bytes = choices.bytes(size)
            packs[bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }] = bytes
        }
        return (Audit(seed: choices.bytes32(), packs: packs.keys.sorted()), packs)
    }

    @Test("whoever holds the packs proves it; whoever lost one says so")
    func honest() throws {
        var choices = Choices(seed: 1)
        var (audit, packs) = world(&choices)
        #expect(try audit.verdicts(of: samples(audit, packs).joined()) == [.proven, .proven, .proven, .proven, .proven])
        packs[audit.packs[2]] = nil
        #expect(try audit.verdicts(of: samples(audit, packs).joined()) == [.proven, .proven, .missing, .proven, .proven])
        let most = Audit(seed: .zero, packs: (0..<64).map { PackID(Bytes32(words: ($0, 0, 0, 0))) })
        #expect(try most.verdicts(of: [UInt8](repeating: 0, count: 256)).count == 64)
    }

    @Test("a sample with any bit changed proves nothing", arguments: 0..<5 as Range<UInt64>)
    func lies(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let (audit, packs) = world(&choices)
        let right = samples(audit, packs)
        for (index, sample) in right.enumerated() {
            for _ in 0..<200 {
                var changed = sample
                changed[choices.below(changed.count)] ^= 1 << UInt8(choices.below(8))
                var all = right
                all[index] = changed
                let verdicts = try? audit.verdicts(of: all.joined())
                #expect(verdicts?[index] != .proven)
            }
        }
        #expect(throws: FormatError.self) { try audit.verdicts(of: Array(right.joined()) + [0]) }
        #expect(throws: FormatError.self) { try audit.verdicts(of: Array(right.joined()).dropLast()) }
        #expect(throws: FormatError.self) { try audit.verdicts(of: []) }
    }

    @Test("samples of other leaves than were asked for prove nothing: nobody keeps only those it likes")
    func otherLeaves() throws {
        var choices = Choices(seed: 3)
        let bytes = choices.bytes(100 * 4096)
        let tree = bytes.withUnsafeBytes { MerkleTree(hashing: $0) }
        let audit = Audit(seed: choices.bytes32(), packs: [tree.packID])
        let asked = audit.leaf(of: tree.packID, leafCount: 100)
        for leaf in 0..<100 {
            let sample = AuditSample.encode(
                packBytes: bytes.count, leaf: Array(bytes[leaf * 4096..<(leaf + 1) * 4096]),
                proof: tree.proof(of: leaf..<leaf + 1))
            #expect(try audit.verdicts(of: sample) == [leaf == asked ? .proven : .refuted])
        }
        let seeds = (0..<2000).map { _ in Audit(seed: choices.bytes32(), packs: []).leaf(of: tree.packID, leafCount: 100) }
        #expect(Set(seeds).count == 100)
    }
}
