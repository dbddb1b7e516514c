import Foundation
internal import Glibc
import Testing

/// What went wrong once in the hands of somebody new, and must not again.
@Suite("Faults") struct FaultTests {
    @Test("with standard streams closed, no file gets their numbers, so that no message is written into it")
    func closedStreams() throws {
        var random = Randomness.forTest("Fault.closedStreams")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("large", random.bytes(3_000_000))
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        // Nobody reads the FIFO, so that the program stands still in the middle of its work, with a pack open.
        #expect(mkfifo(scratch.path("fifo"), 0o600) == 0)
        let reader = open(scratch.path("fifo"), O_RDWR | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        let command = [
            "/bin/sh", "-c", "exec \"$@\" 0<&- 2>&- >\(scratch.path("fifo"))", "sh", Home.program, "--home", home.path, "dump",
            "latest", scratch.path("source/large"),
        ]
        let running = try Running(command.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin"])
        func target(_ name: String) -> String {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(running.pid)/fd/\(name)")) ?? ""
        }
        var hasPack = false
        for _ in 0..<4000 where !hasPack {
            usleep(5000)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(running.pid)/fd")) ?? []
            hasPack = names.contains { target($0).contains("/packs/") }
        }
        #expect(hasPack)
        #expect(target("0") == "/" && target("2") == "/", "\(target("0")) \(target("2"))")
    }

    @Test(
        "ls and dump end by SIGPIPE once their reader is gone, and with 1 when the output cannot be written",
        arguments: [["ls", "latest", "--recursive"], ["ls", "latest", "--recursive", "--json"], ["dump", "latest"]])
    func readerGone(_ arguments: [String]) throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<2000 { try source.write("file \(index)", Bytes(repeating: 7, count: 500)) }
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        let words = [Home.program, "--home", home.path] + arguments + [scratch.path("source")]
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        func shell(_ script: String) throws -> Outcome {
            try Running(["/bin/bash", "-c", script].map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin"]).finish()
        }
        let gone = try shell("\(quoted) | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}")
        #expect(gone.code == 128 + Int(SIGPIPE), "\(gone.summary)")
        #expect(gone.errors.isEmpty, "\(gone.errorText)")
        let full = try shell("\(quoted) > /dev/full")
        #expect(full.code == 1 && full.errorText.contains("space"), "\(full.summary)")
    }

    @Test(
        "a restore that has said it is done outlives a power cut",
        .enabled(if: LoopDisk.obstacle == nil, LoopDisk.skipped))
    func powerCut() throws {
        try LoopDisk.requireTools()
        var random = Randomness.forTest("Fault.powerCut")
        let scratch = try Scratch(.disk)
        let source = try scratch.makeFolder("source")
        for index in 0..<50 { try source.write("file \(index)", random.bytes(20_000)) }
        try source.write("large", random.bytes(5_000_000))
        let state = try TreeState(of: source)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        func run(_ words: String...) throws -> Outcome {
            try Running(
                (["/usr/bin/env"] + words).map { Bytes($0.utf8) },
                environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
            ).finish()
        }
        let image = scratch.path("image")
        let made = try run("mkfs.ext4", "-q", "-F", image, "40M")
        #expect(made.code == 0, "\(made.summary)")
        try scratch.makeFolder("disk")
        let mounted = try run("mount", "-o", "loop", image, scratch.path("disk"))
        try #require(mounted.code == 0, "\(mounted.summary)")
        // What the image holds now is what the disk would hold after the power went.
        let outcome = Result {
            try home.restore("latest", to: scratch.path("disk"))
            try FileManager.default.copyItem(atPath: image, toPath: scratch.path("image after"))
        }
        _ = try run("umount", scratch.path("disk"))
        try outcome.get()
        let again = try run("mount", "-o", "loop", scratch.path("image after"), scratch.path("disk"))
        try #require(again.code == 0, "\(again.summary)")
        defer { _ = try? run("umount", scratch.path("disk")) }
        #expect(state.differences(from: try TreeState(of: scratch.path("disk") + scratch.path("source"))) == [])
    }

    @Test(
        "a time that the target's file system cannot hold is named with its file, which is there all the same",
        .enabled(if: LoopDisk.obstacle == nil, LoopDisk.skipped))
    func timeTooLate() throws {
        try LoopDisk.requireTools()
        let scratch = try Scratch(.disk)
        let source = try scratch.makeFolder("source")
        try source.write("late", "x")
        try source.setTime(Bytes("late".utf8), 4_102_444_800, 0)
        try source.write("now", "y")
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        try scratch.makeFolder("disk")
        let environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        func run(_ words: String...) throws -> Outcome {
            try Running((["/usr/bin/env"] + words).map { Bytes($0.utf8) }, environment: environment).finish()
        }
        // Inodes of 128 bytes have 32 bits for the time.
        #expect(try run("mkfs.ext4", "-q", "-F", "-I", "128", scratch.path("image"), "20M").code == 0)
        try #require(try run("mount", "-o", "loop", scratch.path("image"), scratch.path("disk")).code == 0)
        defer { _ = try? run("umount", scratch.path("disk")) }
        let outcome = try home.expect(3, ["restore", "latest", "--target", scratch.path("disk")])
        #expect(outcome.errorText.contains("/late") && outcome.errorText.contains("cannot hold a time"), "\(outcome.errorText)")
        #expect(!outcome.errorText.contains("/now"), "\(outcome.errorText)")
        let restored = try Folder(scratch.path("disk") + scratch.path("source"))
        #expect(try restored.read("late") == Bytes("x".utf8) && restored.read("now") == Bytes("y".utf8))
    }

    @Test(
        "on a disk mounted read-only, backups can be listed and restored, also without the ledger or with one that is noise",
        .enabled(if: Mount.isPossible, "needs root, to mount"), arguments: ["whole", "gone", "noise"])
    func readOnlyHome(_ ledger: String) throws {
        var random = Randomness.forTest("Fault.readOnlyHome")
        let scratch = try Scratch()
        let mount = try scratch.mountMemory(at: "disk", size: "60m")
        let source = try scratch.makeFolder("source")
        for index in 0..<20 { try source.write("file \(index)", random.bytes(50_000)) }
        let state = try TreeState(of: source)
        var home = try Home.make(scratch.path("disk/home"))
        try home.backup(scratch.path("source"))
        switch ledger {
        case "gone": try Folder(home.path).remove("ledger")
        case "noise":
            for file in regularFiles(below: home.path + "/ledger") {
                try Data(random.bytes(5000)).write(to: URL(fileURLWithPath: file))
            }
        default: break
        }
        try mount.makeReadOnly()
        let temporary = try scratch.makeFolder("temporary")
        home.extraEnvironment["TMPDIR"] = scratch.path("temporary")
        #expect(try home.snapshots().count == 1)
        #expect(try home.succeed("ls", "latest", scratch.path("source")).text.contains("file 7"))
        try home.restore("latest", to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
        try home.succeed("check", "--read-data")
        #expect(try temporary.names() == [])
        let backup = try home.expect(1, ["backup", scratch.path("target")])
        #expect(backup.errorText.contains("Read-only file system"), "\(backup.errorText)")
    }

    @Test("an init that finds no space leaves nothing", .enabled(if: Mount.isPossible, "needs root, to mount"))
    func initOnFullDisk() throws {
        let scratch = try Scratch()
        _ = try scratch.mountMemory(at: "disk", size: "16k")
        let home = Home(scratch.path("disk/home"))
        let outcome = try home.expect(1, ["init"])
        #expect(outcome.errorText.contains("space"))
        #expect(try !scratch.folder.folder("disk").has("home") || Folder(home.path).names().isEmpty)
    }

    @Test("what check --repair took off the lists as lost is read again by the next backup, and does not stand in it as stored")
    func lostAndRepaired() throws {
        var random = Randomness.forTest("Fault.lostAndRepaired")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.makeFolder("deep").write("large", random.bytes(2_000_000))
        try source.write("other", random.bytes(500_000))
        let state = try TreeState(of: source)
        let home = try Home.make(scratch.path("home"))
        // Old enough that a backup may trust their times.
        usleep(2_500_000)
        let first = try home.backup(scratch.path("source"))
        let packs = try home.vaultFiles("packs")
        let largest = try #require(packs.max { size($0) < size($1) })
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: largest))
        try handle.seek(toOffset: 300_000)
        try handle.write(contentsOf: Data(random.bytes(1_000_000)))
        try handle.close()
        #expect(try home.run("check", "--read-data", "--repair").code == 1)

        let second = try home.backup(scratch.path("source"))
        let check = try home.run("check", "--read-data")
        #expect(check.code == 0, "\(check.summary)")
        for (index, id) in [first, second].enumerated() {
            try home.restore(id, to: scratch.path("target \(index)"))
            #expect(state.differences(from: try TreeState(of: scratch.path("target \(index)") + scratch.path("source"))) == [])
        }
    }

    @Test("a snapshot whose record is beyond repair is named wherever another may be taken for the latest, and can be forgotten")
    func damagedRecord() throws {
        var random = Randomness.forTest("Fault.damagedRecord")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "1")
        let home = try Home.make(scratch.path("home"))
        let first = try home.backup(scratch.path("source"))
        try source.write("file", "2")
        let second = try home.backup(scratch.path("source"))
        try Data(random.bytes(500)).write(to: URL(fileURLWithPath: try home.vault() + "/snapshots/" + second))
        for command in [["snapshots"], ["ls", "latest"], ["restore", "latest", "--target", scratch.path("target")]] {
            let outcome = try home.expect(0, command)
            #expect(outcome.errorText.contains(second), "\(command): \(outcome.errorText)")
        }
        #expect(try home.succeed("status").text.contains("1 snapshot cannot be read"))
        #expect(try home.run("sweep").code == 1)
        let check = try home.expect(1, ["check", "--repair"])
        #expect(check.text.components(separatedBy: second).count == 2, "named once: \(check.text)")
        try home.succeed("forget", second)
        try home.sweep()
        #expect(try home.snapshots() == [first])
        #expect(try home.run("check").code == 0)
    }

    @Test("with the recovery key and the vault alone, everything comes back; a home that has lost its owner key says so")
    func recovery() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "precious")
        let state = try TreeState(of: source)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        try scratch.folder.write("paper", home.succeed("key", "export").text.lowercased())
        let paper = scratch.path("paper")
        func expectAllBack(_ home: Home, _ target: String) throws {
            // The first search makes the index.
            let found = try #require(try home.succeed("find", "'file", "--json").array().first)
            #expect(found["path"] as? String == scratch.path("source/file"))
            #expect(try (found["snapshots"] as? [String]) == home.snapshots())
            try home.restore("latest", to: scratch.path(target))
            #expect(state.differences(from: try TreeState(of: scratch.path(target) + scratch.path("source"))) == [])
            try home.backup(scratch.path("source"))
            #expect(try home.run("check", "--read-data").code == 0)
        }
        // The owner key alone is gone.
        try Folder(home.path + "/keys").remove("owner.key")
        try Folder(home.path + "/keys").remove("owner.key.copy")
        #expect(try home.run("snapshots").errorText.contains("recover"))
        try home.succeed("backup", scratch.path("source"))
        try home.succeed("recover", "--key", paper, "--no-discovery")
        try expectAllBack(home, "first")
        // All keys are gone.
        try Folder(home.path).remove("keys")
        #expect(try home.run("status").errorText.contains("recover"))
        let report = try home.succeed("recover", "--key", paper, "--no-discovery", "--json").object()
        #expect(report["has_vault"] as? Bool == true)
        try expectAllBack(home, "second")
        // The machine is gone; a copy of the vault is left.
        let other = Home(scratch.path("other"))
        try other.succeed("recover", "--key", paper, "--no-discovery")
        #expect(try other.snapshots().isEmpty)
        try FileManager.default.removeItem(atPath: other.path + "/vault")
        try FileManager.default.copyItem(atPath: home.path + "/vault", toPath: other.path + "/vault")
        try expectAllBack(other, "third")
        // A wrong key, and that of somebody else, change nothing.
        let stranger = try Home.make(scratch.path("stranger"))
        try stranger.backup(scratch.path("source"))
        for arguments in [["recover", "--key", paper], ["recover", "--key", scratch.path("source/file")]] {
            #expect(try stranger.run(arguments).code == 1)
        }
        try Folder(stranger.path).remove("keys")
        #expect(try stranger.expect(1, ["recover", "--key", paper]).errorText.contains("another owner"))
        #expect(try !Folder(stranger.path).has("keys"))
    }

    @Test("colours appear on a terminal only, and not with NO_COLOR")
    func colours() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "1")
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        try source.write("file", "22")
        try home.backup(scratch.path("source"))
        func onTerminal(_ variables: [String: String]) throws -> String {
            let command = "'\(Home.program)' --home '\(home.path)' diff latest~1 latest"
            let words = ["/usr/bin/script", "-qec", command, "/dev/null"].map { Bytes($0.utf8) }
            let basic = ["PATH": "/usr/bin:/bin", "TERM": "xterm"]
            return try Running(words, environment: basic.merging(variables) { $1 }).finish().text
        }
        let coloured = try onTerminal([:])
        #expect(coloured.contains("\u{1b}[33m") && coloured.contains("1 changed"), "\(coloured)")
        for variables in [["NO_COLOR": "1"], ["TERM": "dumb"]] {
            let plain = try onTerminal(variables)
            #expect(!plain.contains("\u{1b}") && plain.contains("1 changed"), "\(plain)")
        }
        #expect(try !home.succeed("diff", "latest~1", "latest").output.contains(0x1b))
    }

    private func size(_ path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }
}
