import BackupFormat
import Daemon
import NodeRuntime
import PeerProtocol
import Testing

@Suite("The line of a session's requests") struct RequestLineTests {
    private static func id(_ number: UInt64) -> ObjectID { ObjectID(Bytes32(words: (number, 0, 0, 0))) }

    /// A part of a pack.
    private func part(_ number: UInt64, of pack: UInt64, _ kind: ObjectKind = .pack) -> PeerRequest {
        let put = Put(kind: kind, id: RequestLineTests.id(pack), totalBytes: 100, offset: Int(number))
        return PeerRequest(id: RequestID(number), request: .put(put), bulk: [1], creditBytes: 1)
    }

    private func question(_ number: UInt64) -> PeerRequest {
        PeerRequest(id: RequestID(number), request: .vault, bulk: [], creditBytes: 0)
    }

    private func line(_ requests: [PeerRequest]) -> RequestLine {
        var line = RequestLine()
        for request in requests { line.add(request) }
        return line
    }

    @Test("a part of another pack passes those of a pack of which one is in hand, which stay in order")
    func passes() {
        let parts = [part(1, of: 1), part(2, of: 1), part(3, of: 2), part(4, of: 1)]
        var line = line(parts)
        #expect(line.next() == parts[0])
        #expect(line.next() == parts[2])
        #expect(line.next() == nil)
        line.done(parts[2])
        #expect(line.next() == nil)
        line.done(parts[0])
        #expect(line.next() == parts[1])
        #expect(line.next() == nil)
        line.done(parts[1])
        #expect(line.next() == parts[3])
        line.done(parts[3])
        #expect(line.next() == nil)
    }

    @Test("anything else waits for what came before it, and lets nothing by")
    func alone() {
        for other in [question(3), part(3, of: 9, .draft), part(3, of: 9, .page)] {
            let before = [part(1, of: 1), part(2, of: 2)]
            let after = part(4, of: 3)
            var line = line(before + [other, after])
            #expect(line.next() == before[0])
            #expect(line.next() == before[1])
            #expect(line.next() == nil)
            line.done(before[1])
            #expect(line.next() == nil)
            line.done(before[0])
            #expect(line.next() == other)
            #expect(line.next() == nil)
            line.done(other)
            #expect(line.next() == after)
            #expect(line.next() == nil)
        }
    }

    @Test("audits may be in hand together, but with nothing else")
    func audits() {
        func audit(_ number: UInt64) -> PeerRequest {
            let audit = Audit(seed: .zero, packs: [PackID(RequestLineTests.id(number).value)])
            return PeerRequest(id: RequestID(number), request: .audit(audit), bulk: [], creditBytes: 0)
        }
        let requests = [part(1, of: 1), audit(2), audit(3), part(4, of: 1), question(5), audit(6)]
        var line = line(requests)
        #expect(line.next() == requests[0])
        #expect(line.next() == nil)
        line.done(requests[0])
        #expect(line.next() == requests[1])
        #expect(line.next() == requests[2])
        #expect(line.next() == nil)
        line.done(requests[2])
        #expect(line.next() == nil)
        line.done(requests[1])
        for request in requests[3...] {
            #expect(line.next() == request)
            #expect(line.next() == nil)
            line.done(request)
        }
    }
}
