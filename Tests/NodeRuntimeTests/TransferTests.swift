import BackupFormat
import Cryptography
import HostFiles
import NodeRuntime
import PeerProtocol
import Testing

/// Two devices of one owner, the second connected to the first; both are stopped afterwards.
func withPair(
    workers: Int = 2, windowBytes: Int = 8 << 20, answering: @escaping TestNode.Answering = { standardAnswer($0) },
    _ body: (_ server: TestNode, _ client: TestNode) throws -> Void
) throws {
    let owner = OwnerKey.generate()
    let server = TestNode(owner: owner, workers: workers, windowBytes: windowBytes, answering: answering)
    let client = TestNode(owner: owner, workers: workers, windowBytes: windowBytes, answering: answering)
    defer {
        client.stop()
        server.stop()
    }
    client.transport.keepSession(with: server.agreementKey, at: [try server.listen()])
    _ = try client.connection()
    _ = try server.connection()
    try body(server, client)
}

@Suite("Requests and answers over real sockets", .serialized)
struct TransferTests {
    @Test("both sides ask and answer, with raw bytes of any length")
    func bothWays() throws {
        try withPair { server, client in
            let connections = [try client.connection(), try server.connection()]
            #expect(connections[0].handshakeHash == connections[1].handshakeHash)
            #expect(connections[0].isDialled && !connections[1].isDialled)
            #expect(connections[1].peer.agreementKey == client.agreementKey)
            for connection in connections {
                for count in [0, 1, 4096, 65_519, 300_000, Limits.bulkBytesMax] {
                    try checkedPut(connection, content(count, count))
                    guard count > 0 else { continue }
                    #expect(try connection.request(get(7, count)).bulk == content(7, count))
                }
                #expect(try connection.request(.vault).answer == .vault(VaultState(exists: false)))
            }
        }
    }

    @Test("many requests under way at once are each answered with what is theirs")
    func pipelined() throws {
        try withPair { server, client in
            let connection = try client.connection()
            let replies = ConditionLock<[Int: PeerReply]>([:])
            for index in 0..<400 {
                let count = 1 + index * 977 % 100_000
                try connection.submit(get(index, count)) { result in
                    guard case .success(let reply) = result else { return }
                    replies.withLock { $0[index] = reply }
                }
            }
            #expect(replies.wait(milliseconds: 20_000) { $0.count == 400 ? true : nil } == true)
            for (index, reply) in replies.withLock({ $0 }) {
                #expect(reply.bulk == content(index, 1 + index * 977 % 100_000), "\(index)")
            }
        }
    }

    @Test(
        "both sides at the top of their speed, with one worker each, do not wait for each other for ever", arguments: [2, 5, 8])
    func saturated(windowMebibytes: Int) throws {
        // With the smallest window only puts: their answers are short.
        let isSmall = windowMebibytes == 2
        try withPair(workers: 1, windowBytes: windowMebibytes << 20) { server, client in
            let connections = [try client.connection(), try server.connection()]
            let done = ConditionLock(0)
            onThreads(8) { thread in
                let connection = connections[thread % 2]
                let bytes = content(thread, Limits.bulkBytesMax)
                for round in 0..<15 {
                    let isPut = isSmall || (thread / 2 + round) % 2 == 0
                    let reply =
                        isPut
                        ? try? connection.request(put(Limits.packBytesMax), bulk: bytes[...])
                        : try? connection.request(get(0, Limits.bulkBytesMax))
                    if reply != nil { done.withLock { $0 += 1 } }
                }
            }
            #expect(done.withLock { $0 } == 120)
            for node in [server, client] { #expect(node.log.withLock { $0.inboxBytesMax } <= windowMebibytes << 20) }
        }
    }

    @Test("twenty peers at once, and no more waits than the windows of all")
    func twenty() throws {
        let owner = OwnerKey.generate()
        let server = TestNode(owner: owner, windowBytes: 2 << 20)
        let address = try server.listen()
        let clients = (0..<20).map { _ in TestNode(owner: owner, workers: 0) }
        for client in clients { client.transport.keepSession(with: server.agreementKey, at: [address]) }
        let done = ConditionLock(0)
        onThreads(20) { index in
            guard let connection = try? clients[index].connection() else { return }
            for round in 0..<10 {
                do { try checkedPut(connection, content(index * 100 + round, 300_000)) } catch { return }
                done.withLock { $0 += 1 }
            }
        }
        #expect(done.withLock { $0 } == 200)
        #expect(server.log.withLock { $0.open.count } == 20)
        #expect(server.log.withLock { $0.inboxBytesMax } <= 20 * (2 << 20))
        for client in clients { client.stop() }
        server.stop()
    }

    @Test("stopping in the midst of everything tells everybody who waits, and leaves nothing")
    func stopWhileBusy() throws {
        for round in 0..<6 {
            try withPair { server, client in
                let connections = [try client.connection(), try server.connection()]
                let reasons = ConditionLock<[PeerProtocolError]>([])
                let stopper = WorkerThread(name: "stops") { [stopped = round % 2 == 0 ? server : client] in
                    _ = stopped.wait { $0.answered > 20 }
                    stopped.transport.stop()
                }
                onThreads(6) { thread in
                    let bytes = content(thread, 500_000)
                    do {
                        while true { _ = try connections[thread % 2].request(put(Limits.packBytesMax), bulk: bytes[...]) }
                    } catch { if let error = error as? PeerProtocolError { reasons.withLock { $0.append(error) } } }
                }
                stopper?.join()
                let found = reasons.withLock { $0 }
                #expect(found.count == 6)
                for reason in found { #expect(reason.code == .leaving || reason.code == .disconnected, "\(reason)") }
                #expect((round % 2 == 0 ? server : client).transport.openCount == 0)
                #expect(throws: PeerProtocolError.self) { try connections[0].request(.vault) }
            }
        }
    }

    @Test("a stopped transport listens and dials no more, and may be stopped again")
    func stopped() throws {
        let node = TestNode(owner: .generate())
        let address = try node.listen()
        node.stop()
        node.transport.stop()
        #expect(throws: Refused.self) { try RawSocket(address) }
        #expect(throws: NodeRuntimeError.self) { try node.listen() }
        node.transport.keepSession(with: .random(), at: [address])
    }

    @Test("an address that another has, and one that is none, are refused with the reason")
    func cannotListen() throws {
        let node = TestNode(owner: .generate())
        let other = TestNode(owner: .generate())
        let address = try node.listen()
        #expect { try other.transport.listen(on: address) } throws: { ($0 as? NodeRuntimeError)?.code == .cannotListen }
        #expect { try other.transport.listen(on: PeerAddress(host: "nas.example", port: 1)) } throws: {
            ($0 as? NodeRuntimeError)?.code == .notAnAddress
        }
        let six = try node.listen("::1")
        #expect(six.description == "[::1]:\(six.port)")
        node.stop()
        other.stop()
    }
}
