import BackupFormat
import Cryptography
import PeerProtocol
import TestSupport
import Testing

private let megabyte = [UInt8](repeating: 7, count: Limits.bulkBytesMax)

private func put(_ bulk: Int, total: Int = Limits.packBytesMax, offset: Int = 0) -> Request {
    .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: total, offset: offset))
}

@Suite("A session between two honest nodes")
struct SessionTests {
    @Test("every message arrives as it was, in order, however the stream is cut", arguments: 0..<30 as Range<UInt64>)
    func everyMessage(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        var wire = Wire.paired(friends: seed % 2 == 0)
        wire.pieces = { seed == 0 ? 1 : choices.below(min($0, seed % 3 == 0 ? 40 : 100_000)) + 1 }
        _ = wire.a.takeEvents()
        _ = wire.b.takeEvents()
        var expected: [Request] = []
        var sizes = Choices(seed: seed ^ 99)
        for (_, message, bulk) in messageSamples() {
            guard case .request(_, let request) = message else { continue }
            switch request {
            case .pair, .recover: continue
            default: break
            }
            expected.append(request)
            _ = try wire.a.request(request, bulk: bulk)
            if sizes.below(3) == 0 { wire.run() }
        }
        wire.run()
        let requests = wire.b.takeEvents().requests
        #expect(requests.map(\.request) == expected)
        #expect(requests.map(\.id) == (1...expected.count).map { RequestID(UInt64($0)) })
        // Answers in any order.
        for asked in requests.shuffled(using: &sizes) {
            try wire.b.answer(asked.id, .failed(Failed(.busy, reason: "\(asked.id.number)")))
        }
        wire.run()
        let answers = wire.a.takeEvents().answers
        #expect(Set(answers.map(\.id)) == Set(requests.map(\.id)))
        for answer in answers { #expect(answer.answer == .failed(Failed(.busy, reason: "\(answer.id.number)"))) }
        #expect(wire.a.endCode == nil)
        #expect(wire.b.endCode == nil)
    }

    @Test("raw bytes of any length arrive as they were, at the edges of records above all")
    func bulk() throws {
        var choices = Choices(seed: 5)
        var wire = Wire.paired()
        let control = Message.request(RequestID(1), .put(Put(kind: .pack, id: ObjectID(.zero), totalBytes: 1 << 24, offset: 0)))
            .encode().count
        let edge = Limits.recordContentBytesMax - 8 - control
        for count in [0, 1, edge - 1, edge, edge + 1, edge + Limits.recordContentBytesMax, Limits.bulkBytesMax] {
            let bytes = choices.bytes(count)
            let id = try wire.a.request(put(count), bulk: bytes)
            wire.run()
            let events = wire.b.takeEvents()
            #expect(events.requests.map(\.bulk) == [bytes])
            wire.b.handle(.consumed(creditBytes: events.creditBytes))
            try wire.b.answer(id, .stored(Stored(receivedBytes: count, isDurable: false, generation: 0)))
            wire.run()
            wire.a.handle(.consumed(creditBytes: wire.a.takeEvents().creditBytes))
        }
        #expect(wire.b.endCode == nil)
    }

    @Test("nobody sends beyond its credit; what is taken in hand gives it back, and no more than the window waits")
    func credit() throws {
        for window in [Limits.creditBytesInitial, 5 << 20] {
            var wire = Wire.paired(windowBytes: window)
            _ = wire.b.takeEvents()
            var sent = 0
            while true {
                do { _ = try wire.a.request(put(megabyte.count), bulk: megabyte) } catch {
                    #expect(error as? SendRefusal == .noCredit)
                    break
                }
                sent += 1
            }
            #expect(sent == window / Limits.bulkBytesMax - 1)
            wire.run()
            let events = wire.b.takeEvents()
            #expect(events.requests.count == sent)
            #expect(events.creditBytes <= window)
            // A ping goes through all the same.
            wire.a.handle(.tick, at: .seconds(5))
            wire.run(at: .seconds(5))
            #expect(wire.b.endCode == nil)
            wire.b.handle(.consumed(creditBytes: events.creditBytes), at: .seconds(5))
            wire.run(at: .seconds(5))
            #expect(wire.a.takeEvents().contains(.creditGrew))
            _ = try wire.a.request(put(megabyte.count), bulk: megabyte, at: .seconds(5))
        }
    }

    @Test("a transfer of many windows flows as fast as it is taken in hand", arguments: 0..<5 as Range<UInt64>)
    func flow(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        var wire = Wire.paired()
        wire.pieces = { choices.below($0) + 1 }
        _ = wire.b.takeEvents()
        var left = 40
        var stored = 0
        var waiting: [(RequestID, Int)] = []
        while stored < 40 {
            while left > 0, (try? wire.a.request(put(megabyte.count), bulk: megabyte)) != nil { left -= 1 }
            wire.run()
            for case .requested(let id, _, _, let creditBytes) in wire.b.takeEvents() {
                wire.b.handle(.consumed(creditBytes: creditBytes))
                waiting.append((id, 0))
            }
            while let (id, _) = waiting.popLast() {
                try wire.b.answer(id, .stored(Stored(receivedBytes: 1, isDurable: false, generation: 0)))
            }
            wire.run()
            for case .answered(_, _, _, let creditBytes) in wire.a.takeEvents() {
                wire.a.handle(.consumed(creditBytes: creditBytes))
                stored += 1
            }
            try #require(wire.a.endCode == nil && wire.b.endCode == nil)
        }
    }

    @Test("no more requests are open than may be; an answer makes room")
    func openRequests() throws {
        var wire = Wire.paired()
        for _ in 0..<Limits.requestsMax { _ = try wire.a.request(.vault) }
        #expect(throws: SendRefusal.tooManyRequests) { try wire.a.request(.vault) }
        wire.run()
        #expect(wire.b.endCode == nil)
        try wire.b.answer(RequestID(5), .vault(VaultState(exists: false)))
        #expect(throws: SendRefusal.notAsked) { try wire.b.answer(RequestID(5), .vault(VaultState(exists: false))) }
        wire.run()
        _ = try wire.a.request(.vault)
        wire.run()
        #expect(wire.b.endCode == nil)
    }

    @Test("a node that changes its offer tells its peer")
    func offers() {
        var wire = Wire.paired()
        _ = wire.b.takeEvents()
        let offer = Offer(role: .persister, free: 5, generation: 2)
        wire.a.handle(.offer(offer))
        wire.run()
        #expect(wire.b.takeEvents() == [.offered(offer)])
    }

    @Test("nothing is sent before both have said hello, nor after the end")
    func notReady() throws {
        var wire = Wire.paired(begin: false)
        #expect(throws: SendRefusal.notReady) { try wire.a.request(.vault) }
        wire.run()
        _ = try wire.a.request(.vault)
        wire.a.handle(.close(.leaving, reason: "stopping"))
        #expect(throws: SendRefusal.notReady) { try wire.a.request(.vault) }
        wire.run()
        #expect(wire.b.session.ended == PeerProtocolError(.leaving, "stopping", isByPeer: true))
        #expect(wire.a.takeEvents().closed == PeerProtocolError(.leaving, "stopping"))
        wire.a.receive([1, 2, 3])
        #expect(wire.a.takeEvents() == [])
    }
}

@Suite("A session and time")
struct SessionTimeTests {
    /// Lets both ends run, each called when it asked for, until `end`.
    private func pass(_ wire: inout Wire, from start: Int, to end: Int, isCut: Bool = false) {
        for second in start..<end {
            let now = Duration.seconds(second)
            let deadlines = (wire.a.session.deadline, wire.b.session.deadline)
            if deadlines.0 <= now { wire.a.handle(.tick, at: now) }
            if deadlines.1 <= now { wire.b.handle(.tick, at: now) }
            if isCut {
                _ = wire.a.takeOutbox()
                _ = wire.b.takeOutbox()
            } else {
                wire.run(at: now)
            }
        }
    }

    @Test("an idle session lives for ever")
    func idle() {
        var wire = Wire.paired()
        pass(&wire, from: 0, to: 3600)
        #expect(wire.a.endCode == nil)
        #expect(wire.b.endCode == nil)
    }

    @Test("a peer that answers pings alone is given up after a quarter of an hour, one that goes on answering is not")
    func mute() throws {
        func life(answersEach: Int?) throws -> (endedAt: Int?, code: PeerProtocolError.Code?) {
            var wire = Wire.paired()
            var asked: [RequestID] = []
            for _ in 0..<20 { asked.append(try wire.a.request(.vault)) }
            wire.run()
            for minute in 0..<20 {
                if let answersEach, minute % answersEach == 0, !asked.isEmpty {
                    try wire.b.answer(asked.removeFirst(), .vault(VaultState(exists: false)), at: .seconds(minute * 60))
                }
                pass(&wire, from: minute * 60, to: minute * 60 + 60)
                if let code = wire.a.endCode { return (minute, code) }
            }
            return (nil, nil)
        }
        #expect(try life(answersEach: nil) == (15, .silent))
        #expect(try life(answersEach: 10) == (nil, nil))
    }

    @Test("a peer that is cut off is noticed within fifteen seconds, by both sides")
    func cut() {
        var wire = Wire.paired()
        pass(&wire, from: 0, to: 100)
        pass(&wire, from: 100, to: 115, isCut: true)
        #expect(wire.a.endCode == .silent)
        #expect(wire.b.endCode == .silent)
    }

    @Test("a node that hears nothing while it sends for long is not deaf: the other side speaks up by itself")
    func slowUpload() {
        // What `a` sends takes long to arrive; what `b` sends comes at once.
        var wire = Wire.paired()
        for second in 0..<120 {
            let now = Duration.seconds(second)
            if wire.a.session.deadline <= now { wire.a.handle(.tick, at: now) }
            if wire.b.session.deadline <= now { wire.b.handle(.tick, at: now) }
            wire.a.receive(wire.b.takeOutbox(), at: now)
            // A few bytes trickle.
            let some = wire.a.outbox.prefix(20)
            wire.a.outbox.removeFirst(some.count)
            wire.b.receive(Array(some), at: now)
        }
        #expect(wire.a.endCode == nil)
        #expect(wire.b.endCode == nil)
    }

    @Test("a session that slept ends at once when it is called again, and so does one that is told of a suspension")
    func suspended() {
        for seconds in [14, 3_000_000] {
            var wire = Wire.paired()
            wire.a.handle(.tick, at: .seconds(4))
            wire.run(at: .seconds(4))
            wire.a.handle(.tick, at: .seconds(4 + seconds))
            #expect(wire.a.endCode == .resumed)
        }
        var wire = Wire.paired()
        wire.a.handle(.resumed, at: .seconds(1))
        wire.run(at: .seconds(1))
        #expect(wire.a.endCode == .resumed)
        #expect(wire.b.session.ended == PeerProtocolError(.resumed, isByPeer: true))
    }

    @Test("a command that asks and serves nobody is not cut off by a peer that takes it for a node")
    func servesNobody() throws {
        for servesNobody in [false, true] {
            let (command, friend) = (TestNode(), TestNode())
            var setup = command.setup(.initiator(peer: nil, token: nil))
            setup.acquaintances.servesNobody = servesNobody
            var wire = Wire(setup, friend.setup(.responder(invitations: []), friends: [command.owner.id]))
            _ = wire.a.takeEvents()
            let request = try wire.b.request(.vault)
            wire.run()
            guard servesNobody else {
                #expect(wire.a.endCode == .notWelcome)
                continue
            }
            #expect(wire.a.endCode == nil && wire.b.endCode == nil)
            try wire.a.answer(request, .failed(Failed(.busy)))
            wire.run()
            let hash = wire.a.session.handshakeHash ?? []
            let recover = Recover(owner: command.owner.id, signature: command.owner.signRecovery(handshakeHash: hash))
            _ = try wire.a.request(.recover(recover))
            wire.run()
            #expect(wire.a.endCode == nil && wire.b.endCode == nil)
        }
    }

    @Test("a connection that breaks is named so, and no farewell is tried into it")
    func disconnected() {
        var wire = Wire.paired()
        wire.a.handle(.disconnected)
        #expect(wire.a.takeOutbox() == [])
        #expect(wire.a.takeEvents().closed?.code == .disconnected)
    }

    @Test("every reason says what to do")
    func reasons() {
        for code in PeerProtocolError.Code.allCases {
            #expect(PeerProtocolError(code).description.count > 20)
            #expect(PeerProtocolError(code, "why", isByPeer: true).description.hasPrefix("the peer says: "))
        }
    }
}
