import Foundation
internal import CLinux
internal import Glibc
import Testing

@Suite("Files that make trouble") struct BadFileTests {
    @Test(
        "files and folders that the user may not read are named, exit 3, and all others are safe",
        .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func unreadable() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("open", "readable")
        try source.write("closed", "not readable")
        try source.setMode(Bytes("closed".utf8), 0o600)
        let inner = try source.makeFolder("closed folder")
        try inner.write("inside", "x")
        try source.setMode(Bytes("closed folder".utf8), 0o700)
        let home = try Home.ofNobody(in: scratch)
        let outcome = try home.run("backup", "--json", scratch.path("source"))
        #expect(outcome.code == 3, "\(outcome.summary)")
        let named = try problems(outcome)
        #expect(Set(named.keys) == [scratch.path("source/closed"), scratch.path("source/closed folder")])
        for (path, problem) in named {
            #expect(outcome.errorText.contains(path))
            #expect(problem.reason.lowercased().contains("permission denied"), "\(problem)")
        }
        let snapshots = try home.succeed("snapshots", "--json").array()
        #expect(snapshots.count == 1)
        #expect(snapshots.first?["errors"] as? Int == 2)
        // The folders above belong to others, which this user cannot bring back.
        _ = try home.run("restore", "latest", "--target", scratch.path("user/target"))
        let restored = try Folder(scratch.path("user/target") + scratch.path("source"))
        #expect(try restored.read("open") == Bytes("readable".utf8))
        #expect(!restored.has("closed"))
    }

    @Test(
        "a file that was safe and can't be read now keeps its last state",
        .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func unreadableLater() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "known state")
        try source.write("large", Bytes(repeating: 5, count: 700_000))
        try source.makeFolder("folder").write("inner", "known too")
        for name in ["file", "large", "folder"] { try source.setOwner(Bytes(name.utf8), 65534, 65534) }
        let home = try Home.ofNobody(in: scratch)
        try home.backup(scratch.path("source"))
        for name in ["file", "large", "folder"] { try source.setMode(Bytes(name.utf8), 0) }
        try source.write("new", "new")
        let outcome = try home.run("backup", "--json", scratch.path("source"))
        #expect(outcome.code == 3, "\(outcome.summary)")
        #expect(Set(try problems(outcome).keys) == Set(["file", "large", "folder"].map { scratch.path("source/" + $0) }))
        _ = try home.run("restore", "latest", "--target", scratch.path("user/target"))
        let restored = try Folder(scratch.path("user/target") + scratch.path("source"))
        #expect(try restored.read("file") == Bytes("known state".utf8))
        #expect(try restored.read("large") == Bytes(repeating: 5, count: 700_000))
        #expect(try restored.folder("folder").read("inner") == Bytes("known too".utf8))
        #expect(try restored.read("new") == Bytes("new".utf8))
    }

    @Test("files that come and go during the backup touch no other")
    func vanishing() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<30 { try source.makeFolder("folder \(index)").write("stays", "content \(index)") }
        let path = scratch.path("source")
        let churn = Background { round in
            let folder = try Folder("\(path)/folder \(round % 30)")
            try folder.write("comes and goes \(round % 7)", Bytes(repeating: 1, count: round % 4000))
            if round % 3 == 0, folder.has("comes and goes \((round + 3) % 7)") {
                try folder.remove("comes and goes \((round + 3) % 7)")
            }
            if round % 5 == 0 {
                let name = Bytes("a folder \(round % 3)".utf8)
                if folder.has(name) { try folder.remove(name) } else { try folder.makeFolder(name).write("x", "y") }
            }
        }
        let home = try Home.make(scratch.path("home"))
        for _ in 0..<6 {
            let outcome = try home.run("backup", "--json", path)
            #expect(outcome.code == 0 || outcome.code == 3, "\(outcome.summary)")
            #expect((outcome.code == 3) == (try !problems(outcome).isEmpty))
        }
        churn.stop()
        for id in try home.snapshots() {
            try home.restore(id, to: scratch.path("target"))
            let restored = try Folder(scratch.path("target") + path)
            for index in 0..<30 {
                #expect(try restored.folder("folder \(index)").read("stays") == Bytes("content \(index)".utf8))
            }
            try scratch.folder.remove("target")
        }
    }

    @Test("a file rewritten while it is read is stored in one state, or named")
    func changing() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let size = 24 << 20
        try source.write("busy", Bytes(repeating: 0, count: size))
        try source.write("calm", "calm")
        let path = scratch.path("source")
        let writer = Background { round in
            let folder = try Folder(path)
            let part = Bytes(repeating: UInt8(truncatingIfNeeded: round), count: 1 << 20)
            for place in 0..<(size >> 20) { try folder.write(Bytes("busy".utf8), part, at: place << 20) }
        }
        let home = try Home.make(scratch.path("home"))
        for turn in 0..<4 {
            let outcome = try home.run("backup", "--json", path)
            #expect(outcome.code == 0 || outcome.code == 3, "\(outcome.summary)")
            try home.restore("latest", to: scratch.path("target"))
            let restored = try Folder(scratch.path("target") + path)
            #expect(try restored.read("calm") == Bytes("calm".utf8))
            let content = try restored.read("busy")
            #expect(content.count == size)
            let isMixed = content.contains { $0 != content[0] }
            if isMixed { #expect(try problems(outcome)[path + "/busy"] != nil, "mixed states, not named, turn \(turn)") }
            try scratch.folder.remove("target")
        }
        writer.stop()
    }

    @Test("files that grow and shrink while they are read are stored as they were at one length")
    func growingAndShrinking() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let path = scratch.path("source")
        try source.write("grows", Bytes(repeating: 7, count: 1 << 20))
        try source.write("shrinks", Bytes(repeating: 9, count: 8 << 20))
        try source.write("calm", "calm")
        let churn = Background { round in
            let folder = try Folder(path)
            let size = Int(try folder.status("grows").size)
            if size < 200 << 20 { try folder.write(Bytes("grows".utf8), Bytes(repeating: 7, count: 100_000), at: size) }
            let left = 8 - round % 8
            try folder.truncate(Bytes("shrinks".utf8), to: left << 20)
            if left == 1 { try folder.write("shrinks", Bytes(repeating: 9, count: 8 << 20)) }
        }
        let home = try Home.make(scratch.path("home"))
        for _ in 0..<4 {
            let outcome = try home.run("backup", "--json", path)
            #expect(outcome.code == 0 || outcome.code == 3, "\(outcome.summary)")
            try home.restore("latest", to: scratch.path("target"))
            let restored = try Folder(scratch.path("target") + path)
            #expect(try restored.read("calm") == Bytes("calm".utf8))
            #expect(try restored.read("grows").allSatisfy { $0 == 7 }, "bytes that never were in the file")
            let marked = try problems(outcome)[path + "/shrinks"] != nil
            if !marked { #expect(try restored.read("shrinks").allSatisfy { $0 == 9 }, "bytes that never were in the file") }
            try scratch.folder.remove("target")
        }
        churn.stop()
    }

    @Test("an entry that turns from file to folder, FIFO and link while it is read never hangs the backup nor leads it astray")
    func changingType() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let path = scratch.path("source")
        try scratch.makeFolder("outside").write("secret", "outside of the source")
        let outside = Bytes(scratch.path("outside").utf8)
        for index in 0..<20 { try source.write("calm \(index)", "calm") }
        let churn = Background { round in
            let folder = try Folder(path)
            for index in 0..<20 {
                let name = Bytes("turns \(index)".utf8)
                if folder.has(name) { try folder.remove(name) }
                switch (round + index) % 5 {
                case 0: try folder.write(name, Bytes(repeating: 1, count: 10_000))
                case 1: try folder.makeFolder(name).write("inside", "x")
                case 2: try folder.makeNode(name, mode: linux_S_IFIFO | 0o600)
                case 3: try folder.makeLink(name, to: outside)
                default: try folder.makeLink(name, to: outside + Bytes("/secret".utf8))
                }
            }
        }
        let home = try Home.make(scratch.path("home"))
        for _ in 0..<8 {
            let outcome = try home.run("backup", "--json", path)
            #expect(outcome.code == 0 || outcome.code == 3, "\(outcome.summary)")
        }
        churn.stop()
        for id in try home.snapshots() {
            for entry in try home.succeed("ls", id, "--recursive", "--json").array() {
                #expect((entry["path"] as? String)?.hasSuffix("secret") != true, "followed a link out of the source: \(entry)")
            }
            try home.restore(id, to: scratch.path("target"))
            let restored = try Folder(scratch.path("target") + path)
            for index in 0..<20 { #expect(try restored.read("calm \(index)") == Bytes("calm".utf8)) }
            try scratch.folder.remove("target")
        }
    }

    @Test("a mount that is gone is not taken for deletion", .enabled(if: Mount.isPossible, "needs root, to mount"))
    func mountGone() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("beside", "beside")
        let mount = try scratch.mountMemory(at: "source/disk", size: "16m")
        let disk = try Folder(scratch.path("source/disk"))
        try disk.write("on the disk", "precious")
        try disk.makeFolder("folder").write("large", Bytes(repeating: 3, count: 600_000))
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        let first = try home.backup(scratch.path("source"))
        mount.unmount()
        try source.write("beside", "changed")

        let outcome = try home.run("backup", "--json", scratch.path("source"))
        #expect(outcome.code == 3, "\(outcome.summary)")
        let named = try problems(outcome)
        #expect(named[scratch.path("source/disk")] != nil, "\(named)")
        try home.succeed("forget", first)
        try home.sweep()
        try home.expect(0, ["restore", "latest", "--target", scratch.path("target")])
        let restored = try Folder(scratch.path("target") + scratch.path("source"))
        #expect(try restored.read("beside") == Bytes("changed".utf8))
        #expect(try restored.folder("disk").read("on the disk") == Bytes("precious".utf8))
        #expect(try restored.folder("disk").folder("folder").read("large").count == 600_000)
    }

    @Test(
        "a mount whose server does not answer holds up the backup for a while, then is named",
        .enabled(if: Mount.isPossible && access("/dev/fuse", R_OK | W_OK) == 0, "needs root and FUSE"))
    func mountHung() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<20 { try source.write("beside \(index)", "beside") }
        try source.makeFolder("hung")
        let server = try HungFileSystem(at: scratch.path("source/hung"))
        let home = try Home.make(scratch.path("home"))
        let outcome = try home.run(["backup", "--json", scratch.path("source")], timeoutSeconds: 100)
        server.end()
        #expect(outcome.code == 3, "\(outcome.summary)")
        #expect(try problems(outcome).keys.contains { $0.hasPrefix(scratch.path("source/hung")) })
        try home.restore("latest", to: scratch.path("target"))
        let restored = try Folder(scratch.path("target") + scratch.path("source"))
        for index in 0..<20 { #expect(try restored.read("beside \(index)") == Bytes("beside".utf8)) }
    }

    @Test(
        "a mount that was backed up, and whose server then answers no more, keeps its last state, and all else is safe",
        .enabled(if: Mount.isPossible && access("/dev/fuse", R_OK | W_OK) == 0, "needs root and FUSE"))
    func mountHungLater() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let files: [String: Bytes] = [
            "large": Bytes(repeating: 5, count: 700_000), "small": Bytes("precious".utf8),
            "tail": Bytes(repeating: 6, count: 5000),
        ]
        // In folders of their own: one worker waits for each.
        let names = ["first", "second"]
        let disks = names.map { scratch.path("source/\($0)/disk") }
        var servers: [StallingFileSystem] = []
        defer { for server in servers { server.end() } }
        for (name, disk) in zip(names, disks) {
            let folder = try source.makeFolder(name)
            try folder.write("beside", "old")
            try folder.makeFolder("disk")
            servers.append(try StallingFileSystem(at: disk, files))
        }
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        func expectAll(_ target: String) throws {
            try home.restore("latest", to: scratch.path(target))
            for name in names {
                let restored = try Folder(scratch.path(target) + scratch.path("source/\(name)"))
                #expect(try restored.read("beside") == Bytes("new".utf8))
                let disk = try restored.folder("disk")
                #expect(try disk.names() == files.keys.sorted().map { Bytes($0.utf8) })
                for (file, content) in files { #expect(try disk.read(file) == content, "\(name): \(file)") }
            }
        }

        for name in names { try source.folder(name).write("beside", "new") }
        servers[0].stop()
        servers[1].stop(onceOpened: "large")
        let hung = try home.run(["backup", "--json", scratch.path("source")], timeoutSeconds: 110)
        for server in servers { server.end() }
        #expect(hung.code == 3, "\(hung.summary)")
        let named = try problems(hung)
        #expect(named.keys.allSatisfy { path in disks.contains { path == $0 || path.hasPrefix($0 + "/") } }, "\(named)")
        for path in [disks[0], disks[1] + "/large"] {
            let problem = try #require(named[path], "\(path) is not named: \(named)")
            #expect(problem.reason.contains("gives no answer") && problem.reason.contains("last known content is kept"))
            #expect(hung.errorText.contains("\(path): \(problem.operation): \(problem.reason)"), "\(hung.errorText)")
        }
        try expectAll("hung")
        let stale = try home.succeed("ls", "latest", disks[1], "--json").array().filter { $0["stale"] as? Bool == true }
        #expect(stale.contains { $0["path"] as? String == disks[1] + "/large" }, "\(stale)")

        // Now they are gone altogether, and it is known still that there were mounts.
        let gone = try home.run("backup", "--json", scratch.path("source"))
        #expect(gone.code == 3, "\(gone.summary)")
        #expect(Set(try problems(gone).keys) == Set(disks))
        try expectAll("gone")
    }
}
