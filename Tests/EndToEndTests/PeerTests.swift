import Foundation
internal import Glibc
import Testing

/// A node that runs, with what it said so far.
final class RunningNode {
    let home: Home
    private(set) var process: Running
    private(set) var address: String

    /// Starts it and waits until it is ready.
    ///
    /// It has an address of its own on loopback: on one that all share, somebody else's connection may have its port while it is down.
    init(_ home: Home, _ options: String...) throws {
        self.home = home
        func part() -> Int { .random(in: 1...254) }
        process = try home.start(bytes: RunningNode.words("127.\(part()).\(part()).\(part()):0", options))
        address = ""
        address = try ready()
    }

    private static func words(_ listen: String, _ options: [String]) -> [Bytes] {
        (["start", "--no-discovery", "--listen", listen] + options).map { Bytes($0.utf8) }
    }

    private func ready() throws -> String {
        let deadline = Date().addingTimeInterval(20)
        while Date() < deadline {
            if let line = process.outputSoFar.split(separator: "\n").first(where: { $0.hasPrefix("ready ") }) {
                return String(line.dropFirst("ready ".count))
            }
            if process.endsWithin(seconds: 0.02) { break }
        }
        throw TestFailure("start did not become ready: \(try process.finish().summary)")
    }

    /// Ends it, as a service manager does.
    @discardableResult
    func stop(_ signal: Int32 = SIGTERM) throws -> Outcome {
        process.signal(signal)
        return try process.finish(timeoutSeconds: 30)
    }

    /// Starts it again at the same address.
    func restart() throws {
        process = try home.start(bytes: RunningNode.words(address, []))
        address = try ready()
    }
}

/// Pairs two nodes, of which the first runs: the second joins.
func pair(_ inviter: Home, _ joiner: Home, quota: String = "10GB", joinerQuota: String = "10GB") throws {
    let line = try inviter.succeed("invite", "--quota", quota).text.trimmingCharacters(in: .whitespacesAndNewlines)
    try joiner.succeed("join", line, "--quota", joinerQuota)
}

/// A node, and that of a friend, which run and have met.
struct Friends {
    let mine: Home
    let theirs: Home
    let me: RunningNode
    let friend: RunningNode

    init(_ scratch: Scratch, theirs name: String = "theirs") throws {
        mine = try Home.make(scratch.path("mine"), settings: onePeer)
        theirs = try Home.make(scratch.path(name), settings: onePeer)
        me = try RunningNode(mine)
        try pair(mine, theirs)
        friend = try RunningNode(theirs)
        let (mine, theirs) = (mine, theirs)
        try wait("the nodes meet") { try online(mine).count == 1 && online(theirs).count == 1 }
    }
}

func wait(_ what: String, seconds: Double = 30, until isDone: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while !(try isDone()) {
        guard Date() < deadline else { throw TestFailure("not within \(seconds) s: \(what)") }
        usleep(50_000)
    }
}

/// Settings of a node that wants one copy elsewhere, and keeps next to nothing free.
let onePeer = "[peers]\nreplicas = 1\nreserve = \"1MiB\"\n"

/// Of each snapshot, on how many peers it is.
func replicas(_ home: Home) throws -> [Int] {
    try home.succeed("snapshots", "--json").array().compactMap { $0["replicas"] as? Int }
}

func online(_ home: Home) throws -> [String] {
    try home.succeed("peers", "--json").array().filter { $0["online"] as? Bool == true }.compactMap { $0["id"] as? String }
}

@Suite("Nodes that keep each other's backups") struct PeerTests {
    @Test("a friend keeps a snapshot, and an empty home gets it back from there by the recovery key alone")
    func friend() throws {
        var random = Randomness.forTest("Peer.friend")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        let source = try scratch.makeFolder("source")
        var editor = TreeEditor(Randomness(seed: random.next()))
        try editor.prepare(source)
        try source.write("large", random.bytes(40_000_000))
        let me = try RunningNode(mine)
        try pair(mine, theirs)
        let friend = try RunningNode(theirs)
        try wait("the nodes meet") { try online(mine).count == 1 && online(theirs).count == 1 }

        let report = try mine.expect(0, ["backup", "--wait", "--json", scratch.path("source")]).object()
        let id = try #require(report["snapshot"] as? String)
        #expect(report["replicas"] as? Int == 1)
        #expect(report["protected"] as? Bool == true)
        let state = try TreeState(of: scratch.path("source"))
        let peers = try mine.succeed("peers", "--json").array()
        #expect(peers.first?["trust"] as? String == "friend")
        #expect((peers.first?["used_bytes"] as? Int ?? 0) > 40_000_000)
        #expect(try mine.succeed("snapshots", "--json").array().first?["replicas"] as? Int == 1)
        // Nothing of it can be listed or read there.
        #expect(try theirs.snapshots() == [])

        let key = try #require(try mine.succeed("key", "show", "--json").object()["recovery_key"] as? String)
        try key.write(toFile: scratch.path("paper"), atomically: true, encoding: .utf8)
        try me.stop(SIGKILL)
        try scratch.folder.remove("mine")
        let again = Home(scratch.path("again"))
        // Where nobody is, that is said in a sentence, and nothing is left behind.
        for (peer, reason) in [("127.0.0.1:1", "Connection refused"), ("nobody.invalid:1", "there is no host of that name")] {
            let vain = try again.run("recover", "--key", scratch.path("paper"), "--peer", peer, "--no-discovery")
            #expect(vain.code == 1 && vain.errorText.contains("\(peer): \(reason). See that"), "\(vain.summary)")
            #expect(!FileManager.default.fileExists(atPath: again.path), "\(peer)")
        }
        let recovered = try again.succeed(
            "recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery", "--json"
        ).object()
        #expect(recovered["snapshots"] as? Int == 1)
        let warnings = try #require(try again.succeed("status", "--json").object()["warnings"] as? [String])
        #expect(warnings.contains { $0.contains("to have these backups") } && !warnings.contains { $0.contains("not protected") })
        #expect(try again.snapshots() == [id])
        let found = try #require(try again.succeed("find", "'large", "--json").array().first)
        #expect(found["path"] as? String == scratch.path("source/large") && found["snapshots"] as? [String] == [id])
        try again.restore(id, to: scratch.path("restored"))
        let back = try TreeState(of: scratch.path("restored") + scratch.path("source"))
        #expect(back.differences(from: state) == [])
        #expect(try friend.stop().code == 0)
    }

    @Test("a friend who was away gets what he missed when he comes back; nothing is done by hand")
    func away() throws {
        var random = Randomness.forTest("Peer.away")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        try scratch.makeFolder("source").write("a", random.bytes(5_000_000))
        let me = try RunningNode(mine)
        try pair(mine, theirs)
        let friend = try RunningNode(theirs)
        try wait("the nodes meet") { try online(mine).count == 1 }
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        try friend.stop(SIGKILL)
        try scratch.folder.makeFolder("more").write("b", random.bytes(5_000_000))
        // Without the friend it is done here, and said not to be there.
        let alone = try mine.expect(2, ["backup", "--wait", "--json", scratch.path("more")]).object()
        #expect(alone["protected"] as? Bool == false)
        try friend.restart()
        try wait("the friend has both") {
            try mine.succeed("snapshots", "--json").array().allSatisfy { $0["replicas"] as? Int == 1 }
        }
        // What is forgotten here goes there too.
        let ids = try mine.snapshots()
        try mine.succeed("forget", ids[0])
        try wait("the friend forgets") {
            let peers = try mine.succeed("peers", "--json").array()
            return peers.first?["snapshots"] as? Int == 1
        }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }

    @Test("an own device joins with nothing but the invitation's line, and what it backs up is restored where the owner is")
    func ownDevice() throws {
        var random = Randomness.forTest("Peer.ownDevice")
        let scratch = try Scratch()
        let nas = try Home.make(scratch.path("nas"), settings: onePeer)
        let server = try RunningNode(nas)
        for kind in [["--own-device"], ["--own-device", "--write-only"]] {
            let name = kind.count == 1 ? "laptop" : "writer"
            let line = try nas.expect(0, ["invite"] + kind).text.trimmingCharacters(in: .whitespacesAndNewlines)
            let laptop = Home(scratch.path(name))
            try laptop.succeed("join", line)
            try laptop.configure(onePeer + "role = \"publisher\"\n")
            // The line works once.
            let second = Home(scratch.path(name + "-twin"))
            #expect(try second.run("join", line).code == 1)
            try scratch.makeFolder("of-\(name)").write("a", random.bytes(3_000_000))
            let running = try RunningNode(laptop)
            try wait("\(name) and nas meet") { try online(laptop).count == 1 }
            let report = try laptop.expect(0, ["backup", "--wait", "--json", scratch.path("of-\(name)")]).object()
            let id = try #require(report["snapshot"] as? String)
            #expect(try nas.snapshots().contains(id))
            try nas.restore(id, to: scratch.path("back-\(name)"))
            let back = try TreeState(of: scratch.path("back-\(name)") + scratch.path("of-\(name)"))
            #expect(back.differences(from: try TreeState(of: scratch.path("of-\(name)"))) == [])
            if kind.count == 2 { #expect(try laptop.run("restore", id, "--target", scratch.path("no")).code == 1) }
            #expect(try running.stop().code == 0)
        }
        #expect(try server.stop().code == 0)
    }

    @Test("invitations: used, mistyped and cut off ones are refused with what to do")
    func invitations() throws {
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"))
        let theirs = try Home.make(scratch.path("theirs"))
        let third = try Home.make(scratch.path("third"))
        let me = try RunningNode(mine)
        let line = try mine.succeed("invite", "--json").object()["invitation"] as? String ?? ""
        #expect(line.hasPrefix("bakare-invite1"))
        let cut = try theirs.run("join", String(line.dropLast(9)))
        #expect(cut.code == 64, "\(cut.summary)")
        let own = try mine.run("join", line)
        #expect(own.code == 1, "\(own.summary)")
        try theirs.succeed("join", line)
        let used = try third.run("join", line)
        #expect(used.code == 1)
        #expect(used.errorText.contains("invit"), "\(used.summary)")
        // Ended on one side, it is ended on the other, and no data goes before the grace is over.
        let friend = try RunningNode(theirs)
        try wait("the nodes meet") { try online(mine).count == 1 }
        let peers = try mine.succeed("peers", "--json").array()
        let id = try #require(peers.first?["id"] as? String)
        try mine.succeed("unpair", String(id.prefix(12)))
        try wait("both know that it is over") {
            let states = try [mine, theirs].map { try $0.succeed("peers", "--json").array().first?["trust"] as? String }
            return states == ["blocked", "blocked"]
        }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }

    @Test("the running node backs up on schedule, and makes up for what was missed")
    func schedule() throws {
        let scratch = try Scratch()
        let home = try Home.make(
            scratch.path("home"), settings: "[sources]\npaths = [\"\(scratch.path("source"))\"]\nevery = \"1d\"\n")
        try scratch.makeFolder("source").write("a", "content")
        #expect(try home.succeed("status").text.contains("by `bakare-node start`"))
        let node = try RunningNode(home)
        try wait("the first backup is made at once") { try home.snapshots().count == 1 }
        let marker = home.path + "/ledger/backed-up"
        try wait("it is noted") { access(marker, F_OK) == 0 }
        #expect(try home.succeed("status", "--json").object()["next_backup"] is String)
        // Not again before its time; then two days go by in sleep.
        usleep(3_000_000)
        #expect(try home.snapshots().count == 1)
        var times = [timeval(tv_sec: time(nil) - 2 * 86_400, tv_usec: 0), timeval(tv_sec: time(nil) - 2 * 86_400, tv_usec: 0)]
        #expect(utimes(marker, &times) == 0)
        try wait("the missed one is made up for") { try home.snapshots().count == 2 }
        usleep(3_000_000)
        #expect(try home.snapshots().count == 2)
        #expect(try node.stop().code == 0)
    }

    @Test("a node that is suspended keeps no command from its work")
    func suspendedNode() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        try scratch.makeFolder("source").write("a", "content")
        let node = try RunningNode(home)
        node.process.signal(SIGSTOP)
        let id = try home.backup(scratch.path("source"))
        try home.backup(scratch.path("source"))
        try home.succeed("forget", id)
        let peers = try home.expect(0, ["peers"], timeoutSeconds: 30)
        #expect(peers.errorText.contains("does not answer"), "\(peers.summary)")
        try home.expect(0, ["status"], timeoutSeconds: 30)
        node.process.signal(SIGCONT)
        #expect(try home.succeed("peers").errorText.isEmpty)
        #expect(try node.stop().code == 0)
    }

    @Test("a second node on one home is refused, and one that was killed leaves nothing in the way")
    func oneAtATime() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        let first = try RunningNode(home)
        let second = try home.run("start", "--no-discovery", "--listen", "127.0.0.1:0")
        #expect(second.code == 1, "\(second.summary)")
        #expect(second.errorText.contains("runs"))
        try first.stop(SIGKILL)
        let third = try RunningNode(home)
        #expect(try third.stop().code == 0)
        #expect(try home.run("start", "--no-discovery", "--listen", "here").code == 64)
    }

    @Test("packs, pages and records that are lost here come back from a friend: for a restore, and by check --repair")
    func lostHere() throws {
        var random = Randomness.forTest("Peer.lostHere")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        try scratch.makeFolder("source").write("a", random.bytes(40_000_000))
        let me = try RunningNode(mine)
        try pair(mine, theirs)
        let friend = try RunningNode(theirs)
        try wait("the nodes meet") { try online(mine).count == 1 }
        let id = try #require(
            try mine.expect(0, ["backup", "--wait", "--json", scratch.path("source")]).object()["snapshot"] as? String)
        let state = try TreeState(of: scratch.path("source"))
        func expectBack(_ target: String) throws {
            try mine.restore(id, to: scratch.path(target))
            #expect(try TreeState(of: scratch.path(target) + scratch.path("source")).differences(from: state) == [])
        }
        // All packs are gone: a restore fetches them.
        for file in try mine.vaultFiles("packs") { #expect(unlink(file) == 0) }
        try expectBack("first")
        // Then some are gone, some are damaged beyond parity, and so are a page and the record.
        let packs = try mine.vaultFiles("packs")
        #expect(packs.count >= 3)
        #expect(unlink(packs[0]) == 0)
        #expect(truncate(packs[1], 100) == 0)
        for file in try mine.vaultFiles("pages") + mine.vaultFiles("snapshots") { #expect(truncate(file, 10) == 0) }
        let report = try mine.succeed("check", "--repair", "--read-data", "100%", "--json").object()
        #expect(report["clean"] as? Bool == true)
        #expect(((report["repaired"] as? [String]) ?? []).contains { $0.contains("came from peers") })
        try expectBack("second")
        #expect(try mine.succeed("check", "--read-data", "100%", "--json").object()["clean"] as? Bool == true)
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }
}
