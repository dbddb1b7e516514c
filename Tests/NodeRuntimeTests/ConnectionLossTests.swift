import BackupFormat
import Cryptography
import HostFiles
import NodeRuntime
import PeerProtocol
import Testing

@Suite("Connections that break, and come again", .serialized)
struct ConnectionLossTests {
    @Test("a connection cut in the midst of transfers fails what waits at once, and is made again")
    func cut() throws {
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner)
        let client = TestNode(owner: owner)
        let proxy = Proxy()
        client.transport.keepSession(with: server.agreementKey, at: [try proxy.start(to: server.listen())])
        for round in 1...3 {
            let connection = try client.connection()
            let failed = ConditionLock(0)
            let cutter = WorkerThread(name: "cuts") {
                _ = server.wait { $0.answered > 10 * round }
                proxy.cut()
            }
            onThreads(4) { thread in
                let bytes = content(thread, 700_000)
                do { while true { _ = try connection.request(put(Limits.packBytesMax), bulk: bytes[...]) } } catch {
                    failed.withLock { $0 += 1 }
                }
            }
            cutter?.join()
            #expect(failed.withLock { $0 } == 4)
            #expect(connection.ended?.code == .disconnected)
            #expect(client.wait { $0.connections.count == round + 1 && $0.open.count == 1 })
            try checkedPut(try client.connection(), content(round, 10_000))
        }
        client.stop()
        server.stop()
        try proxy.stop()
    }

    @Test("a peer that is gone without a word is noticed within fifteen seconds")
    func halfOpen() throws {
        let speed = 4
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner, speed: speed)
        let client = TestNode(owner: owner, speed: speed)
        let proxy = Proxy()
        client.transport.keepSession(with: server.agreementKey, at: [try proxy.start(to: server.listen())])
        let connection = try client.connection()
        _ = try server.connection()
        proxy.swallow()
        let began = ContinuousClock.now
        #expect(throws: PeerProtocolError.self) { try connection.request(.vault) }
        let passed = (ContinuousClock.now - began) * speed
        #expect(passed < .seconds(17), "\(passed)")
        #expect(connection.ended?.code == .silent)
        #expect(server.wait { $0.ends.first?.code == .silent })
        client.stop()
        server.stop()
        try proxy.stop()
    }

    @Test("an idle session stays, kept by pings alone")
    func idle() throws {
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner, speed: 4)
        let client = TestNode(owner: owner, speed: 4)
        client.transport.keepSession(with: server.agreementKey, at: [try server.listen()])
        let connection = try client.connection()
        #expect(!client.wait(seconds: 6) { !$0.ends.isEmpty })
        try checkedPut(connection, [1, 2, 3])
        client.stop()
        server.stop()
    }

    @Test("both dial at once: exactly one session remains, the same for both", arguments: 0..<8)
    func simultaneous(round: Int) throws {
        let owner = OwnerKey.generate()
        let nodes = [TestNode(owner: owner), TestNode(owner: owner)]
        let addresses = [try nodes[0].listen(), try nodes[1].listen()]
        onThreads(2) { side in
            nodes[side].transport.keepSession(with: nodes[1 - side].agreementKey, at: [addresses[1 - side]])
        }
        for node in nodes { _ = try node.connection() }
        // Until both are at rest.
        #expect(eventually { nodes.allSatisfy { $0.transport.openCount == 1 } })
        let connections = try nodes.map { try $0.connection() }
        #expect(connections[0].handshakeHash == connections[1].handshakeHash)
        for connection in connections { try checkedPut(connection, content(round, 50_000)) }
        for node in nodes {
            for end in node.log.withLock({ $0.ends }) { #expect(end.code == .duplicate, "\(end)") }
            #expect(node.log.withLock { $0.open.count } == 1)
        }
        for node in nodes { node.stop() }
    }

    @Test("who comes again takes the place of his old session, which is gone without a word")
    func restarted() throws {
        let owner = OwnerKey.generate()
        let key = NodeKey.generate()
        let server = TestNode(owner: owner)
        let address = try server.listen()
        let proxy = Proxy()
        let before = TestNode(owner: owner, key: key)
        before.transport.keepSession(with: server.agreementKey, at: [try proxy.start(to: address)])
        _ = try server.connection()
        proxy.swallow()
        let after = TestNode(owner: owner, key: key)
        after.transport.keepSession(with: server.agreementKey, at: [address])
        try checkedPut(try after.connection(), content(5, 5000))
        #expect(server.wait { $0.open.last?.handshakeHash == (try? after.connection().handshakeHash) })
        #expect(server.wait { $0.open.count == 1 })
        after.stop()
        before.stop()
        server.stop()
        try proxy.stop()
    }

    @Test("the right address is found among wrong ones, and a new one is tried at once")
    func addresses() throws {
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner)
        let other = TestNode(owner: owner)
        let closed = TestNode(owner: owner)
        let nobody = try closed.listen()
        closed.stop()
        let wrong = try other.listen()
        let client = TestNode(owner: owner)
        client.transport.keepSession(with: server.agreementKey, at: [nobody, wrong])
        for code in [PeerProtocolError.Code.otherPeer, .unreached] {
            #expect(client.wait { $0.refusals.contains { $0.code == code } })
        }
        let right = try server.listen()
        client.transport.keepSession(
            with: server.agreementKey, at: [nobody, wrong, PeerAddress(host: "localhost", port: right.port)])
        #expect(try client.connection(seconds: 5).peer.agreementKey == server.agreementKey)
        client.transport.forgetPeer(server.agreementKey)
        for node in [client, server, other] { node.stop() }
    }
}
