import Foundation
import LabHarness
import Testing

/// Nodes on a network with real daemons: each test has hosts, links and daemons of its own.
@Suite("Discovery in the lab", .enabled(if: Neighbourhood.obstacle == nil, Neighbourhood.skipped))
struct DiscoveryLabTests {
    @Test("two nodes see each other within 3 s, with addresses, and each other's goodbye")
    func meeting() async throws {
        let places = try await Neighbourhood(["a", "b"])
        let one = try places.node(1, "laptop", on: "a")
        let two = try places.node(2, "nas", on: "b")
        let seen = try await one.line("node 2 is there") { $0.says("appeared 2 role=both free=4 proto=1 name=<nas>") }
        let seenToo = try await two.line("node 1 is there") { $0.says("appeared 1 role=both free=4 proto=1 name=<laptop>") }
        #expect(seen.milliseconds < 3000)
        #expect(seenToo.milliseconds < 3000)
        try await one.line("IPv4") { $0.contains("10.77.0.2:7002") }
        let ipv6 = try await one.line("IPv6") { $0.contains("[fe80::") }
        let address = try #require(ipv6.split(separator: " ").last { $0.hasPrefix("[fe80::") })
        #expect(address.hasSuffix("%\(try places["a"].interface)]:7002"))
        #expect(try places["a"].canReach(address))

        try two.signal("USR1")
        try await one.line("the new role and space") { $0.says("changed 2 role=persister free=64 ") }
        #expect(try two.finish() == 0)
        #expect(two.lines.last?.hasSuffix(" stopped") == true)
        try await one.line("the goodbye", within: 3) { $0.says("gone 2") }
        #expect(try one.finish() == 0)
        // Neither has met itself.
        #expect(!one.lines.contains { $0.says("unavailable") || $0.mentions(1) })
        #expect(!two.lines.contains { $0.says("unavailable") || $0.mentions(2) })
    }

    @Test("nodes with the same name on two hosts see each other all the same, and one that is killed is gone")
    func sameName() async throws {
        let places = try await Neighbourhood(["a", "b", "c"])
        let watcher = try places.node(3, "watcher", on: "c")
        let one = try places.node(1, "backup", on: "a")
        let two = try places.node(2, "backup", on: "b")
        let lines = [
            try await watcher.line("node 1") { $0.says("appeared 1 ") },
            try await watcher.line("node 2") { $0.says("appeared 2 ") },
        ]
        #expect(Set(lines.map { $0.between("name=<", ">") }) == ["backup", "backup #2"])
        try await one.line("node 2") { $0.says("appeared 2 ") }
        try await two.line("node 1") { $0.says("appeared 1 ") }
        // More on one host as well: there the daemon refuses the name at once.
        let more = try [4, 5, 6].map { try places.node($0, "backup", on: "a") }
        try await watcher.eventually("all are there, each with a name of its own") { lines in
            let last = [1, 2, 4, 5, 6].compactMap { number in lines.last { $0.mentions(number) } }
            return Set(last.filter { !$0.says("gone") }.map { $0.between("name=<", ">") }).count == 5
        }
        for number in 4...6 { try await one.line("node \(number)") { $0.says("appeared \(number) ") } }
        for node in more { try await node.line("node 1") { $0.says("appeared 1 ") } }

        try one.finish("KILL")
        for node in [watcher, two] + more { try await node.line("node 1 is gone") { $0.says("gone 1") } }
    }

    @Test("the daemon killed and started again: said once, and nodes see each other again")
    func daemonRestarted() async throws {
        let places = try await Neighbourhood(["a", "b"])
        let one = try places.node(1, "laptop", on: "a")
        let two = try places.node(2, "nas", on: "b")
        try await one.line("node 2") { $0.says("appeared 2 ") }
        try await two.line("node 1") { $0.says("appeared 1 ") }
        let descriptors = try places.descriptors(of: one, on: "a")
        for round in 1...2 {
            let before = (one.lines.count, two.lines.count)
            try places.stopAvahi(on: "a", "KILL")
            try await one.line("unavailable", after: before.0) { $0.says("unavailable ") }
            try await one.line("node 2 is gone", after: before.0) { $0.says("gone 2") }
            if round == 2 { try await Task.sleep(for: .milliseconds(1200)) }
            try places.startAvahi(on: "a")
            try await one.line("available", after: before.0) { $0.says("available") }
            try await one.line("node 2", after: before.0) { $0.says("appeared 2 ") }
            #expect(one.lines.dropFirst(before.0).filter { $0.says("unavailable ") }.count == 1)
            // Seen from b, the host may have been away or not: in the end, its node is there.
            try await two.eventually("node 1 is there, once") { $0.last { $0.mentions(1) }.map { !$0.says("gone 1") } == true }
        }
        // Whatever a connection to the daemon had open is closed with it.
        #expect(try places.descriptors(of: one, on: "a") == descriptors)
        // It is announced anew, too: a node that comes only now sees it.
        let three = try places.node(3, "late", on: "b")
        try await three.line("node 1") { $0.says("appeared 1 ") }
    }

    @Test("D-Bus restarted, and the daemon with it: said once, and nodes see each other again")
    func busRestarted() async throws {
        let places = try await Neighbourhood(["a", "b"])
        let one = try places.node(1, "laptop", on: "a")
        _ = try places.node(2, "nas", on: "b")
        try await one.line("node 2") { $0.says("appeared 2 ") }
        let before = one.lines.count
        try places.stopBus(on: "a", "KILL")
        try await one.line("unavailable", after: before) { $0.says("unavailable ") }
        // Attempts to connect fail meanwhile.
        try await Task.sleep(for: .milliseconds(1200))
        try places.startBus(on: "a")
        try places.startAvahi(on: "a")
        try await one.line("available", after: before) { $0.says("available") }
        try await one.line("node 2", after: before) { $0.says("appeared 2 ") }
        #expect(one.lines.dropFirst(before).filter { $0.says("unavailable ") }.count == 1)
        let three = try places.node(3, "late", on: "b")
        try await three.line("node 1") { $0.says("appeared 1 ") }
    }

    @Test("no daemon: said once, and available when it starts; the same without D-Bus")
    func noDaemon() async throws {
        let places = try await Neighbourhood(["b"])
        try places.add("a")
        let one = try places.node(1, "laptop", on: "a")
        _ = try places.node(2, "nas", on: "b")
        try await one.line("unavailable") { $0.says("unavailable ") }
        try await Task.sleep(for: .seconds(2))
        try places.startBus(on: "a")
        try await Task.sleep(for: .seconds(2))
        #expect(one.lines.count == 1)
        let three = try places.node(3, "third", on: "a")
        try await three.line("unavailable") { $0.says("unavailable ") }
        try places.startAvahi(on: "a")
        for node in [one, three] {
            try await node.line("available") { $0.says("available") }
            try await node.line("node 2") { $0.says("appeared 2 ") }
            #expect(node.lines.filter { $0.says("unavailable ") }.count == 1)
        }
        #expect(try one.finish() == 0)
    }

    @Test("a node that is stopped where there is no daemon ends at once")
    func stoppedWithoutDaemon() async throws {
        let places = try await Neighbourhood([])
        try places.add("a")
        let one = try places.node(1, "laptop", on: "a")
        try await one.line("unavailable") { $0.says("unavailable ") }
        let start = ContinuousClock.now
        #expect(try one.finish() == 0)
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test("a link that goes down and up: the other node is gone, then there again")
    func linkDown() async throws {
        let places = try await Neighbourhood(["a", "b"])
        let one = try places.node(1, "laptop", on: "a")
        let two = try places.node(2, "nas", on: "b")
        try await one.line("node 2") { $0.says("appeared 2 ") }
        try await two.line("node 1") { $0.says("appeared 1 ") }
        let before = one.lines.count
        try places["a"].run("ip", "link", "set", "eth0", "down")
        try await one.line("node 2 is gone", after: before) { $0.says("gone 2") }
        try places["a"].run("ip", "link", "set", "eth0", "up")
        try await one.line("node 2", after: before) { $0.says("appeared 2 ") }
        let three = try places.node(3, "late", on: "b")
        try await three.line("node 1") { $0.says("appeared 1 ") }
        #expect(!one.lines.contains { $0.says("unavailable ") })
    }

    @Test("the cable pulled out before a node starts, and put back: it is seen then")
    func cable() async throws {
        let places = try await Neighbourhood(["a", "b"])
        try places["a"].plug(in: false)
        let one = try places.node(1, "laptop", on: "a")
        let two = try places.node(2, "nas", on: "b")
        try await one.line("available") { $0.says("available") }
        try await Task.sleep(for: .seconds(1))
        #expect(!(one.lines + two.lines).contains { $0.says("appeared ") })
        try places["a"].plug(in: true)
        try await one.line("node 2") { $0.says("appeared 2 ") }
        try await two.line("node 1") { $0.says("appeared 1 ") }
    }

    @Test("networks that are joined, with a node of the same name on each: one takes another name, and both see each other")
    func joined() async throws {
        let places = try await Neighbourhood(["a", "b"])
        try places["a"].plug(in: false)
        let one = try places.node(1, "backup", on: "a")
        let two = try places.node(2, "backup", on: "b")
        for node in [one, two] { try await node.line("available") { $0.says("available") } }
        // Until both have registered their name.
        try await Task.sleep(for: .seconds(2))
        try places["a"].plug(in: true)
        let seen = try await one.line("node 2") { $0.says("appeared 2 ") }
        let seenToo = try await two.line("node 1") { $0.says("appeared 1 ") }
        #expect((seen + seenToo).contains("name=<backup>"))
        try await one.eventually("one of them has another name") { lines in
            (lines + two.lines).contains { $0.contains("name=<backup #2>") }
        }
    }

    @Test("networks that are joined, with a host of the same name on each: both nodes are found at their hosts' addresses")
    func sameHostName() async throws {
        let places = try await Neighbourhood([])
        for name in ["a", "b"] {
            try places.add(name)
            try places.startBus(on: name)
        }
        try places["a"].plug(in: false)
        for name in ["a", "b"] { try places.startAvahi(on: name, hostName: "twin") }
        // Until both hosts are sure of their name.
        try await Task.sleep(for: .seconds(3))
        let one = try places.node(1, "one", on: "a")
        let two = try places.node(2, "two", on: "b")
        for node in [one, two] { try await node.line("available") { $0.says("available") } }
        try await Task.sleep(for: .seconds(2))
        try places["a"].plug(in: true)
        try await places.delayAvahi(on: "a", afterRenaming: ["a", "b"])
        // Until then the name leads each to itself.
        try await one.eventually("node 2 is at 10.77.0.2", within: 20) {
            $0.last { $0.mentions(2) }?.contains("at 10.77.0.2:7002 [fe80::") == true
        }
        try await two.eventually("node 1 is at 10.77.0.1", within: 20) {
            $0.last { $0.mentions(1) }?.contains("at 10.77.0.1:7001 [fe80::") == true
        }
    }
}
