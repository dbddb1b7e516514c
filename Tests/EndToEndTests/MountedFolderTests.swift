internal import Glibc
import Testing

@Suite("Mounts", .enabled(if: Mount.isPossible, "needs root, to mount")) struct MountedFolderTests {
    /// A source with something beside, and a disk that is mounted in it.
    private func makeSource(_ scratch: Scratch, _ disk: String = "disk") throws -> (source: Folder, mount: Mount) {
        let source = try scratch.makeFolder("source")
        try source.write("beside", "beside")
        let mount = try scratch.mountMemory(at: "source/\(disk)", size: "16m")
        try source.folder(disk).write("on the disk", "precious")
        try source.folder(disk).makeFolder("folder").write("inner", "inner")
        return (source, mount)
    }

    @Test("a mount that is gone with its folder is not taken for deletion, until it is left out")
    func goneWithFolder() throws {
        let scratch = try Scratch()
        let (source, mount) = try makeSource(scratch)
        try source.write("later in order", "x")
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        mount.unmount()
        try source.remove("disk")
        // Again and again, with what is around it changed or not.
        for turn in 0..<3 {
            if turn == 1 { try source.remove("later in order") }
            let outcome = try home.run("backup", "--json", scratch.path("source"))
            #expect(outcome.code == 3, "\(outcome.summary)")
            #expect(Set(try problems(outcome).keys) == [scratch.path("source/disk")])
        }
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("source"))
        #expect(try restored.folder("disk").read("on the disk") == Bytes("precious".utf8))
        #expect(try restored.folder("disk").folder("folder").read("inner") == Bytes("inner".utf8))
        try home.backup(scratch.path("source"), options: ["--exclude", "disk"])
        try home.restore("latest", to: scratch.path("without"))
        #expect(try !Folder(scratch.path("without") + scratch.path("source")).has("disk"))
    }

    @Test("a folder that is mounted elsewhere, too, is known as a mount, and its absence not taken for deletion")
    func boundFolder() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try scratch.makeFolder("elsewhere").write("file", "precious")
        try source.makeFolder("bound")
        let mount = try Mount(bindAt: scratch.path("source/bound"), to: scratch.path("elsewhere"))
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        mount.unmount()
        let outcome = try home.run("backup", "--json", scratch.path("source"))
        #expect(outcome.code == 3, "\(outcome.summary)")
        #expect(Set(try problems(outcome).keys) == [scratch.path("source/bound")])
        try home.restore("latest", to: scratch.path("target"))
        #expect(
            try Folder(scratch.path("target") + scratch.path("source")).folder("bound").read("file") == Bytes("precious".utf8))
    }

    @Test("--one-file-system keeps a mount's folder alone, and restore --delete takes nothing out of it")
    func oneFileSystem() throws {
        let scratch = try Scratch()
        let (_, mount) = try makeSource(scratch)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"), options: ["--one-file-system"])
        mount.unmount()
        let target = scratch.path("target") + scratch.path("source")
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(target)
        #expect(try restored.names() == ["beside", "disk"].map { Bytes($0.utf8) })
        #expect(try restored.folder("disk").names() == [])
        try restored.folder("disk").write("what was on the disk", "copied back by hand")
        try restored.write("extra", "extra")
        try home.restore("latest", to: scratch.path("target"), options: ["--delete"])
        #expect(try restored.folder("disk").names() == [Bytes("what was on the disk".utf8)])
        #expect(!restored.has("extra"))
        // The mount was left out on purpose: that it is gone is no problem.
        try home.backup(scratch.path("source"), options: ["--one-file-system"])
    }

    @Test("--one-file-system takes a mount that is named itself, and one on the way to what is named, with that alone")
    func namedMounts() throws {
        let scratch = try Scratch()
        let (_, _) = try makeSource(scratch, "named")
        let other = try scratch.mountMemory(at: "source/other", size: "1m")
        try Folder(other.path).write("left out", "x")
        let way = try scratch.mountMemory(at: "source/way", size: "1m")
        try Folder(way.path).write("left out", "x")
        try Folder(way.path).makeFolder("named").write("file", "taken")
        let home = try Home.make(scratch.path("home"))
        let source = scratch.path("source")
        try home.backup(source, source + "/named", source + "/way/named", options: ["--one-file-system"])
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + source)
        #expect(try restored.folder("named").read("on the disk") == Bytes("precious".utf8))
        #expect(try restored.folder("other").names() == [])
        #expect(try restored.folder("way").names() == [Bytes("named".utf8)])
        #expect(try restored.folder("way").folder("named").read("file") == Bytes("taken".utf8))
        try restored.folder("way").write("not ours", "x")
        try home.restore("latest", to: scratch.path("target"), options: ["--delete"])
        #expect(try restored.folder("way").has("not ours"))
    }
}
