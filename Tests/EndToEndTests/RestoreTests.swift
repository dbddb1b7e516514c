import Foundation
internal import CLinux
internal import Glibc
import Testing

@Suite("Restore") struct RestoreTests {
    private struct Bench {
        let scratch: Scratch
        let source: Folder
        let home: Home
        let state: TreeState
        var target: String { scratch.path("target") }
        var restored: String { target + scratch.path("source") }

        init(largeFiles: Int = 2) throws {
            var random = Randomness(seed: 99)
            scratch = try Scratch()
            source = try scratch.makeFolder("source")
            for name in ["a", "b", "c"] {
                let folder = try source.makeFolder(name)
                for file in 0..<4 { try folder.write("file \(file)", random.bytes([10, 600, 20_000, 300_000][file])) }
            }
            for index in 0..<largeFiles { try source.write("large \(index)", random.bytes(9_000_000)) }
            home = try Home.make(scratch.path("home"))
            try home.backup(scratch.path("source"))
            state = try TreeState(of: source)
        }

        func expectRestored(_ comment: String) throws {
            #expect(state.differences(from: try TreeState(of: restored)) == [], "\(comment)")
        }
    }

    /// What changes whenever a file is written, replaced, or has its metadata set.
    private struct Identity: Equatable {
        let inode: UInt64
        let seconds: Int64
        let nanoseconds: UInt32

        init(_ folder: Folder, _ name: String) throws {
            let status = try folder.status(name)
            inode = status.inode
            seconds = status.ctime_seconds
            nanoseconds = status.ctime_nanoseconds
        }
    }

    @Test("restoring over an earlier restore writes only what differs")
    func inPlace() throws {
        let bench = try Bench()
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        let inner = try folder.folder("b")
        let before = try (Identity(folder, "large 0"), Identity(inner, "file 2"), Identity(inner, "file 0"))
        try folder.write(Bytes("large 1".utf8), Bytes("damage".utf8), at: 4_000_000)
        try folder.folder("a").remove("file 1")
        try folder.folder("c").setMode(Bytes("file 2".utf8), 0o600)
        try folder.folder("c").setTime(Bytes("file 3".utf8), 5, 5)
        let report = try bench.home.restore("latest", to: bench.target, options: ["--json"]).object()
        let after = try (Identity(folder, "large 0"), Identity(inner, "file 2"), Identity(inner, "file 0"))
        #expect(before == after, "untouched files are not touched")
        #expect((report["written_bytes"] as? Int ?? .max) < 9_500_000)
        try bench.expectRestored("after a repair in place")
    }

    @Test("a changed file of the same size and time is found with --verify, and content never mixes")
    func sameSizeAndTime() throws {
        let bench = try Bench()
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        let status = try folder.status("large 0")
        try folder.write(Bytes("large 0".utf8), Bytes("damage".utf8), at: 1_000_000)
        try folder.setTime(Bytes("large 0".utf8), status.mtime_seconds, status.mtime_nanoseconds)
        try bench.home.restore("latest", to: bench.target, options: ["--verify"])
        try bench.expectRestored("after a restore with --verify")
    }

    @Test("single paths are restored, files and folders, and nothing else")
    func paths() throws {
        let bench = try Bench()
        let source = bench.scratch.path("source")
        try bench.home.expect(0, ["restore", "latest", source + "/b", source + "/c/file 2", "--target", bench.target])
        let found = try TreeState(of: bench.restored)
        let wanted = bench.state.files.keys.filter { path in
            let text = String(decoding: path, as: UTF8.self)
            return text == "b" || text.hasPrefix("b/") || text == "c" || text == "c/file 2"
        }
        #expect(Set(found.files.keys.filter { !$0.isEmpty }) == Set(wanted))
        for path in wanted where path != Bytes("c".utf8) {
            #expect(found.files[path] == bench.state.files[path], "\(shown(path))")
        }
        let unknown = try bench.home.run("restore", "latest", source + "/missing", "--target", bench.target)
        #expect(unknown.code == 1, "\(unknown.summary)")
        #expect(unknown.errorText.contains("missing"))
    }

    @Test("--delete removes what the snapshot does not hold, only below what is restored")
    func delete() throws {
        let bench = try Bench()
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        try folder.write("extra", "x")
        try folder.makeFolder("extra folder").write("x", "y")
        try folder.folder("a").makeLink(Bytes("extra link".utf8), to: Bytes(bench.scratch.path("home").utf8))
        try Folder(bench.target).write("outside", "stays")
        try bench.home.restore("latest", to: bench.target)
        #expect(folder.has("extra"))
        let dry = try bench.home.restore("latest", to: bench.target, options: ["--delete", "--dry-run"])
        #expect(dry.code == 0 && folder.has("extra"))
        try bench.home.restore("latest", to: bench.target, options: ["--delete"])
        try bench.expectRestored("after --delete")
        #expect(try bench.home.snapshots().count == 1, "what a link led to is still there")
        // With a path: what lies beside it stays.
        try folder.write("beside", "x")
        try folder.folder("b").write("inside", "x")
        try bench.home.expect(
            0, ["restore", "latest", bench.scratch.path("source") + "/b", "--target", bench.target, "--delete"])
        #expect(folder.has("beside"))
        #expect(try !folder.folder("b").has("inside"))
    }

    @Test("--overwrite never keeps what is there, if-newer only what is newer")
    func overwrite() throws {
        let bench = try Bench()
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        let old = try folder.status("large 0").mtime_seconds
        func change() throws {
            try folder.write("large 0", "older")
            try folder.setTime(Bytes("large 0".utf8), old - 1000, 0)
            try folder.write("large 1", "newer")
            try folder.setTime(Bytes("large 1".utf8), old + 1000, 0)
            if folder.has("a") { try folder.remove("a") }
        }
        try change()
        try bench.home.restore("latest", to: bench.target, options: ["--overwrite", "never"])
        #expect(try folder.read("large 0") == Bytes("older".utf8))
        #expect(try folder.read("large 1") == Bytes("newer".utf8))
        #expect(try folder.folder("a").has("file 0"), "what is missing comes back")
        try change()
        try bench.home.restore("latest", to: bench.target, options: ["--overwrite", "if-newer"])
        #expect(try folder.status("large 0").size == 9_000_000)
        #expect(try folder.read("large 1") == Bytes("newer".utf8))
        try change()
        try bench.home.restore("latest", to: bench.target, options: ["--overwrite", "always"])
        try bench.expectRestored("after --overwrite always")
    }

    @Test("--dry-run writes nothing")
    func dryRun() throws {
        let bench = try Bench()
        let report = try bench.home.restore("latest", to: bench.target, options: ["--dry-run", "--json"]).object()
        #expect(!bench.scratch.folder.has("target"))
        #expect(report["files"] as? Int == 14)
    }

    @Test("a target in which anything of another type bears the names is put right")
    func typesInTheWay() throws {
        let bench = try Bench()
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        try folder.remove("large 0")
        try folder.makeFolder("large 0")
        try folder.remove("a")
        try folder.write("a", "a file now")
        try folder.remove("large 1")
        try folder.makeNode(Bytes("large 1".utf8), mode: linux_S_IFIFO | 0o600)
        try bench.home.restore("latest", to: bench.target)
        try bench.expectRestored("over other types")
    }

    @Test("links planted in the target never lead a restore out of it")
    func plantedLinks() throws {
        let bench = try Bench()
        let outside = try bench.scratch.makeFolder("outside")
        try outside.write("file 0", "mine")
        let outsideState = try TreeState(of: outside)
        let away = Bytes(bench.scratch.path("outside").utf8)
        let target = try bench.scratch.makeFolder("target")
        // In place of the first folder on the way, of an inner one, and of files.
        let first = try #require(bench.scratch.path("source").split(separator: "/").first)
        try target.makeLink(Bytes(first.utf8), to: away)
        _ = try bench.home.run("restore", "latest", "--target", bench.target)
        #expect(outsideState.differences(from: try TreeState(of: outside)) == [], "through the first folder")
        try target.remove(Bytes(first.utf8))
        try bench.home.restore("latest", to: bench.target)
        let folder = try Folder(bench.restored)
        try folder.remove("a")
        try folder.makeLink(Bytes("a".utf8), to: away)
        try folder.remove("large 0")
        try folder.makeLink(Bytes("large 0".utf8), to: away + Bytes("/new".utf8))
        try folder.folder("b").remove("file 1")
        try folder.folder("b").makeLink(Bytes("file 1".utf8), to: away + Bytes("/file 0".utf8))
        for options in [[], ["--delete"], ["--overwrite", "if-newer"]] {
            _ = try bench.home.run(["restore", "latest", "--target", bench.target] + options)
            #expect(outsideState.differences(from: try TreeState(of: outside)) == [], "\(options)")
        }
        try bench.home.restore("latest", to: bench.target)
        try bench.expectRestored("over planted links")
    }

    @Test("links planted while the restore runs never lead it out of the target")
    func plantedMeanwhile() throws {
        let bench = try Bench(largeFiles: 1)
        let outside = try bench.scratch.makeFolder("outside")
        let outsideState = try TreeState(of: outside)
        let away = Bytes(bench.scratch.path("outside").utf8)
        let restored = bench.restored
        let planter = Background { round in
            guard let folder = try? Folder(restored) else { return }
            let name = Bytes(["a", "b", "c"][round % 3].utf8)
            try? folder.remove(name)
            try? folder.makeLink(name, to: away)
        }
        for _ in 0..<12 {
            let outcome = try bench.home.run("restore", "latest", "--target", bench.target)
            #expect([0, 1, 3].contains(outcome.code), "\(outcome.summary)")
        }
        planter.stop()
        var found = try TreeState(of: outside)
        found.files[[]] = outsideState.files[[]]
        #expect(outsideState.differences(from: found) == [])
        try bench.home.restore("latest", to: bench.target)
        try bench.expectRestored("when nobody is in the way")
    }

    @Test("interrupted: exit 130, nothing half-written under its name, and the next run goes on")
    func interrupted() throws {
        var random = Randomness.forTest("Restore.interrupted")
        let bench = try Bench(largeFiles: 12)
        let start = Date()
        try bench.home.restore("latest", to: bench.scratch.path("whole"))
        let usual = Date().timeIntervalSince(start)
        var interruptions = 0
        for turn in 0..<8 * testScale {
            let running = try bench.home.start("restore", "latest", "--target", bench.target)
            usleep(UInt32(Double(200_000 + random.below(800_000)) * usual))
            running.signal(turn % 2 == 0 ? SIGINT : SIGTERM)
            let outcome = try running.finish(timeoutSeconds: 30)
            #expect(outcome.code == 130 || outcome.code == 0, "\(outcome.summary)")
            if outcome.code == 130 { interruptions += 1 }
            if let found = try? TreeState(of: bench.restored) {
                for (path, file) in found.files where file.mode & UInt32(S_IFMT) == UInt32(S_IFREG) {
                    #expect(bench.state.files[path]?.contentHash == file.contentHash, "half of \(shown(path))")
                }
                #expect(try Folder(bench.target).names().count == 1, "nothing of its own is left in the target")
            }
            if turn % 3 == 2 {
                try bench.home.restore("latest", to: bench.target)
                try bench.expectRestored("after interruptions")
                try bench.scratch.folder.remove("target")
            }
        }
        print("restore: \(interruptions) interruptions landed")
    }

    @Test("an interrupted backup exits with 130 and leaves no snapshot; the next one needs only the rest")
    func interruptedBackup() throws {
        var random = Randomness.forTest("Restore.interruptedBackup")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<8 { try source.write("file \(index)", random.bytes(12_000_000)) }
        // On a busy machine the backup may end before the signal is sent; such a home is put aside.
        for attempt in 0..<20 {
            let home = try Home.make(scratch.path("home \(attempt)"))
            // Any command makes the vault's folders.
            try home.succeed("snapshots")
            let running = try home.start("backup", scratch.path("source"))
            while try home.vaultFiles("packs").count < 2 { if running.endsWithin(seconds: 0.001) { break } }
            running.signal(SIGINT)
            let outcome = try running.finish(timeoutSeconds: 30)
            if outcome.code == 0 { continue }
            #expect(outcome.code == 130, "\(outcome.summary)")
            #expect(try home.snapshots() == [])
            let report = try home.succeed("backup", "--json", scratch.path("source")).object()
            #expect((report["new_bytes"] as? Int ?? .max) < 96_000_000 - 12_000_000, "packs that were stored are used")
            #expect(try home.run("check", "--read-data").code == 0)
            return
        }
        Issue.record("every backup ended before its signal")
    }
}
