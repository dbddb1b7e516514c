import BackupFormat
import Cryptography
import NodeRuntime
import PeerProtocol
import TestSupport
import Testing

@Suite("Peers that do not keep to anything", .serialized)
struct HostilePeerTests {
    @Test(
        "two hundred connections that say nothing keep no honest peer out, and are ended", arguments: ["127.0.0.1", "127.0.0.2"])
    func slowLoris(source: String) throws {
        let owner = OwnerKey.generate()
        var bounds = TransportBounds()
        bounds.unknownMax = 40
        bounds.unknownPerSourceMax = 12
        let server = TestNode(owner: owner, bounds: bounds, speed: 4)
        let client = TestNode(owner: owner, speed: 4)
        let address = try server.listen("0.0.0.0")
        let beginnings = ["", "bakare", "bakarePP\u{1}\u{0}", "bakarePP\u{1}\u{0}\u{0}\u{20}abc"]
        let lorises = try (0..<200).map { index in
            let loris = try RawSocket(PeerAddress(host: "127.0.0.1", port: address.port), from: source)
            loris.write(Array(beginnings[index % 4].utf8))
            return loris
        }
        #expect(eventually { server.transport.unknownCount > 0 })
        #expect(server.transport.unknownCount <= 40)
        client.transport.keepSession(
            with: server.agreementKey, at: [PeerAddress(host: "127.0.0.1", port: address.port)])
        try checkedPut(try client.connection(), content(1, 100_000))
        // The last are ended by the time that a handshake may take, a quarter of it here.
        for loris in lorises { #expect(loris.readToEnd() != nil) }
        #expect(eventually { server.transport.unknownCount == 0 })
        #expect(server.log.withLock { $0.refusals.contains { $0.code == .handshakeTooSlow } })
        client.stop()
        server.stop()
    }

    @Test("whatever is sent to the port, nothing stays of it, and the next honest peer is served")
    func garbage() throws {
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner)
        let client = TestNode(owner: owner)
        let address = try server.listen()
        var choices = Choices(seed: 7)
        for round in 0..<60 {
            let socket = try RawSocket(address)
            let heads = ["", "bakarePP\u{1}\u{0}", "bakarePP\u{1}\u{0}\u{0}\u{20}", "GET / HTTP/1.1\r\n"]
            socket.write(
                Array(heads[round % 4].utf8) + (0..<choices.below(5000)).map { _ in UInt8(truncatingIfNeeded: choices.next()) })
            if round % 5 == 0 { continue }
            if round % 4 != 2 { _ = socket.readToEnd() }
        }
        client.transport.keepSession(with: server.agreementKey, at: [address])
        try checkedPut(try client.connection(), content(1, 100_000))
        #expect(server.wait { $0.refusals.count == 60 })
        #expect(eventually { server.transport.openCount == 1 })
        client.stop()
        server.stop()
    }

    @Test("a peer that asks and asks and reads nothing is cut off, and costs no more than it should")
    func slowReader() throws {
        let owner = OwnerKey.generate()
        var bounds = TransportBounds()
        bounds.stalledMax = .seconds(2)
        let server = TestNode(owner: owner, bounds: bounds)
        let address = try server.listen()
        let key = NodeKey.generate()
        let setup = SessionSetup(
            handshake: HandshakeSetup(
                key: key, certificate: owner.certify(key, name: "slow", permissions: .all, serial: 1), agent: ""),
            side: .initiator(peer: nil, token: nil), acquaintances: Acquaintances(owner: owner.id), offer: Offer(role: .auto),
            windowBytes: Limits.creditBytesMax)
        let socket = try RawSocket(address)
        var session = try beginSession(socket, setup)
        for offset in 0..<Limits.requestsMax - 4 {
            socket.write(try session.request(get(offset, Limits.bulkBytesMax), at: .zero).bytes)
        }
        #expect(server.wait { !$0.ends.isEmpty })
        let end = try #require(server.log.withLock { $0.ends.first })
        #expect(end.code == .silent && end.detail.contains("takes nothing"), "\(end)")
        // What the kernel holds for a reader on the same machine, and what this node holds; not all that was asked for.
        #expect(server.log.withLock { $0.answered } < 30)
        server.stop()
    }

    @Test("more peers than may be are told that this node is busy, and one comes in when another has left")
    func busy() throws {
        let owner = OwnerKey.generate()
        var bounds = TransportBounds()
        bounds.pairedMax = 1
        let server = TestNode(owner: owner, bounds: bounds)
        let address = try server.listen()
        let first = TestNode(owner: owner)
        let second = TestNode(owner: owner)
        first.transport.keepSession(with: server.agreementKey, at: [address])
        _ = try server.connection()
        second.transport.keepSession(with: server.agreementKey, at: [address])
        #expect(second.wait { $0.ends.contains { $0.code == .busy } || $0.refusals.contains { $0.code == .busy } })
        first.stop()
        #expect(server.wait { $0.open.last?.peer.agreementKey == second.agreementKey })
        second.stop()
        server.stop()
    }

    @Test("an invitation lets in who has it, and nobody else")
    func invitation() throws {
        let token = Bytes32.random()
        let server = TestNode(owner: .generate(), invitations: [token])
        let address = try server.listen()
        let guest = TestNode(owner: .generate())
        let connection = try guest.transport.connect(to: [address], peer: server.agreementKey, token: token)
        #expect(connection.trust == .stranger || connection.trust == .invited)
        #expect(connection.invitationToken == nil)
        #expect(try server.connection().trust == .invited)
        #expect(try server.connection().invitationToken == token)
        #expect { try guest.transport.connect(to: [address], peer: server.agreementKey, token: .random()) } throws: {
            ($0 as? PeerProtocolError)?.code == .unknownInvitation
        }
        #expect { try guest.transport.connect(to: [address], peer: .random(), token: nil) } throws: {
            ($0 as? PeerProtocolError)?.code == .otherPeer
        }
        #expect(throws: PeerProtocolError.self) { try guest.transport.connect(to: [], peer: nil, token: nil) }
        guest.stop()
        server.stop()
    }
}
