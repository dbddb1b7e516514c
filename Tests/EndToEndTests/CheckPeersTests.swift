import Foundation
internal import Glibc
import Testing

/// `check --read-data` of a publisher that does not hold its own backups.
@Suite("Checks of what only peers hold") struct CheckPeersTests {
    private static let keeper = "[peers]\nreplicas = 1\nreserve = \"1MiB\"\nrole = \"persister\"\n"

    private static func laptop(_ replicas: Int) -> String {
        "[peers]\nreplicas = \(replicas)\nreserve = \"1MiB\"\nrole = \"publisher\"\nlocal_copy = \"1MiB\"\n"
    }

    private func elsewhere(_ home: Home) throws -> Int {
        try home.succeed("status", "--json").object()["packs_with_peers_only"] as? Int ?? -1
    }

    private func check(_ home: Home, _ code: Int, _ options: String...) throws -> [String: Any] {
        try home.expect(code, ["check", "--json"] + options).object()
    }

    /// The packs of data that `keeper` has of the owner of `home`.
    private func packs(of home: Home, at keeper: Home) throws -> [String] {
        let owner = try #require(try home.succeed("status", "--json").object()["owner"] as? String)
        return regularFiles(below: keeper.path + "/vault/\(owner)/packs").filter { path in
            var found = stat()
            return stat(path, &found) == 0 && found.st_size > 1 << 20
        }
    }

    /// Beyond what parity can rebuild.
    private func destroy(_ path: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        let count = try file.seekToEnd()
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0x5a, count: Int(count) - 8192))
    }

    @Test("packs that one peer has are read there; away is not lost, and damaged is, until the files are stored anew")
    func onePeer() throws {
        var random = Randomness.forTest("CheckPeers.onePeer")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: CheckPeersTests.laptop(1))
        let theirs = try Home.make(scratch.path("theirs"), settings: CheckPeersTests.keeper)
        let path = scratch.path("source")
        try scratch.makeFolder("source").write("a", random.bytes(40_000_000))
        // Who has joined knows where the other is, and can dial it.
        let node = try RunningNode(theirs)
        try pair(theirs, mine)
        let me = try RunningNode(mine)
        try wait("they meet") { try online(mine).count == 1 }
        try mine.expect(0, ["backup", "--wait", path], timeoutSeconds: 300)
        // A pack that is small stays as long as the rest is enough.
        try wait("the data is let go of", seconds: 120) { try elsewhere(mine) >= 2 }
        let count = try elsewhere(mine)

        #expect(try check(mine, 0)["packs_read_at_peers"] as? Int == 0)
        let passedOn = try check(mine, 0, "--read-data")
        #expect(passedOn["packs_read_at_peers"] as? Int == count && passedOn["clean"] as? Bool == true)
        #expect((passedOn["bytes_read_at_peers"] as? Int ?? 0) > 20_000_000)
        #expect(try me.stop().code == 0)
        #expect(try check(mine, 0, "--read-data")["packs_read_at_peers"] as? Int == count)

        try node.stop()
        let alone = try check(mine, 2, "--read-data")
        #expect(alone["clean"] as? Bool == true && (alone["lost"] as? [String])?.isEmpty == true)
        #expect((alone["packs_not_reached"] as? [String])?.count == count)

        let damaged = try #require(try packs(of: mine, at: theirs).first)
        try destroy(damaged)
        try node.restart()
        let found = try check(mine, 1, "--read-data")
        let faults = try #require(found["damaged_at_peers"] as? [[String: Any]])
        let device = try theirs.succeed("status", "--json").object()["device"] as? String
        #expect(faults.count == 1 && faults.first?["device"] as? String == device)
        #expect(faults.first?["pack"] as? String == damaged.split(separator: "/").last.map(String.init))
        #expect(found["packs_read_at_peers"] as? Int == count - 1)
        let lost = try #require(found["lost"] as? [String])
        #expect(lost.contains { $0.hasSuffix(path + "/a") }, "\(lost)")

        // Nothing relies on it any more, and the next backup has what it held.
        _ = try check(mine, 1, "--read-data", "--repair")
        #expect(try elsewhere(mine) == count - 1)
        let report = try mine.expect(0, ["backup", "--json", path]).object()
        #expect((report["new_bytes"] as? Int ?? 0) > 1_000_000)
        try mine.restore("latest", to: scratch.path("back"))
        let back = try TreeState(of: scratch.path("back") + path)
        #expect(back.differences(from: try TreeState(of: path)) == [])
        #expect(try node.stop().code == 0)
    }

    @Test("a peer that holds damaged packs is named, and nothing is lost that another has whole")
    func twoPeers() throws {
        var random = Randomness.forTest("CheckPeers.twoPeers")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: CheckPeersTests.laptop(2))
        let keepers = try (0..<2).map { try Home.make(scratch.path("keeper \($0)"), settings: CheckPeersTests.keeper) }
        try scratch.makeFolder("source").write("a", random.bytes(50_000_000))
        let nodes = try keepers.map { try RunningNode($0) }
        for keeper in keepers { try pair(keeper, mine) }
        let me = try RunningNode(mine)
        try wait("they meet") { try online(mine).count == 2 }
        try mine.expect(0, ["backup", "--wait", scratch.path("source")], timeoutSeconds: 300)
        try wait("the data is let go of", seconds: 120) { try elsewhere(mine) >= 3 }
        let count = try elsewhere(mine)
        #expect(try me.stop().code == 0)
        for pack in try packs(of: mine, at: keepers[0]) { try destroy(pack) }
        let device = try keepers[0].succeed("status", "--json").object()["device"] as? String
        let found = try check(mine, 1, "--read-data")
        let faults = try #require(found["damaged_at_peers"] as? [[String: Any]])
        #expect(!faults.isEmpty && faults.allSatisfy { $0["device"] as? String == device }, "\(found)")
        #expect(found["packs_read_at_peers"] as? Int == count && (found["lost"] as? [String])?.isEmpty == true)
        try nodes[0].stop()
        #expect(try check(mine, 0, "--read-data")["packs_read_at_peers"] as? Int == count)
        #expect(try nodes[1].stop().code == 0)
    }
}
