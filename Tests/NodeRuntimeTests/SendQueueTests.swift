import BackupFormat
import NodeRuntime
import PeerProtocol
import Testing

private let megabyte = [UInt8](repeating: 1, count: Limits.bulkBytesMax)

private func request(_ bytes: Int) -> Outgoing { .request(put(Limits.packBytesMax), megabyte.prefix(bytes)) { _ in } }
private func answer(_ bytes: Int) -> Outgoing {
    .answer(RequestID(1), .part(Part(totalBytes: max(1, bytes))), megabyte.prefix(bytes))
}

@Suite("In which order messages go out")
struct SendQueueTests {
    @Test("each kind waits for room of its own, and the longest message fits when there is nothing else")
    func room() {
        var queue = SendQueue(queuedBytesMax: 1000)
        #expect(queue.add(request(5000)) == true)
        #expect(queue.add(request(1)) == false)
        #expect(queue.add(answer(400)) == true)
        #expect(queue.add(answer(600)) == true)
        #expect(queue.add(answer(1)) == false)
        #expect(queue.queuedBytes == 6000)
        #expect(queue.drain().count == 3)
        #expect(queue.queuedBytes == 0)
        var added = 0
        while queue.add(request(0)) { added += 1 }
        #expect(added == 256)
    }

    @Test("answers go first; what could not be sent keeps its place")
    func order() {
        var queue = SendQueue(queuedBytesMax: 10_000)
        _ = queue.add(request(1))
        _ = queue.add(request(2))
        _ = queue.add(answer(3))
        let first = queue.next(creditBytes: 8 << 20, hasRequestRoom: true)
        #expect(first?.bulkBytes == 3)
        guard let first else { return }
        queue.putBack(first)
        #expect(queue.next(creditBytes: 2, hasRequestRoom: true) == nil)
        #expect(queue.next(creditBytes: 8 << 20, hasRequestRoom: true)?.bulkBytes == 3)
        #expect(queue.next(creditBytes: 8 << 20, hasRequestRoom: false) == nil)
        #expect(queue.next(creditBytes: 8 << 20, hasRequestRoom: true)?.bulkBytes == 1)
    }

    @Test(
        "requests leave credit for the longest answer, and the longest request goes out when all but a quarter is there",
        arguments: [2, 3, 4, 5, 8, 64])
    func reserve(windowMebibytes: Int) {
        let window = windowMebibytes << 20
        var queue = SendQueue(queuedBytesMax: 1 << 30)
        for _ in 0..<200 { _ = queue.add(request(Limits.bulkBytesMax)) }
        var credit = window
        // The peer has seen nothing yet of what goes out.
        _ = queue.next(creditBytes: window, hasRequestRoom: false)
        credit = window * 3 / 4 + 1
        #expect(queue.next(creditBytes: credit, hasRequestRoom: true) != nil)
        credit = window
        while queue.next(creditBytes: credit, hasRequestRoom: true) != nil {
            credit -= 8 + Limits.controlBytesMax + Limits.bulkBytesMax
        }
        if windowMebibytes >= 5 { #expect(credit - window / 4 >= 8 + Limits.bulkBytesMax + 64) }
        #expect(credit >= 0)
    }
}
