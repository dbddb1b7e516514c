import Foundation
internal import Glibc
import Testing

private func command(_ words: String...) throws {
    let outcome = try Running(
        (["/usr/bin/env"] + words).map { Bytes($0.utf8) }, environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
    ).finish()
    try #require(outcome.code == 0, "\(outcome.summary)")
}

@Suite("A friend's disk") struct PeerDiskTests {
    @Test(
        "a friend's disk that is full is told, loses nothing, and gets the rest once there is room again",
        .enabled(if: LoopDisk.obstacle == nil, LoopDisk.skipped))
    func full() throws {
        try LoopDisk.requireTools()
        var random = Randomness.forTest("PeerDisk.full")
        let scratch = try Scratch(.disk)
        try command("mkfs.ext4", "-q", "-F", "-m", "0", scratch.path("image"), "900M")
        try scratch.makeFolder("disk")
        try command("mount", "-o", "loop", scratch.path("image"), scratch.path("disk"))
        defer { try? command("umount", "-l", scratch.path("disk")) }
        let source = try scratch.makeFolder("source")
        try source.write("a", random.bytes(2_000_000))
        let friends = try Friends(scratch, theirs: "disk/theirs")
        let (mine, theirs, me, friend) = (friends.mine, friends.theirs, friends.me, friends.friend)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])

        let free = try #require(
            FileManager.default.attributesOfFileSystem(forPath: scratch.path("disk"))[.systemFreeSize] as? Int)
        try command("fallocate", "-l", "\(free - 12_000_000)", scratch.path("disk/ballast"))
        try source.write("b", random.bytes(40_000_000))
        let crowded = try mine.run("backup", "--wait", scratch.path("source"))
        #expect(crowded.code == 2, "\(crowded.summary)")
        // The one that was committed before is whole there still.
        #expect(try replicas(mine) == [1, 0])
        try FileManager.default.removeItem(atPath: scratch.path("disk/ballast"))
        try wait("the friend takes the rest") { try replicas(mine) == [1, 1] }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
        #expect(try theirs.run("check", "--read-data").code == 0)
    }

    @Test("a friend who has lost its home keeps no place for a copy, though it comes by")
    func lostBook() throws {
        var random = Randomness.forTest("PeerDisk.lostBook")
        let scratch = try Scratch()
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        try scratch.makeFolder("source").write("a", random.bytes(1_000_000))
        let friend = try RunningNode(theirs)
        let me = try RunningNode(mine, "--peer", friend.address)
        try pair(mine, theirs)
        try wait("the nodes meet") { try online(mine).count == 1 && online(theirs).count == 1 }
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        func offered() throws -> Int? { try mine.succeed("peers", "--json").array().first?["offered_bytes"] as? Int }
        #expect(try offered() ?? 0 > 0)
        try friend.stop()
        for name in ["book", "book.copy"] {
            try FileManager.default.removeItem(atPath: scratch.path("theirs/peers/\(name)"))
        }
        try friend.restart()
        try wait("its refusal ends what it had granted") { try offered() == 0 }
        #expect(try me.stop().code == 0)
        #expect(try friend.stop().code == 0)
    }
}
