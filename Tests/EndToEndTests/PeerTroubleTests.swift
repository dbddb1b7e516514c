import Foundation
internal import Glibc
import Testing

private func peer(_ home: Home) throws -> [String: Any] { try #require(try home.succeed("peers", "--json").array().first) }

@Suite("Nodes in trouble") struct PeerTroubleTests {
    @Test("a friend whose vault was deleted while the node ran gets everything again")
    func deletedVault() throws {
        var random = Randomness.forTest("PeerTrouble.deletedVault")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("a", random.bytes(3_000_000))
        let friends = try Friends(scratch)
        let (mine, me, friend) = (friends.mine, friends.me, friends.friend)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        try FileManager.default.removeItem(atPath: scratch.path("theirs") + "/vault")
        try source.write("b", random.bytes(1_000_000))
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        #expect(try replicas(mine) == [1, 1])
        #expect(try peer(mine)["snapshots"] as? Int == 2)
        #expect(try peer(mine)["damaged"] as? Bool == false)

        let key = try #require(try mine.succeed("key", "show", "--json").object()["recovery_key"] as? String)
        try key.write(toFile: scratch.path("paper"), atomically: true, encoding: .utf8)
        // While the node runs, it has the sessions with the peers.
        let refused = try mine.run(
            "recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery")
        #expect(refused.code == 1 && refused.errorText.contains("a node runs on this home"), "\(refused.summary)")
        let again = Home(scratch.path("again"))
        try again.succeed("recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery")
        #expect(try again.snapshots().count == 2)
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }

    @Test("a friend who has forgotten snapshots, and says so to everyone, does not cut a recovery off")
    func recoveryFromFriendWithOrders() throws {
        var random = Randomness.forTest("PeerTrouble.orders")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("a", random.bytes(30_000_000))
        let friends = try Friends(scratch)
        let (mine, theirs, me, friend) = (friends.mine, friends.theirs, friends.me, friends.friend)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        for _ in 0..<2 { try theirs.expect(0, ["backup", "--wait", scratch.path("source")]) }
        try theirs.succeed("forget", try #require(theirs.snapshots().first))
        let key = try #require(try mine.succeed("key", "show", "--json").object()["recovery_key"] as? String)
        try key.write(toFile: scratch.path("paper"), atomically: true, encoding: .utf8)
        try me.stop(SIGKILL)
        let again = Home(scratch.path("again"))
        try again.succeed("recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery")
        #expect(try again.snapshots().count == 1)
        try again.restore("latest", to: scratch.path("restored"))
        let back = try TreeState(of: scratch.path("restored") + scratch.path("source"))
        #expect(back.differences(from: try TreeState(of: scratch.path("source"))) == [])
        #expect(try friend.stop().code == 0)
    }

    @Test(
        "copies with a friend who was unpaired count no more; who was away then learns of it, and pairing again connects at once")
    func unpairedWhileAway() throws {
        var random = Randomness.forTest("PeerTrouble.unpaired")
        let scratch = try Scratch()
        try scratch.makeFolder("source").write("a", random.bytes(1_000_000))
        let friends = try Friends(scratch)
        let (mine, theirs, me, friend) = (friends.mine, friends.theirs, friends.me, friends.friend)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        try friend.stop()
        let id = try #require(try peer(mine)["id"] as? String)
        try mine.succeed("unpair", id)
        #expect(try replicas(mine) == [0])
        try friend.restart()
        try wait("the friend learns of it") { try peer(theirs)["trust"] as? String == "blocked" }
        try pair(mine, theirs)
        try wait("they meet again") { try online(mine).count == 1 && online(theirs).count == 1 }
        try wait("the copy counts again") { try replicas(mine) == [1] }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }

    @Test("a node that dialled as a stranger, and is paired then, is connected with at once")
    func strangerSession() throws {
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        let me = try RunningNode(mine)
        let friend = try RunningNode(theirs, "--peer", me.address)
        try pair(mine, theirs)
        try wait("they meet") { try online(mine).count == 1 && online(theirs).count == 1 }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }

    @Test("own devices that one of them dialled keep each other's snapshots, though nobody has introduced them")
    func notIntroduced() throws {
        var random = Randomness.forTest("PeerTrouble.notIntroduced")
        let scratch = try Scratch()
        let first = try Home.make(scratch.path("first"), settings: onePeer)
        let inviter = try RunningNode(first)
        let others = try ["second", "third"].map { name in
            let line = try first.expect(0, ["invite", "--own-device"]).text.trimmingCharacters(in: .whitespacesAndNewlines)
            let home = Home(scratch.path(name))
            try home.succeed("join", line)
            try home.configure("[peers]\nreplicas = 2\nreserve = \"1MiB\"\n")
            return home
        }
        let second = try RunningNode(others[0])
        let third = try RunningNode(others[1], "--peer", second.address)
        try wait("each knows both others") { try others.allSatisfy { try online($0).count == 2 } }
        for (index, home) in others.enumerated() {
            try scratch.makeFolder("source \(index)").write("a", random.bytes(1_000_000))
            try home.expect(0, ["backup", "--wait", scratch.path("source \(index)")])
        }
        for node in [inviter, second, third] { #expect(try node.stop().code == 0) }
    }

    @Test("a write-only device that keeps its owner's snapshots brings its own all the same")
    func writeOnly() throws {
        var random = Randomness.forTest("PeerTrouble.writeOnly")
        let scratch = try Scratch()
        let nas = try Home.make(scratch.path("nas"), settings: onePeer)
        let server = try RunningNode(nas)
        let line = try nas.expect(0, ["invite", "--own-device", "--write-only"]).text
        let writer = Home(scratch.path("writer"))
        try writer.succeed("join", line.trimmingCharacters(in: .whitespacesAndNewlines))
        try writer.configure(onePeer)
        let running = try RunningNode(writer)
        try wait("they meet") { try online(writer).count == 1 && online(nas).count == 1 }
        for name in ["first", "second"] {
            try scratch.makeFolder("nas \(name)").write("a", random.bytes(500_000))
            try nas.expect(0, ["backup", "--wait", scratch.path("nas \(name)")])
            try scratch.makeFolder("writer \(name)").write("a", random.bytes(500_000))
            try writer.expect(0, ["backup", "--wait", scratch.path("writer \(name)")])
        }
        let outcome = try running.stop()
        #expect(outcome.code == 0 && !outcome.errorText.contains("lacks the permission"), "\(outcome.summary)")
        #expect(try server.stop().code == 0)
    }

    @Test("a disk without room is named on both sides as the reason why nothing is kept")
    func noRoom() throws {
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer + "role = \"publisher\"\n")
        let theirs = try Home.make(scratch.path("theirs"), settings: "[peers]\nreserve = \"900TiB\"\nrole = \"persister\"\n")
        let me = try RunningNode(mine)
        try pair(mine, theirs)
        let friend = try RunningNode(theirs)
        try wait("they meet") { try online(mine).count == 1 && online(theirs).count == 1 }
        // Both have said what they offer by then.
        try wait("the offers are made") {
            try peer(mine)["roles"] as? [String] == [] && peer(mine)["free_bytes"] as? Int ?? 0 > 0
        }
        let (mineSays, theirsSays) = (try me.stop(), try friend.stop())
        #expect(mineSays.errorText.contains("keeps nothing more for this node"), "\(mineSays.summary)")
        #expect(theirsSays.errorText.contains("nothing more is kept for"), "\(theirsSays.summary)")
    }

    @Test("an address that is taken is told in plain words")
    func takenAddress() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: onePeer)
        let node = try RunningNode(home)
        let taken = try Home.make(scratch.path("other")).run("start", "--no-discovery", "--listen", node.address)
        #expect(taken.code == 1 && taken.errorText.contains("Address already in use:"), "\(taken.summary)")
        #expect(!taken.errorText.contains("descriptor"))
        #expect(try node.stop().code == 0)
    }
}
