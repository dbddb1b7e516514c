import Foundation
internal import Glibc
import Testing

@Suite("Coming back with the recovery key") struct RecoveryCommandTests {
    /// A friend who keeps a backup of `source`, and the key of whoever made it, in `paper`.
    private func makeBackup(_ scratch: Scratch) throws -> RunningNode {
        var random = Randomness.forTest("RecoveryCommand")
        let source = try scratch.makeFolder("source")
        try source.write("a", random.bytes(3_000_000))
        let friends = try Friends(scratch)
        let (mine, me, friend) = (friends.mine, friends.me, friends.friend)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        let key = try #require(try mine.succeed("key", "show", "--json").object()["recovery_key"] as? String)
        try key.write(toFile: scratch.path("paper"), atomically: true, encoding: .utf8)
        #expect(try me.stop().code == 0)
        return friend
    }

    @Test("`recover --all` after a plain `recover` brings the data that was left with the peers, which may be gone then")
    func allAfterPlain() throws {
        let scratch = try Scratch()
        let friend = try makeBackup(scratch)
        let new = Home(scratch.path("new"))
        let words = ["recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery", "--json"]
        let plain = try new.expect(0, words).object()
        #expect(plain["packs_with_peers_only"] as? Int ?? 0 > 0)
        let all = try new.expect(0, words + ["--all"]).object()
        #expect(all["packs_with_peers_only"] as? Int == 0 && all["fetched_bytes"] as? Int ?? 0 > 3_000_000, "\(all)")
        #expect(try friend.stop().code == 0)
        try new.restore("latest", to: scratch.path("restored"))
        let back = try TreeState(of: scratch.path("restored") + scratch.path("source"))
        #expect(back.differences(from: try TreeState(of: scratch.path("source"))) == [])
    }

    @Test("a home that an earlier command made and nobody used is told of, and `key check` makes none")
    func unusedHome() throws {
        let scratch = try Scratch()
        let friend = try makeBackup(scratch)
        let new = Home(scratch.path("new"))
        let check = try new.succeed("key", "check", scratch.path("paper"))
        #expect(check.text.contains("well-formed") && !scratch.folder.has("new"), "\(check.summary)")
        #expect(try new.succeed("snapshots").text.contains("recover"))
        let recovery = ["recover", "--key", scratch.path("paper"), "--peer", friend.address, "--no-discovery"]
        let refused = try new.expect(1, recovery)
        #expect(refused.errorText.contains("never used") && refused.errorText.contains(new.path), "\(refused.errorText)")
        try FileManager.default.removeItem(atPath: new.path)
        try new.expect(0, recovery)
        // One that is in use is not to be removed.
        let used = try Home.make(scratch.path("used"))
        try used.backup(scratch.path("source"))
        let kept = try used.expect(1, recovery)
        #expect(!kept.errorText.contains("never used"), "\(kept.errorText)")
        #expect(try friend.stop().code == 0)
    }

    @Test("an empty argument is refused, and never taken for the current folder", arguments: ["backup", "restore"])
    func emptyArgument(_ command: String) throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        let words = command == "backup" ? ["backup", ""] : ["restore", "latest", "--target", ""]
        let refused = try home.expect(64, words)
        #expect(refused.errorText.contains("an argument is empty"), "\(refused.errorText)")
    }

    @Test("what `--overwrite never` leaves as it is there is counted as kept, and not as restored or unchanged")
    func kept() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("a", "one")
        try source.makeFolder("folder").write("b", "two")
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        let target = try scratch.makeFolder("target")
        try FileManager.default.createDirectory(
            atPath: scratch.path("target") + scratch.path("source"), withIntermediateDirectories: true)
        let there = try Folder(scratch.path("target") + scratch.path("source"))
        try there.write("a", "mine")
        try there.write("folder", "a file")
        let report = try home.restore(
            "latest", to: scratch.path("target"), options: ["--overwrite", "never", "--verify", "--json"]
        ).object()
        #expect(report["kept_files"] as? Int == 2 && report["files"] as? Int == 0, "\(report)")
        #expect(report["unchanged_files"] as? Int == 0, "\(report)")
        #expect(try there.read("a") == Bytes("mine".utf8) && there.read("folder") == Bytes("a file".utf8))
        withExtendedLifetime(target) {}
    }
}
