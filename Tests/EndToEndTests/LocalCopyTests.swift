import Foundation
internal import Glibc
import Testing

/// A publisher that does not hold its own backups.
@Suite("Backups that only peers hold") struct LocalCopyTests {
    private static let keeper = "[peers]\nreplicas = 1\nreserve = \"1MiB\"\nrole = \"persister\"\n"
    private static let laptop = "[peers]\nreplicas = 2\nreserve = \"1MiB\"\nrole = \"publisher\"\nlocal_copy = \"1MiB\"\n"

    private func status(_ home: Home, _ key: String) throws -> Int {
        try home.succeed("status", "--json").object()[key] as? Int ?? -1
    }

    private func packBytes(_ home: Home) throws -> Int {
        try home.vaultFiles("packs").reduce(0) { sum, path in
            var found = stat()
            return sum + (stat(path, &found) == 0 ? Int(found.st_size) : 0)
        }
    }

    private func requireEqual(_ restored: String, _ source: String, _ what: String) throws {
        let back = try TreeState(of: restored + source)
        #expect(back.differences(from: try TreeState(of: source)) == [], "\(what)")
    }

    @Test(
        "a laptop lets go of what two peers have proven, restores from them, brings a third what a lost one had, and is recovered"
    )
    func life() throws {
        var random = Randomness.forTest("LocalCopy.life")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: LocalCopyTests.laptop)
        let keepers = try (0..<3).map { try Home.make(scratch.path("keeper \($0)"), settings: LocalCopyTests.keeper) }
        let path = scratch.path("source")
        let source = try scratch.makeFolder("source")
        for name in ["a", "b", "c"] { try source.write(name, random.bytes(17_000_000)) }
        for number in 0..<50 { try source.write("text \(number)", random.text(20_000)) }
        let me = try RunningNode(mine)
        for keeper in keepers.prefix(2) { try pair(mine, keeper) }
        var nodes = try keepers.prefix(2).map { try RunningNode($0) }
        try wait("they meet") { try online(mine).count == 2 }
        // One alone is not enough.
        try nodes[1].stop()
        let first = try #require(
            try mine.expect(2, ["backup", "--wait", "--json", path], timeoutSeconds: 300).object()["snapshot"] as? String)
        #expect(try status(mine, "packs_with_peers_only") == 0)
        try nodes[1].restart()
        try wait("two peers have proven it", seconds: 120) { try replicas(mine) == [2] }
        try wait("the data is let go of", seconds: 120) { try status(mine, "packs_with_peers_only") >= 3 }
        try wait("no more is here than may be", seconds: 60) { try packBytes(mine) < 3 << 20 }

        try mine.restore(first, to: scratch.path("back 1"))
        try requireEqual(scratch.path("back 1"), path, "from two peers")
        let dumped = try mine.expect(0, ["dump", "latest", path + "/b"])
        #expect(dumped.output == (try source.read("b")))
        let check = try mine.succeed("check", "--read-data", "--json").object()
        #expect(check["clean"] as? Bool == true && check["packs_with_peers_only"] as? Int ?? 0 >= 3)
        // Nothing of it is stored again, and what is new is.
        try source.write("d", random.bytes(3_000_000))
        let report = try mine.expect(0, ["backup", "--wait", "--json", path], timeoutSeconds: 300).object()
        #expect(report["new_bytes"] as? Int ?? 0 < 4_000_000 && report["protected"] as? Bool == true)

        // A holder is lost with all it had: another takes its place, and gets all from the one that is left.
        let gone = try #require(try keepers[1].succeed("status", "--json").object()["device"] as? String)
        try nodes[1].stop(SIGKILL)
        try FileManager.default.removeItem(atPath: keepers[1].path)
        try mine.succeed("unpair", gone)
        try pair(mine, keepers[2])
        nodes[1] = try RunningNode(keepers[2])
        try wait("the new one has all", seconds: 120) { try replicas(mine) == [2, 2] }
        #expect(try packBytes(mine) < 8 << 20)
        try nodes[0].stop()
        try mine.restore("latest", to: scratch.path("back 2"))
        try requireEqual(scratch.path("back 2"), path, "from the new one alone")

        let key = try #require(try mine.succeed("key", "show", "--json").object()["recovery_key"] as? String)
        try key.write(toFile: scratch.path("paper"), atomically: true, encoding: .utf8)
        #expect(try me.stop().code == 0)
        let again = Home(scratch.path("again"))
        let recovery = ["recover", "--key", scratch.path("paper"), "--peer", nodes[1].address, "--no-discovery", "--json"]
        let recovered = try again.expect(0, recovery).object()
        #expect(recovered["packs_with_peers_only"] as? Int ?? 0 >= 3 && recovered["fetched_bytes"] as? Int ?? 0 < 5_000_000)
        try again.restore(first, to: scratch.path("back 3"))
        let back = FileManager.default.contents(atPath: scratch.path("back 3") + path + "/c")
        #expect(back == FileManager.default.contents(atPath: path + "/c"))
        try again.restore("latest", to: scratch.path("back 4"))
        try requireEqual(scratch.path("back 4"), path, "by the key alone")
        // What a peer has shown leaves nothing out of a backup until it has passed through here once.
        let whole = Home(scratch.path("whole"))
        #expect(try whole.expect(0, recovery + ["--all"]).object()["packs_with_peers_only"] as? Int == 0)
        try whole.restore("latest", to: scratch.path("back 6"))
        try requireEqual(scratch.path("back 6"), path, "all of it brought")
        try again.configure(LocalCopyTests.laptop)
        let third = try RunningNode(again)
        let proven = Data("bakareST".utf8) + Data([1, 1])
        try wait("all has passed through") {
            try again.vaultFiles("stubs").allSatisfy { FileManager.default.contents(atPath: $0)?.range(of: proven) != nil }
        }
        #expect(try again.expect(0, ["backup", "--json", path]).object()["new_bytes"] as? Int ?? .max < 1000)
        #expect(try packBytes(again) < 3 << 20)
        #expect(try third.stop().code == 0)
        // With nobody there, that is said, and nothing half-done is left.
        try nodes[1].stop()
        let alone = try mine.run(["restore", "latest", "--target", scratch.path("back 5")], timeoutSeconds: 120)
        #expect(alone.code == 1 && alone.errorText.contains("only peers have"), "\(alone.summary)")
    }

    @Test("a backup of more than there may be here goes on as peers take it, and leaves no more than that")
    func spool() throws {
        var random = Randomness.forTest("LocalCopy.spool")
        let scratch = try Scratch()
        let settings =
            LocalCopyTests.laptop.replacingOccurrences(of: "replicas = 2", with: "replicas = 1") + "spool = \"32MiB\"\n"
        let mine = try Home.make(scratch.path("mine"), settings: settings)
        let keeper = try Home.make(scratch.path("keeper"), settings: LocalCopyTests.keeper)
        let path = scratch.path("source")
        let source = try scratch.makeFolder("source")
        for name in 0..<8 { try source.write("\(name)", random.bytes(20_000_000)) }
        let me = try RunningNode(mine)
        try pair(mine, keeper)
        let node = try RunningNode(keeper)
        try wait("they meet") { try online(mine).count == 1 }
        let backup = try mine.start("backup", "--wait", "--json", "--progress", "json", path)
        var most = 0
        while !backup.endsWithin(seconds: 0.1) { most = max(most, try packBytes(mine)) }
        let outcome = try backup.finish(timeoutSeconds: 300)
        #expect(outcome.code == 0, "\(outcome.summary)")
        // Packs that are being made, or written beside their place, come on top of both bounds.
        #expect(most > 16 << 20 && most < 100 << 20, "\(most)")
        #expect(
            outcome.errorText.contains("\"waiting_for_peers\":true") || outcome.errorText.contains("\"waiting_for_peers\": true"))
        #expect(try mine.snapshots().count == 1)
        try wait("no more is here than may be", seconds: 60) { try packBytes(mine) < 3 << 20 }
        try wait("the peer forgets what stood for it", seconds: 60) {
            try mine.succeed("peers", "--json").array().first?["snapshots"] as? Int == 1
        }
        try mine.restore("latest", to: scratch.path("back"))
        try requireEqual(scratch.path("back"), path, "from the peer")
        #expect(try mine.succeed("check", "--json").object()["clean"] as? Bool == true)
        #expect(try node.stop().code == 0)
        #expect(try me.stop().code == 0)
    }

    @Test("with a full copy wanted again, all comes back")
    func comesBack() throws {
        var random = Randomness.forTest("LocalCopy.comesBack")
        let scratch = try Scratch()
        let one = LocalCopyTests.laptop.replacingOccurrences(of: "replicas = 2", with: "replicas = 1")
        let mine = try Home.make(scratch.path("mine"), settings: one)
        let keeper = try Home.make(scratch.path("keeper"), settings: LocalCopyTests.keeper)
        try scratch.makeFolder("source").write("a", random.bytes(20_000_000))
        let me = try RunningNode(mine)
        try pair(mine, keeper)
        let node = try RunningNode(keeper)
        try wait("they meet") { try online(mine).count == 1 }
        try mine.expect(0, ["backup", "--wait", scratch.path("source")], timeoutSeconds: 300)
        try wait("the data is let go of", seconds: 60) { try status(mine, "packs_with_peers_only") > 0 }
        #expect(try me.stop().code == 0)
        try mine.configure(
            one.replacingOccurrences(of: "\"1MiB\"\n", with: "\"full\"\n").replacingOccurrences(
                of: "reserve = \"full\"", with: "reserve = \"1MiB\""))
        try me.restart()
        try wait("all comes back", seconds: 60) { try status(mine, "packs_with_peers_only") == 0 }
        #expect(try node.stop().code == 0)
        #expect(try me.stop().code == 0)
        #expect(try mine.succeed("check", "--read-data", "--json").object()["clean"] as? Bool == true)
        try mine.restore("latest", to: scratch.path("back"))
        try requireEqual(scratch.path("back"), scratch.path("source"), "from here")
    }

    @Test("where one peer has lost packs and the other is away, a restore names who may have them, and goes on once that is back")
    func away() throws {
        var random = Randomness.forTest("LocalCopy.away")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: LocalCopyTests.laptop)
        let keepers = try (0..<2).map { try Home.make(scratch.path("keeper \($0)"), settings: LocalCopyTests.keeper) }
        let path = scratch.path("source")
        let source = try scratch.makeFolder("source")
        try source.write("a", random.bytes(17_000_000))
        // Who joins knows where the others are.
        let nodes = try keepers.map { try RunningNode($0) }
        for keeper in keepers { try pair(keeper, mine) }
        let me = try RunningNode(mine)
        try wait("they meet") { try online(mine).count == 2 }
        try mine.expect(0, ["backup", "--wait", path], timeoutSeconds: 300)
        try wait("the data is let go of", seconds: 120) { try status(mine, "packs_with_peers_only") >= 1 }
        #expect(try me.stop().code == 0)
        try nodes[1].stop()
        var lost = 0
        for file in regularFiles(below: keepers[0].path + "/vault") where file.contains("/packs/") {
            guard try Data(contentsOf: URL(fileURLWithPath: file)).count > 1 << 20 else { continue }
            try FileManager.default.removeItem(atPath: file)
            lost += 1
        }
        #expect(lost > 0)
        let part = try mine.expect(3, ["restore", "latest", "--target", scratch.path("back")])
        #expect(part.errorText.contains("can be reached too"), "\(part.errorText)")
        #expect(!part.errorText.contains("is lost"), "\(part.errorText)")
        try nodes[1].restart()
        try mine.restore("latest", to: scratch.path("back"))
        try requireEqual(scratch.path("back"), path, "from the one that was away")
        for node in nodes { try node.stop() }
    }
}
