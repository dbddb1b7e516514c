import Foundation
internal import Glibc
import Testing

@Suite("Sets of sources") struct SourcesTests {
    @Test("each is backed up by itself, with its own commands before and after; one that fails does not stop the others")
    func severalSets() throws {
        let scratch = try Scratch()
        let base = scratch.path("x").dropLast(2)
        let home = try Home.make(
            scratch.path("home"),
            settings: """
                [[sources]]
                name = "documents"
                paths = ["\(base)/documents"]
                tags = ["paper"]
                before = ["/bin/sh", "-c", "echo dumped > \(base)/documents/dump; echo said by $BAKARE_SOURCE"]
                after = ["/bin/sh", "-c", "echo $BAKARE_RESULT $BAKARE_SNAPSHOT > \(base)/after"]
                [[sources]]
                name = "broken"
                paths = ["\(base)/broken"]
                before = ["/bin/sh", "-c", "exit 7"]
                [[sources]]
                name = "music"
                paths = ["\(base)/music"]
                exclude = ["*.tmp"]
                """)
        try scratch.makeFolder("documents").write("a", "content")
        try scratch.makeFolder("broken").write("b", "content")
        let music = try scratch.makeFolder("music")
        try music.write("song", "content")
        try music.write("x.tmp", "content")
        let outcome = try home.run("backup", "--json")
        #expect(outcome.code == 1)
        #expect(outcome.errorText.contains("said by documents"))
        #expect(outcome.errorText.contains("the command `before` of broken ended with 7"))
        let snapshots = try home.snapshots()
        #expect(snapshots.count == 2)
        let listing = try home.succeed("ls", "latest~1", "--recursive").text
        #expect(listing.contains("documents/dump") && listing.contains("documents/a"))
        #expect(!(try home.succeed("ls", "latest", "--recursive").text.contains("x.tmp")))
        let after = try String(contentsOfFile: "\(base)/after", encoding: .utf8)
        #expect(after.hasPrefix("done ") && after.count > 60)
        #expect(try home.run("backup", "--source", "broken").code == 1)
        #expect(try home.snapshots().count == 2)
        #expect(try home.run("backup", "--source", "music").code == 0)
        #expect(try home.snapshots().count == 3)
        let unknown = try home.run("backup", "--source", "films")
        #expect(unknown.code == 64 && unknown.errorText.contains("documents, broken, music"))
        #expect(try home.run("backup", "--tag", "continuous", "--source", "music").code == 64)
    }

    @Test("a watched link: what it leads to is backed up as it is saved, also once it is pointed elsewhere")
    func watchedLink() throws {
        let scratch = try Scratch()
        let base = scratch.path("x").dropLast(2)
        let home = try Home.make(
            scratch.path("home"), settings: "[sources]\npaths = [\"\(base)/link\"]\nevery = \"continuous\"\n")
        let (one, two) = (try scratch.makeFolder("one"), try scratch.makeFolder("two"))
        try one.write("a", "first")
        try two.write("b", "second")
        try scratch.folder.makeLink(Bytes("link".utf8), to: Bytes("one".utf8))
        func latest() throws -> String {
            try home.snapshots().isEmpty ? "" : try home.succeed("ls", "latest", "--recursive").text
        }
        let node = try RunningNode(home)
        try wait("the first walk is a backup") { try latest().contains("one/a") }
        try wait("it is watched") { try home.succeed("status").text.contains("watched by") }
        try one.write("c", "saved")
        try wait("what was saved behind the link is backed up") { try latest().contains("one/c") }
        try scratch.folder.remove("link")
        try scratch.folder.makeLink(Bytes("link".utf8), to: Bytes("two".utf8))
        // Everything is walked then, a minute after the last time.
        try wait("what the link leads to now is backed up", seconds: 150) { try latest().contains("two/b") }
        #expect(!(try latest().contains("one/")))
        try two.write("d", "saved")
        try wait("what was saved there is backed up") { try latest().contains("two/d") }
        #expect(try node.stop().code == 0)
    }

    @Test("a watched one is backed up as it is saved, and restores to what was saved")
    func continuous() throws {
        let scratch = try Scratch()
        let base = scratch.path("x").dropLast(2)
        let home = try Home.make(
            scratch.path("home"), settings: "[sources]\npaths = [\"\(base)/source\"]\nevery = \"continuous\"\n")
        let source = try scratch.makeFolder("source")
        try source.write("a", "content")
        mkdir("\(base)/source/folder", 0o755)
        let node = try RunningNode(home)
        try wait("the first walk is a backup") { try home.snapshots().count == 1 }
        try wait("it is watched") { try home.succeed("status").text.contains("watched by") }
        try source.write("folder/b", "saved")
        try wait("what was saved is backed up") { try home.snapshots().count == 2 }
        rename("\(base)/source/folder", "\(base)/source/moved")
        unlink("\(base)/source/a")
        try wait("what was moved and removed is backed up") { try home.snapshots().count == 3 }
        try home.succeed("restore", "latest", "--target", "\(base)/target")
        #expect(try String(contentsOfFile: "\(base)/target\(base)/source/moved/b", encoding: .utf8) == "saved")
        #expect(access("\(base)/target\(base)/source/a", F_OK) != 0)
        #expect(access("\(base)/target\(base)/source/folder", F_OK) != 0)
        // Nothing happens: nothing is backed up.
        usleep(3_000_000)
        #expect(try home.snapshots().count == 3)
        // Another backup meanwhile is another base to go on from.
        try source.write("c", "by hand")
        try home.succeed("backup")
        try wait("the watch goes on after it") { try home.succeed("ls", "latest", "--recursive").text.contains("source/c") }
        try source.write("d", "after")
        try wait("what was saved then is backed up") { try home.succeed("ls", "latest", "--recursive").text.contains("source/d") }
        #expect(try node.stop().code == 0)
        try home.succeed("check")
    }

    @Test("each goes to as many peers as it says, and what is of no set to as many as `[peers]` says")
    func ownReplicas() throws {
        var random = Randomness.forTest("Sources.replicas")
        let scratch = try Scratch()
        let base = scratch.path("x").dropLast(2)
        let home = try Home.make(
            scratch.path("home"),
            settings: """
                [peers]
                reserve = "1MiB"
                [[sources]]
                name = "films"
                paths = ["\(base)/films"]
                replicas = 1
                [[sources]]
                name = "letters"
                paths = ["\(base)/letters"]
                """)
        try scratch.makeFolder("films").write("film", random.bytes(8_000_000))
        try scratch.makeFolder("letters").write("letter", "content")
        try scratch.makeFolder("other").write("a", "more")
        let node = try RunningNode(home)
        var friends: [RunningNode] = []
        for name in ["one", "two"] {
            let friend = try Home.make(scratch.path(name), settings: onePeer)
            try pair(home, friend)
            friends.append(try RunningNode(friend))
        }
        try wait("both have agreed to keep something") {
            try home.succeed("peers", "--json").array().count { $0["offered_bytes"] as? Int ?? 0 > 0 } == 2
        }
        func counts(_ reports: [[String: Any]]) -> [[Int]] {
            reports.map { [$0["replicas"] as? Int ?? -1, $0["target"] as? Int ?? -1] }
        }
        let reports = try home.expect(0, ["backup", "--wait", "--json"]).array()
        #expect(counts(reports) == [[1, 1], [2, 2]])
        let other = try home.expect(0, ["backup", "--wait", "--json", scratch.path("other")]).object()
        #expect(counts([other]) == [[2, 2]])
        #expect(try counts(home.succeed("snapshots", "--json").array()) == [[1, 1], [2, 2], [2, 2]])
        let used = try home.succeed("peers", "--json").array().compactMap { $0["used_bytes"] as? Int }.sorted()
        #expect(used.count == 2 && used[0] < 4_000_000 && used[1] > 8_000_000)
        let status = try home.succeed("status", "--json").object()
        #expect(status["protected"] as? Bool == true)
        let sets = status["source_sets"] as? [[String: Any]] ?? []
        #expect(sets.compactMap { $0["replicas"] as? Int } == [1, 2])
        #expect(try home.succeed("status").text.contains("of 2 (films 1) besides this node"))
        // Asked for more, it goes to the other as well, with what was there before.
        #expect(try node.stop().code == 0)
        try home.configure("[peers]\nreserve = \"1MiB\"\n[sources]\npaths = [\"\(base)/films\"]\n")
        try node.restart()
        try wait("the films are on two") { try counts(home.succeed("snapshots", "--json").array()).first == [2, 2] }
        #expect(try node.stop().code == 0)
        for friend in friends { try friend.stop() }
    }

    @Test(
        "a snapshot is on a peer before the index of names follows",
        .enabled(if: Mount.isPossible && access("/dev/fuse", R_OK | W_OK) == 0, "needs root and FUSE"))
    func peersFirst() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: onePeer)
        let other = try Home.make(scratch.path("other"), settings: onePeer)
        let source = try scratch.makeFolder("source")
        try source.write("a", "content")
        let node = try RunningNode(home)
        try pair(home, other)
        let friend = try RunningNode(other)
        try wait("the nodes meet") { try online(home).count == 1 }
        try home.expect(0, ["backup", "--wait", scratch.path("source")])
        // Whoever goes for the index waits for as long as this stands.
        let server = try HungFileSystem(at: home.path + "/ledger/names")
        try source.write("b", "saved")
        let backup = try home.start("backup", scratch.path("source"))
        do {
            try wait("the peer has it", seconds: 15) { try replicas(home) == [1, 1] }
            #expect(!backup.endsWithin(seconds: 0.1))
        } catch { Issue.record(error) }
        server.end()
        #expect(try backup.finish().code == 0)
        #expect(try home.succeed("find", "b", "--json").text.contains("source/b"))
        #expect(try node.stop().code == 0)
        try friend.stop()
    }
}
