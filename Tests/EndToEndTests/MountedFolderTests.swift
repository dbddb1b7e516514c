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

    @Test("files in the folder of a mount that is gone are not all that is left of it; what was moved there is")
    func goneWithSomethingBelow() throws {
        let scratch = try Scratch()
        let (source, mount) = try makeSource(scratch)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        mount.unmount()
        try source.folder("disk").write("written meanwhile", "x")
        for _ in 0..<2 {
            let outcome = try home.run("backup", "--json", scratch.path("source"))
            #expect(outcome.code == 3, "\(outcome.summary)")
            #expect(Set(try problems(outcome).keys) == [scratch.path("source/disk")])
        }
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("source")).folder("disk")
        #expect(try restored.read("on the disk") == Bytes("precious".utf8))
        #expect(try restored.folder("folder").read("inner") == Bytes("inner".utf8))
        // Names alone say little.
        try source.folder("disk").write("on the disk", "made by a service")
        try source.folder("disk").makeFolder("folder")
        #expect(try home.run("backup", scratch.path("source")).code == 3)
        // The disk's files now lie in the folder itself, with their times.
        try source.remove("disk")
        try source.makeFolder("disk").write("written meanwhile", "x")
        let words = ["/bin/cp", "-a", scratch.path("target") + scratch.path("source/disk") + "/.", scratch.path("source/disk")]
        #expect(try Running(words.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin"]).finish().code == 0)
        try home.backup(scratch.path("source"))
        try home.restore("latest", to: scratch.path("moved"))
        let moved = try Folder(scratch.path("moved") + scratch.path("source")).folder("disk")
        #expect(try moved.read("on the disk") == Bytes("precious".utf8))
        #expect(try moved.read("written meanwhile") == Bytes("x".utf8))
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

    @Test("what has extended attributes that cannot be read is stored all the same, marked, and named")
    func unreadableAttributes() throws {
        let scratch = try Scratch()
        let mount = try scratch.mountMemory(at: "source", size: "64m")
        let source = try Folder(mount.path)
        // More than an entry may have.
        func overload(_ name: String) throws {
            for index in 0..<20 {
                try source.setAttribute(Bytes(name.utf8), "user.many\(index)", Bytes(repeating: 1, count: 60_000))
            }
        }
        let files: [String: Bytes] = [
            "tiny": Bytes("tiny".utf8), "small": Bytes(repeating: 2, count: 5000), "large": Bytes(repeating: 3, count: 700_000),
        ]
        for (name, content) in files { try source.write(name, content) }
        try source.makeFolder("folder").write("inside", "inside")
        let names = files.keys.sorted() + ["folder"]
        for name in names { try source.setAttribute(Bytes(name.utf8), "user.first", Bytes("known".utf8)) }
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        for name in names { try overload(name) }
        let unknown: [String: Bytes] = ["unknown": Bytes("unknown".utf8), "unknown large": Bytes(repeating: 4, count: 600_000)]
        for (name, content) in unknown {
            try source.write(name, content)
            try overload(name)
        }
        let all = Set(names + unknown.keys)
        // Each time anew: they stay marked.
        for _ in 0..<2 {
            let outcome = try home.run("backup", "--json", scratch.path("source"))
            #expect(outcome.code == 3, "\(outcome.summary)")
            #expect(Set(try problems(outcome).keys) == Set(all.map { scratch.path("source/\($0)") }))
        }
        let target = try scratch.mountMemory(at: "target", size: "64m")
        try home.restore("latest", to: target.path)
        let restored = try Folder(target.path + scratch.path("source"))
        for (name, content) in files.merging(unknown, uniquingKeysWith: { $1 }) { #expect(try restored.read(name) == content) }
        #expect(try restored.folder("folder").read("inside") == Bytes("inside".utf8))
        let first = Bytes("user.first".utf8)
        let found = try TreeState(of: restored).files
        for name in names { #expect(found[Bytes(name.utf8)]?.attributes == [first: Bytes("known".utf8)], "\(name)") }
        // Once they can be read, nothing is said any more.
        for name in all {
            for index in 0..<20 { try source.removeAttribute(Bytes(name.utf8), "user.many\(index)") }
        }
        try home.backup(scratch.path("source"))
    }

    @Test("a backup that cannot read which mounts there are says so, and goes on")
    func noMountTable() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("source").write("file", "content")
        var home = try Home.make(scratch.path("home"))
        home.prefix = [
            "/usr/bin/unshare", "--mount", "/bin/sh", "-c", "mount --bind /proc/$$/mem /proc/$$/mountinfo && exec \"$@\"", "sh",
        ]
        let outcome = try home.run("backup", "--json", scratch.path("source"))
        #expect(outcome.code == 3, "\(outcome.summary)")
        #expect(Set(try problems(outcome).keys) == ["/proc/self/mountinfo"])
        home.prefix = []
        try home.restore("latest", to: scratch.path("target"))
        #expect(try Folder(scratch.path("target") + scratch.path("source")).read("file") == Bytes("content".utf8))
    }

    @Test("without /proc, where its arguments are read, a command fails and does not take itself for a call for help")
    func noProc() throws {
        let scratch = try Scratch()
        var home = try Home.make(scratch.path("home"))
        home.prefix = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"]
        let outcome = try home.run("backup", "--json", scratch.path("home"))
        #expect(outcome.code == 1, "\(outcome.summary)")
        #expect(outcome.errorText.contains("/proc"), "\(outcome.summary)")
    }
}
