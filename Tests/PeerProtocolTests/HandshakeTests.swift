import BackupFormat
import Cryptography
import PeerProtocol
import TestSupport
import Testing

@Suite("Meeting a peer")
struct HandshakeTests {
    private let dial = HandshakeSide.initiator(peer: nil, token: nil)
    private let listen = HandshakeSide.responder(invitations: [])

    @Test("two devices of one owner know each other by their certificates")
    func own() throws {
        var wire = Wire.paired()
        let mine = wire.a.takeEvents()
        let theirs = wire.b.takeEvents()
        #expect(mine.trust == .own)
        #expect(theirs.trust == .own)
        #expect(wire.a.session.handshakeHash == wire.b.session.handshakeHash)
        #expect(wire.a.session.handshakeHash?.count == 64)
    }

    @Test("nodes of two owners are friends where they have paired, and strangers where they have not")
    func friends() {
        let first = TestNode()
        let second = TestNode()
        var wire = Wire(first.setup(dial, friends: [second.owner.id]), second.setup(listen))
        #expect(wire.a.takeEvents().trust == .friend)
        #expect(wire.b.takeEvents().trust == .stranger)
    }

    @Test("a node without a certificate is a stranger")
    func bare() {
        let first = TestNode()
        var second = TestNode(owner: first.owner)
        second.certificate = nil
        var wire = Wire(first.setup(dial), second.setup(listen))
        #expect(wire.a.takeEvents().trust == .stranger)
        #expect(wire.b.takeEvents().trust == .own)
    }

    @Test("what is said of a peer in the handshake reaches the other side", arguments: 0..<40 as Range<UInt64>)
    func everySplit(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let first = TestNode()
        let second = TestNode(owner: first.owner)
        let offer = Offer(role: .persister, free: 7, reserve: 6, quota: 5, used: 4, granted: 3, wanted: 2, generation: .max)
        var wire = Wire(first.setup(dial), second.setup(listen, offer: offer), begin: false)
        // One byte at a time first, then any pieces.
        wire.pieces = { seed == 0 ? 1 : choices.below($0) + 1 }
        wire.run()
        let ready = wire.a.takeEvents()
        let identity = PeerIdentity(
            agreementKey: second.key.agreementPublicKey, certificate: second.certificate, agent: "bakare-test 1")
        #expect(ready == [.ready(identity, .own, Hello(offer: offer))])
    }

    @Test("the peer that was dialled must answer, not another, nor this node itself")
    func expected() {
        let first = TestNode()
        let second = TestNode(owner: first.owner)
        var right = Wire(
            first.setup(.initiator(peer: second.key.agreementPublicKey, token: nil)), second.setup(listen))
        #expect(right.a.takeEvents().trust == .own)
        var wrong = Wire(first.setup(.initiator(peer: .random(), token: nil)), second.setup(listen))
        #expect(wrong.a.endCode == .otherPeer)
        // It has not said who it is.
        #expect(wrong.b.takeEvents() == [])
        let mirror = Wire(first.setup(dial), first.setup(listen))
        #expect(mirror.a.endCode == .otherPeer)
    }

    @Test("an invitation lets in who holds its token, as invited; another token, a used one or none does not")
    func invitations() {
        let inviter = TestNode()
        let joiner = TestNode()
        let token = Bytes32.random()
        let open = inviter.setup(.responder(invitations: [.random(), token]))
        var wire = Wire(joiner.setup(.initiator(peer: inviter.key.agreementPublicKey, token: token)), open)
        #expect(wire.a.takeEvents().trust == .invited)
        #expect(wire.b.takeEvents().trust == .invited)
        let other = Wire(joiner.setup(.initiator(peer: nil, token: .random())), open)
        #expect(other.a.session.ended == PeerProtocolError(.unknownInvitation, isByPeer: true))
        #expect(other.b.endCode == .unknownInvitation)
        let used = Wire(joiner.setup(.initiator(peer: nil, token: token)), inviter.setup(listen))
        #expect(used.a.endCode == .unknownInvitation)
    }

    @Test("the inviter learns which of its invitations was used, from the complete handshake on, and in no other session")
    func whichInvitation() {
        let inviter = TestNode()
        let token = Bytes32.random()
        let open = inviter.setup(.responder(invitations: [.random(), token, .random()]))
        for joiner in [TestNode(), TestNode(owner: inviter.owner)] {
            var wire = Wire(joiner.setup(.initiator(peer: nil, token: token)), open, begin: false)
            wire.b.receive(wire.a.takeOutbox())
            let early = wire.b.session.invitationToken
            #expect(early == nil, "the preamble alone names it to anyone")
            wire.run()
            #expect(wire.b.session.invitationToken == token)
            let dialler = wire.a.session.invitationToken
            #expect(dialler == nil)
        }
        let plain = Wire(TestNode(owner: inviter.owner).setup(dial), open)
        let none = plain.b.session.invitationToken
        #expect(none == nil)
    }

    @Test("who knows an invitation's name and not its token does not get in")
    func namedInvitation() throws {
        let inviter = TestNode()
        let token = Bytes32.random()
        let preamble = Array("bakarePP\u{1}\u{1}".utf8) + invitationID(token: token).bytes
        var thief = HandshakeState(
            .xxpsk3, isInitiator: true, prologue: Array("bakare peer protocol v1".utf8) + preamble, staticKey: NodeKey.generate(),
            ephemeral: .random32(), psk: .random32())
        var end = End(inviter.setup(.responder(invitations: [token])))
        end.handle(.connected)
        func framed(_ message: [UInt8]) -> [UInt8] { [UInt8(message.count >> 8), UInt8(message.count & 255)] + message }
        end.receive(preamble + framed(try thief.writeMessage([])))
        // Nothing but the third message is under the token.
        let reply = end.takeOutbox()
        #expect(end.endCode == nil)
        _ = try reply[12...].withUnsafeBytes { bytes in Result { try thief.readMessage(bytes) } }.get()
        end.receive(framed(try thief.writeMessage([])))
        #expect(end.endCode == .notGenuine)
        #expect(end.takeEvents().trust == nil)
    }

    @Test("a certificate of another key, or that its owner did not sign, ends the handshake")
    func certificates() throws {
        let first = TestNode()
        var forger = TestNode()
        var forged = try #require(forger.certificate)
        forged.owner = first.owner.id
        forger.certificate = forged
        let wire = Wire(forger.setup(dial), first.setup(listen))
        #expect(wire.b.endCode == .notGenuine)
        let other = Wire(first.setup(dial), forger.setup(listen))
        #expect(other.a.endCode == .notGenuine)
    }

    @Test("a blocked key is told that it is not welcome, whoever certified it")
    func blocked() {
        let first = TestNode()
        let second = TestNode(owner: first.owner)
        let wire = Wire(
            first.setup(dial), second.setup(listen, blocked: [first.key.agreementPublicKey]))
        #expect(wire.b.endCode == .notWelcome)
        #expect(wire.a.session.ended == PeerProtocolError(.notWelcome, isByPeer: true))
    }

    @Test("what speaks something else is told apart from what speaks another version")
    func otherProtocols() {
        for (bytes, code) in [
            ("GET / HTTP/1.1\r\n", PeerProtocolError.Code.notThisProtocol), ("b", nil), ("x", .notThisProtocol),
            ("bakarePP\u{2}\u{0}", .otherVersion), ("bakarePP\u{1}\u{9}", .otherVersion), ("bakarePP\u{1}", nil),
        ] {
            var end = End(TestNode().setup(listen))
            end.handle(.connected)
            end.receive(Array(bytes.utf8))
            #expect(end.endCode == code, "\(bytes)")
            let said = end.takeOutbox()
            #expect(said == (code == .otherVersion ? Array("bakarePP\u{1}\u{1}".utf8) : []))
        }
        for (bytes, code) in [
            ("SSH-2.0-OpenSSH", PeerProtocolError.Code.notThisProtocol), ("bakarePP\u{2}\u{1}", .otherVersion),
            ("bakarePP\u{1}\u{1}", .otherVersion), ("bakarePP\u{1}\u{2}", .unknownInvitation), ("bakarePP\u{1}\u{3}", .busy),
            ("bakarePP\u{1}\u{7}", .notThisProtocol), ("bakarePP\u{1}", nil),
        ] {
            var end = End(TestNode().setup(dial))
            end.handle(.connected)
            end.receive(Array(bytes.utf8))
            #expect(end.endCode == code, "\(bytes)")
        }
    }

    @Test("a responder that has too many says so in the clear, unless it has begun to answer")
    func busyBeforeTheHandshake() {
        for beginning in ["", "bakare"] {
            var end = End(TestNode().setup(listen))
            end.handle(.connected)
            end.receive(Array(beginning.utf8))
            end.handle(.close(.busy, reason: ""))
            #expect(end.takeOutbox() == Array("bakarePP\u{1}\u{3}".utf8))
        }
        var wire = Wire(TestNode().setup(dial), TestNode().setup(listen), begin: false)
        wire.b.receive(wire.a.takeOutbox())
        _ = wire.b.takeOutbox()
        wire.b.handle(.close(.busy, reason: ""))
        #expect(wire.b.takeOutbox().isEmpty)
        var dialler = End(TestNode().setup(dial))
        dialler.handle(.connected)
        _ = dialler.takeOutbox()
        dialler.handle(.close(.busy, reason: ""))
        #expect(dialler.takeOutbox().isEmpty)
    }

    @Test("any byte changed on the way ends the handshake, and nobody is let in", arguments: 0..<2)
    func tampering(direction: Int) {
        let first = TestNode()
        let second = TestNode(owner: first.owner)
        for index in 0..<900 {
            var wire = Wire(first.setup(dial), second.setup(listen), begin: false)
            var passed = 0
            for _ in 0..<4 {
                var toB = wire.a.takeOutbox()
                var toA = wire.b.takeOutbox()
                if direction == 0, toB.indices.contains(index - passed) { toB[index - passed] ^= 0x40 }
                if direction == 1, toA.indices.contains(index - passed) { toA[index - passed] ^= 0x40 }
                passed += direction == 0 ? toB.count : toA.count
                wire.b.receive(toB)
                wire.a.receive(toA)
            }
            guard index < passed else { continue }
            let isReady = direction == 0 ? wire.b.takeEvents().trust != nil : wire.a.takeEvents().trust != nil
            // A longer length only waits for more, and is ended by the clock.
            wire.a.handle(.tick, at: .seconds(10))
            wire.b.handle(.tick, at: .seconds(10))
            #expect(!isReady, "byte \(index)")
            let someEnd = wire.a.endCode ?? wire.b.endCode
            #expect(someEnd != nil, "byte \(index)")
        }
    }

    @Test("holds no more than one handshake message of somebody unknown, however long it is said to be")
    func boundedBeforeAuthentication() {
        for length in [0, 31, 2049, 65_535] {
            var end = End(TestNode().setup(listen))
            end.handle(.connected)
            end.receive(Array("bakarePP\u{1}\u{0}".utf8) + [UInt8(length >> 8), UInt8(length & 255)])
            #expect(end.endCode == .violation, "\(length)")
        }
        var end = End(TestNode().setup(listen))
        end.handle(.connected)
        end.receive(Array("bakarePP\u{1}\u{0}".utf8) + [8, 0])
        for _ in 0..<2047 { end.receive([1]) }
        let held = end.session.heldBytes
        #expect(held <= 2060)
        #expect(end.endCode == nil)
        end.receive([1])
        #expect(end.endCode != nil)
    }

    @Test("a handshake that takes longer than ten seconds is ended, and so is a peer that never says hello")
    func slow() {
        var wire = Wire.paired(begin: false)
        #expect(wire.a.session.deadline == .seconds(10))
        wire.a.handle(.tick, at: .seconds(9))
        #expect(wire.a.endCode == nil)
        wire.a.handle(.tick, at: .seconds(10))
        #expect(wire.a.endCode == .handshakeTooSlow)
    }

    @Test("a node proves that it recovers by the owner key's word, in this session alone")
    func recovery() throws {
        let owner = OwnerKey.generate()
        let persister = TestNode()
        var empty = TestNode(owner: owner)
        empty.certificate = nil
        var wire = Wire(empty.setup(dial), persister.setup(listen))
        let hash = wire.a.session.handshakeHash ?? []
        #expect(throws: SendRefusal.self) { try wire.a.session.answer(RequestID(1), with: .unpaired, at: .zero) }
        _ = try wire.a.request(.recover(Recover(owner: owner.id, signature: owner.signRecovery(handshakeHash: hash))))
        wire.run()
        let asked = try #require(wire.b.takeEvents().requests.first)
        try wire.b.answer(asked.id, .vault(VaultState(exists: true, generation: 3, packs: 2, snapshots: 1)))
        // From now on it may read.
        _ = try wire.a.request(.list(List()))
        wire.run()
        #expect(wire.b.takeEvents().requests.map(\.request) == [.list(List())])
        _ = try wire.a.request(.sweep)
        wire.run()
        #expect(wire.b.endCode == .notWelcome)
    }

    @Test("a recovery that another owner signed, or for another session, ends the session")
    func falseRecovery() throws {
        let owner = OwnerKey.generate()
        for (signer, isOtherSession) in [(OwnerKey.generate(), false), (owner, true)] {
            var wire = Wire(TestNode().setup(dial), TestNode().setup(listen))
            let hash = isOtherSession ? [UInt8](repeating: 1, count: 64) : wire.a.session.handshakeHash ?? []
            _ = try wire.a.request(.recover(Recover(owner: owner.id, signature: signer.signRecovery(handshakeHash: hash))))
            wire.run()
            #expect(wire.b.endCode == .violation)
            #expect(wire.b.takeEvents().requests.isEmpty)
        }
    }
}
