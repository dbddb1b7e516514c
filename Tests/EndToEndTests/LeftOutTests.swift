internal import Glibc
import Testing

@Suite("What a backup leaves out") struct LeftOutTests {
    @Test("a path that leads through links is backed up, link and all, and so is what a link that is named points to")
    func links() throws {
        let scratch = try Scratch()
        let real = try scratch.makeFolder("real")
        try real.makeFolder("docs").write("letter", "dear")
        try real.makeFolder("other").write("not asked for", "x")
        try real.write("alone", "a file")
        for (name, target) in [
            ("link", "real"), ("named", scratch.path("link/docs")), ("to a file", "real/alone"), ("to nothing", "nowhere"),
        ] {
            try scratch.folder.makeLink(Bytes(name.utf8), to: Bytes(target.utf8))
        }
        var homes = 0
        func entries(_ paths: String..., code: Int = 0) throws -> (told: String, paths: [String]) {
            homes += 1
            let home = try Home.make(scratch.path("home-\(homes)"))
            let outcome = try home.expect(code, ["backup"] + paths.map { scratch.path($0) })
            let listed = try home.succeed("ls", "latest", "--recursive", "--json").array().compactMap { $0["path"] as? String }
            let below = scratch.path("")
            let told = outcome.text + outcome.errorText
            return (told, listed.filter { $0.hasPrefix(below) && $0 != below }.map { String($0.dropFirst(below.count)) }.sorted())
        }
        let through = try entries("link/docs")
        #expect(through.paths == ["link", "real", "real/docs", "real/docs/letter"])
        #expect(through.told.contains("leads to \(scratch.path("real/docs"))"))
        #expect(try entries("named").paths == ["link", "named", "real", "real/docs", "real/docs/letter"])
        #expect(try entries("to a file").paths == ["real", "real/alone", "to a file"])
        // As when a disk is not mounted: not to be taken for an empty one.
        let nothing = try entries("to nothing", "real/docs", code: 3)
        #expect(nothing.paths == ["real", "real/docs", "real/docs/letter", "to nothing"])
        #expect(nothing.told.contains("leads to \(scratch.path("nowhere")), where nothing is: only the link is backed up"))
        #expect(nothing.told.contains("\(scratch.path("nowhere")): "), "\(nothing.told)")
    }

    @Test(
        "restore --delete takes nothing out of a folder that could not be read, in whole or in part",
        .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func unreadable() throws {
        let scratch = try Scratch()
        let home = try Home.ofNobody(in: scratch)
        let user = try scratch.folder.folder("user")
        let source = try user.makeFolder("source")
        try source.makeFolder("closed").write("inside", "x")
        try source.makeFolder("partly").write("open", "x")
        try source.folder("partly").write("closed", "x")
        try source.makeFolder("whole").write("open", "x")
        try source.folder("partly").setMode(Bytes("closed".utf8), 0o600)
        try source.setMode(Bytes("closed".utf8), 0o700)
        try home.expect(3, ["backup", scratch.path("user/source")])
        _ = try home.run("restore", "latest", "--target", scratch.path("user/target"))
        let restored = try Folder(scratch.path("user/target") + scratch.path("user/source"))
        for folder in ["closed", "partly", "whole"] {
            try restored.folder(folder).write("extra", "not in the snapshot")
            try restored.setOwner(Bytes(folder.utf8), 65534, 65534)
        }
        _ = try home.run("restore", "latest", "--delete", "--target", scratch.path("user/target"))
        #expect(try restored.folder("closed").has("extra"))
        #expect(try restored.folder("partly").has("extra"))
        #expect(try !restored.folder("whole").has("extra"))
    }

    @Test("restore --delete takes nothing out of a folder from which a pattern, a size or a cache tag left something out")
    func excluded() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("kept", "kept")
        try source.write("by name.iso", "left out")
        try source.makeFolder("sizes").write("small", "kept")
        try source.folder("sizes").write("large", Bytes(repeating: 1, count: 5000))
        try source.makeFolder("cache").write("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
        try source.folder("cache").write("cached", "left out")
        try source.makeFolder("whole").write("kept", "kept")
        let options = ["--exclude", "*.iso", "--exclude-larger-than", "4000", "--exclude-caches"]
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"), options: options)
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("source"))
        #expect(try restored.names() == ["cache", "kept", "sizes", "whole"].map { Bytes($0.utf8) })
        #expect(try restored.folder("sizes").names() == [Bytes("small".utf8)])
        #expect(try restored.folder("cache").names() == [Bytes("CACHEDIR.TAG".utf8)])
        for folder in [restored, try restored.folder("sizes"), try restored.folder("cache"), try restored.folder("whole")] {
            try folder.write("extra", "not in the snapshot")
        }
        try home.restore("latest", to: scratch.path("target"), options: ["--delete"])
        #expect(restored.has("extra"))
        #expect(try restored.folder("sizes").has("extra"))
        #expect(try restored.folder("cache").has("extra"))
        #expect(try !restored.folder("whole").has("extra"))
        // Nothing of this makes a folder count as changed.
        let again = try home.expect(0, ["backup", "--json", scratch.path("source")] + options).object()
        #expect((again["new_bytes"] as? Int ?? .max) < 2000)
    }

    @Test("a pattern that fits a folder on the way does not hide what was named below it")
    func onTheWay() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.makeFolder("way").makeFolder("named").write("file", "kept")
        try source.folder("way").write("beside", "left out")
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"), scratch.path("source/way/named"), options: ["--exclude", "way"])
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("source")).folder("way")
        #expect(try restored.names() == [Bytes("named".utf8)])
        #expect(try restored.folder("named").read("file") == Bytes("kept".utf8))
    }

    @Test("a source that is gone is named, exit 3, and its last known content kept")
    func sourceGone() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("one").write("file", "one")
        try scratch.makeFolder("two").makeFolder("inner").write("file", "two")
        let home = try Home.make(scratch.path("home"))
        let sources = [scratch.path("one"), scratch.path("two/inner")]
        try home.expect(0, ["backup"] + sources)
        try scratch.folder.remove("two")
        for _ in 0..<2 {
            let outcome = try home.run(["backup", "--json"] + sources)
            #expect(outcome.code == 3, "\(outcome.summary)")
            #expect(Set(try problems(outcome).keys) == [scratch.path("two")])
        }
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("two")).folder("inner")
        #expect(try restored.read("file") == Bytes("two".utf8))
    }

    @Test("restore --delete never removes the node's own home")
    func ownHome() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "content")
        let target = scratch.path("target")
        try scratch.makeFolder("target")
        var path = ""
        for name in scratch.path("source").split(separator: "/") {
            path += "/" + name
            try #require(mkdir(target + path, 0o755) == 0)
        }
        let place = try Folder(target + path)
        try place.makeFolder("hidden").write("extra", "x")
        let home = try Home.make(target + path + "/hidden/home")
        try home.backup(scratch.path("source"))
        let outcome = try home.run("restore", "latest", "--delete", "--target", target)
        #expect(outcome.code == 3, "\(outcome.summary)")
        #expect(try !place.folder("hidden").has("extra"))
        #expect(try home.snapshots().count == 1)
        #expect(try home.succeed("check", "--read-data").code == 0)
    }

    @Test(
        "a folder that can't be looked at is kept with all below it, though packs are missing and the older snapshots go",
        .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func keptFolderIsCovered() throws {
        var random = Randomness.forTest("LeftOut.keptFolderIsCovered")
        let scratch = try Scratch()
        let home = try Home.ofNobody(in: scratch)
        try home.configure("[vault]\ntrash_days = 0\n")
        let user = try scratch.folder.folder("user")
        let source = try user.makeFolder("source")
        let middle = try source.makeFolder("middle")
        let content = random.bytes(200_000)
        try middle.makeFolder("shut").makeFolder("inner").write("file", content)
        let path = scratch.path("user/source")
        let first = try home.backup(path)
        let before = Set(try home.vaultFiles("packs"))
        try source.write("new", random.bytes(700_000))
        let second = try home.backup(path)
        let made = Set(try home.vaultFiles("packs")).subtracting(before)
        let data = made.max { (try? size(of: $0)) ?? 0 < (try? size(of: $1)) ?? 0 }
        try #require(unlink(try #require(data)) == 0)
        try source.setMode(Bytes("middle".utf8), 0o444)
        try source.setOwner(Bytes("middle".utf8), 65534, 65534)
        try home.expect(3, ["backup", path])
        try home.succeed("forget", first, second)
        try home.sweep()
        _ = try home.run("restore", "latest", "--target", scratch.path("user/target"))
        let restored = try Folder(scratch.path("user/target") + path).folder("middle")
        #expect(try restored.folder("shut").folder("inner").read("file") == content)
    }

    private func size(of path: String) throws -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw TestFailure("no \(path)") }
        return Int(status.st_size)
    }
}
