import BackupFormat
import Daemon
import HostFiles
import NodeRuntime
import Testing

@Suite("What a node says") struct LogQueueTests {
    @Test("a terminal that takes nothing holds nobody up, and costs a bounded number of lines")
    func blocked() {
        let isOpen = ConditionLock(false)
        let written = ConditionLock<[String]>([])
        let queue = LogQueue { line in
            _ = isOpen.wait { $0 ? true : nil }
            written.withLock { $0.append(line) }
        }
        for number in 0..<5000 { queue.say("line \(number)") }
        // Nobody has taken a line yet, and still this comes back.
        #expect(written.withLock { $0.isEmpty })
        isOpen.withLock { $0 = true }
        queue.end()
        let lines = written.withLock { $0 }
        #expect(lines.first == "line 0")
        #expect(lines.count < 2100)
        #expect(lines.contains { $0.hasSuffix("more lines were left out") })
    }

    @Test("what was said last is written before the end, and nothing after it")
    func end() {
        let written = ConditionLock<[String]>([])
        let queue = LogQueue { line in written.withLock { $0.append(line) } }
        queue.say("last words")
        queue.end()
        queue.say("too late")
        #expect(written.withLock { $0 } == ["last words"])
    }

    @Test("who is no peer any more is not dialled for ever")
    func dialling() {
        let kept = ConditionLock<Set<Bytes32>>([])
        var dialling = Dialling(
            keep: { peer, _ in kept.withLock { _ = $0.insert(peer) } }, forget: { peer in kept.withLock { _ = $0.remove(peer) } })
        let peers = (0..<3).map { Bytes32(words: (UInt64($0), 1, 1, 1)) }
        let address = PeerAddress(host: "192.0.2.1", port: 4747)
        dialling.follow(peers.map { ($0, [address]) })
        #expect(kept.withLock { $0 } == Set(peers))
        // One without an address is wanted still: it may come by itself, or be found.
        dialling.follow([(peers[0], [address]), (peers[1], [])])
        #expect(kept.withLock { $0 } == Set(peers[..<2]))
        dialling.follow([])
        #expect(kept.withLock { $0 }.isEmpty)
    }
}
