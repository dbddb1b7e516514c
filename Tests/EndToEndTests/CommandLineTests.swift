import Foundation
internal import Glibc
import Testing

@Suite("Command line") struct CommandLineTests {
    private static let commands = [
        ["find"], ["versions"],
        ["init"], ["backup"], ["snapshots"], ["ls"], ["diff"], ["dump"], ["restore"], ["forget"], ["sweep"], ["check"],
        ["status"],
        ["key", "show"], ["key", "export"], ["key", "check"], ["config", "check"], ["config", "show"],
    ]

    private func keys(_ object: [String: Any]?) -> Set<String> { Set((object ?? [:]).keys) }

    @Test("--help of each command explains it, and --version tells the version")
    func help() throws {
        let scratch = try Scratch()
        let home = Home(scratch.path("home"))
        for command in CommandLineTests.commands + [[]] {
            let outcome = try home.run(command + ["--help"])
            #expect(outcome.code == 0, "\(command): \(outcome.summary)")
            #expect(outcome.text.contains("USAGE") && outcome.text.contains("bakare-node \(command.joined(separator: " "))"))
            #expect(outcome.errors.isEmpty)
            #expect(outcome.text.split(separator: "\n").allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE") }, "\(command)")
        }
        let version = try home.succeed("--version")
        #expect(version.text.contains { $0.isNumber })
        #expect(!scratch.folder.has("home"), "help makes no home")
        for shell in ["bash", "zsh", "fish"] {
            #expect(try !home.succeed("--generate-completion-script", shell).output.isEmpty)
        }
    }

    @Test(
        "wrong usage exits with 64, and a mistyped command or option gets the right one suggested",
        arguments: [
            (["bakcup"], "backup"), (["snapshot"], "snapshots"), (["backup", "--exlude", "x", "/tmp"], "--exclude"),
            (["restore", "latest"], "--target"), (["restore"], "snapshot"),
            (["backup", "--exclude-larger-than", "many", "/tmp"], "many"),
            (["restore", "latest", "--target", "/x", "--overwrite", "sometimes"], "if-newer"),
            (["check", "--read-data=0%"], "0%"),
            (["init", "--write-only"], "--owner"), (["dump", "latest"], "path"), (["key", "shw"], "key show"),
            (["config", "chek"], "config check"), (["hlep"], "help"), (["--hom", "/x", "status"], "--hom"),
        ])
    func wrongUsage(_ arguments: [String], _ hint: String) throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        let outcome = try home.run(arguments)
        #expect(outcome.code == 64, "\(arguments): \(outcome.summary)")
        #expect(outcome.errorText.lowercased().contains(hint.lowercased()), "\(arguments): \(outcome.errorText)")
        #expect(outcome.output.isEmpty)
    }

    @Test("JSON of each command has the promised keys, and is one document that ends with a newline")
    func json() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "content")
        try source.makeFolder("folder").write("inner", "inner content")
        let home = try Home.make(scratch.path("home"))
        let path = scratch.path("source")

        let backup = try home.succeed("backup", path, "--json", "--tag", "one", "--tag", "two")
        #expect(backup.text.hasSuffix("}\n"))
        let report = try backup.object()
        #expect(
            keys(report).isSuperset(of: [
                "snapshot", "files", "dirs", "bytes", "new_bytes", "stored_bytes", "unchanged_files", "errors", "seconds",
                "replicas",
                "target", "protected",
            ]))
        #expect(report["files"] as? Int == 2)
        #expect(report["bytes"] as? Int == 20)
        #expect(report["unchanged_files"] as? Int == 0)
        #expect(report["protected"] as? Bool == false)
        let id = try #require(report["snapshot"] as? String)
        #expect(id.count == 64)

        let snapshots = try home.succeed("snapshots", "--json").array()
        #expect(
            keys(snapshots.first).isSuperset(of: [
                "id", "time", "host", "paths", "tags", "files", "bytes", "replicas", "target", "protected",
            ]))
        #expect(snapshots.first?["id"] as? String == id)
        #expect(snapshots.first?["paths"] as? [String] == [path])
        #expect(snapshots.first?["tags"] as? [String] == ["one", "two"])

        let listed = try home.succeed("ls", "latest", path, "--recursive", "--json").array()
        #expect(keys(listed.first).isSuperset(of: ["path", "type", "size", "mode", "uid", "gid", "mtime"]))
        let listedPaths = listed.compactMap { $0["path"] as? String }
        #expect(Set(listedPaths).isSuperset(of: ["/file", "/folder", "/folder/inner"].map { path + $0 }))

        try source.write("file", "other content")
        try home.backup(path)
        let differences = try home.succeed("diff", "latest~1", "latest", "--json").array()
        #expect(differences.count == 1)
        #expect(differences.first?["path"] as? String == path + "/file")
        #expect(differences.first?["change"] as? String == "content")

        let restore = try home.restore("latest", to: scratch.path("target"), options: ["--json"]).object()
        #expect(keys(restore).isSuperset(of: ["files", "dirs", "bytes", "errors", "seconds"]))
        #expect(restore["files"] as? Int == 2)
        let forget = try home.succeed("forget", "--keep-last", "1", "--dry-run", "--json").object()
        #expect(forget["dry_run"] as? Bool == true)
        #expect(try home.snapshots().count == 2)
        _ = try home.succeed("sweep", "--dry-run", "--json").object()
        for share in [["--read-data=50%"], ["--read-data", "50%"], ["--read-data"], []] {
            #expect(try home.expect(0, ["check", "--json"] + share).object()["clean"] as? Bool == true)
        }
        let status = try home.succeed("status", "--json").object()
        #expect(keys(status).isSuperset(of: ["packs_by_replicas"]))
        #expect(keys(try home.succeed("key", "show", "--json").object()) == ["recovery_key"])
        _ = try home.succeed("config", "show", "--json").object()
        #expect(try home.succeed("config", "check", "--json").array().isEmpty)
    }

    @Test("with --progress json each line on stderr is an object")
    func progress() throws {
        var random = Randomness(seed: 3)
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<10 { try source.write("file \(index)", random.bytes(8_000_000)) }
        let home = try Home.make(scratch.path("home"))
        let outcome = try home.succeed("backup", scratch.path("source"), "--progress", "json", "--json")
        let lines = outcome.errorText.split(separator: "\n")
        #expect(!lines.isEmpty)
        for line in lines { #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) is [String: Any], "\(line)") }
        _ = try outcome.object()
        // Not on a terminal: no colours, no progress, unless asked for.
        let plain = try home.succeed("backup", scratch.path("source"))
        #expect(!plain.output.contains(0x1b) && !plain.errors.contains(0x1b))
        #expect(!plain.text.isEmpty)
        let quiet = try home.succeed("backup", scratch.path("source"), "--quiet")
        #expect(quiet.errors.isEmpty)
    }

    @Test("a name for no snapshot, or for several, fails with a message that says so")
    func snapshotNames() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "1")
        let home = try Home.make(scratch.path("home"))
        let none = try home.run("ls", "latest")
        #expect(none.code == 1 || none.code == 64)
        #expect(none.errorText.contains("snapshot"))
        let first = try home.backup(scratch.path("source"))
        try source.write("file", "22")
        let second = try home.backup(scratch.path("source"))
        for name in ["latest~2", "ffffffffffff", "newest", "latest~x", ""] {
            let outcome = try home.run("ls", name)
            #expect(outcome.code == 1 || outcome.code == 64, "\(name): \(outcome.summary)")
            #expect(!outcome.errorText.isEmpty)
            #expect(outcome.output.isEmpty)
        }
        #expect(try home.succeed("dump", "latest", scratch.path("source/file")).text == "22")
        #expect(try home.succeed("dump", "latest~1", scratch.path("source/file")).text == "1")
        #expect(try home.succeed("dump", String(first.prefix(10)), scratch.path("source/file")).text == "1")
        #expect(try home.succeed("dump", second, scratch.path("source/file")).text == "22")
    }

    @Test("dump writes a file's bytes, and a folder as a tar that tar understands")
    func dump() throws {
        var random = Randomness.forTest("CommandLine.dump")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let content = random.bytes(5_000_000)
        try source.write("large", content)
        let folder = try source.makeFolder("folder")
        try folder.write(Bytes(repeating: 0x61, count: 200), Bytes("long name".utf8))
        try folder.makeLink(Bytes("link".utf8), to: Bytes("x".utf8))
        try folder.write("hard", "linked")
        try folder.hardLink(Bytes("hard".utf8), as: Bytes("hard too".utf8), in: folder)
        try folder.write([0xff, 0xfe], Bytes("not UTF-8".utf8))
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        #expect(try home.succeed("dump", "latest", scratch.path("source/large")).output == content)
        let tar = try home.succeed("dump", "latest", scratch.path("source/folder"))
        try Data(tar.output).write(to: URL(fileURLWithPath: scratch.path("out.tar")))
        try scratch.makeFolder("out")
        let unpack = try Running(
            ["/usr/bin/env", "tar", "-xf", scratch.path("out.tar"), "-C", scratch.path("out")].map { Bytes($0.utf8) },
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"]
        ).finish()
        #expect(unpack.code == 0, "\(unpack.summary)")
        var unpacked = try Folder(scratch.path("out"))
        while try unpacked.names().count == 1, let only = try unpacked.names().first { unpacked = try unpacked.folder(only) }
        let expected = try TreeState(of: folder)
        let found = try TreeState(of: unpacked)
        #expect(Set(expected.files.keys) == Set(found.files.keys))
        for (path, file) in expected.files {
            #expect(
                file.contentHash == found.files[path]?.contentHash && file.target == found.files[path]?.target, "\(shown(path))")
            #expect(file.group == found.files[path]?.group, "\(shown(path))")
        }
        let missing = try home.run("dump", "latest", scratch.path("source/missing"))
        #expect(missing.code == 1 && missing.output.isEmpty)
    }

    @Test("paths that are not UTF-8 can be given and are told")
    func rawNames() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let name: Bytes = [0x6e, 0xe9, 0x0a, 0xff]
        try source.makeFolder(name).write("inside", "found")
        let home = try Home.make(scratch.path("home"))
        let path = Bytes(scratch.path("source/").utf8) + name
        let backup = try home.run(bytes: [Bytes("backup".utf8), path])
        #expect(backup.code == 0, "\(backup.summary)")
        let dumped = try home.run(bytes: [Bytes("dump".utf8), Bytes("latest".utf8), path + Bytes("/inside".utf8)])
        #expect(dumped.text == "found", "\(dumped.summary)")
        let listed = try home.succeed("ls", "latest", "--recursive", "--json").array()
        let encoded = listed.compactMap { $0["path_base64"] as? String }.compactMap { Data(base64Encoded: $0) }
        #expect(encoded.contains(Data(path)))
        #expect(try !home.succeed("ls", "latest", "--recursive").output.contains(0xff), "no raw bytes on a terminal")
        let restored = try home.run(
            bytes: [
                Bytes("restore".utf8), Bytes("latest".utf8), path, Bytes("--target".utf8), Bytes(scratch.path("target").utf8),
            ])
        #expect(restored.code == 0, "\(restored.summary)")
        #expect(try Folder(scratch.path("target") + scratch.path("source")).folder(name).read("inside") == Bytes("found".utf8))
    }

    @Test("two homes know nothing of each other, and a home is never part of a backup")
    func twoHomes() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "x")
        let inside = try Home.make(scratch.path("source/home"))
        let other = try Home.make(scratch.path("other"))
        let id = try inside.backup(scratch.path("source"))
        #expect(try other.snapshots() == [])
        #expect(try other.run("ls", id).code != 0)
        let paths = try inside.succeed("ls", "latest", "--recursive", "--json").array().compactMap { $0["path"] as? String }
        #expect(!paths.contains { $0.hasPrefix(scratch.path("source/home/")) }, "\(paths)")
        // Reached by a link that is named, too.
        try FileManager.default.createSymbolicLink(atPath: scratch.path("way"), withDestinationPath: scratch.path("source"))
        try inside.expect(0, ["backup", scratch.path("way/home/..")])
        try inside.expect(0, ["backup", scratch.path("source/home/vault/..")])
        for snapshot in try inside.snapshots() {
            let all = try inside.succeed("ls", snapshot, "--recursive", "--json").array().compactMap { $0["path"] as? String }
            #expect(!all.contains { $0.contains("/home/keys") }, "\(all)")
        }
        // --home wins over BAKARE_HOME.
        #expect(try other.succeed("--home", inside.path, "snapshots", "--json").array().count == 3)
        #expect(try other.succeed("snapshots", "--json", "--home", inside.path).array().count == 3)
        #expect(try other.succeed("key", "show").text != inside.succeed("key", "show").text)
    }

    @Test("a command that needs a home makes one, and shows the recovery key")
    func firstUse() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("source").write("file", "x")
        let home = Home(scratch.path("home"))
        let first = try home.succeed("backup", scratch.path("source"))
        let key = try home.succeed("key", "export").text.split(separator: "\n").first.map(String.init) ?? ""
        let start = try #require(key.split(separator: "-").dropFirst().first)
        #expect((first.text + first.errorText).contains(start))
        let again = try home.run("init")
        #expect(again.code == 1, "\(again.summary)")
        // The key as text: right, then with one letter mistyped.
        try Data(key.utf8).write(to: URL(fileURLWithPath: scratch.path("key")))
        try home.succeed("key", "check", scratch.path("key"))
        var wrong = Array(key)
        wrong[wrong.count - 3] = wrong[wrong.count - 3] == "Q" ? "P" : "Q"
        try Data(String(wrong).utf8).write(to: URL(fileURLWithPath: scratch.path("key")))
        #expect(try home.run("key", "check", scratch.path("key")).code == 1)
    }

    @Test("sources, excludes, tags and options come from bakare.toml and the command line together")
    func configuration() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for name in ["a.txt", "a.o", "b.tmp", "big"] {
            try source.write(name, Bytes(repeating: 1, count: name == "big" ? 20_000 : 10))
        }
        let cache = try source.makeFolder("cache")
        try cache.write("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
        try cache.write("cached", "x")
        try source.makeFolder("node_modules").write("x", "y")
        try scratch.folder.write("patterns", "# comment\nnode_modules/\n")
        let home = try Home.make(
            scratch.path("home"),
            settings: "[sources]\npaths = [\"\(scratch.path("source"))\"]\nexclude = [\"*.o\"]\ntags = [\"daily\"]\n")
        let outcome = try home.succeed(
            "backup", "--exclude", "*.tmp", "--exclude-file", scratch.path("patterns"), "--exclude-larger-than", "10KB",
            "--exclude-caches", "--one-file-system", "--tag", "more", "--json")
        _ = try outcome.object()
        let paths = try home.succeed("ls", "latest", scratch.path("source"), "--recursive", "--json").array()
            .compactMap { $0["path"] as? String }.map { String($0.dropFirst(scratch.path("source").count)) }
        #expect(Set(paths.filter { !$0.isEmpty }) == ["/a.txt", "/cache", "/cache/CACHEDIR.TAG"])
        #expect(try home.succeed("snapshots", "--json").array().first?["tags"] as? [String] == ["daily", "more"])

        try home.configure("memory = \"12 elephants\"\n")
        #expect(try home.run("config", "check").code == 1)
        #expect(try home.run("backup", scratch.path("source")).code == 1)
        #expect(try home.run("snapshots").code == 0, "reading goes on")
    }

    @Test("what is wrong with an argument is said with what is right")
    func wrongArguments() throws {
        let scratch = try Scratch()
        try scratch.folder.write("file", "x")
        let home = try Home.make(scratch.path("home"))
        for (arguments, text) in [
            (["check", "--read-data=500%"], "at most 100%"), (["forget", "--keep-daily", "x"], "a whole number"),
            (["forget", "--keep-last=-1"], "a whole number"),
            (["status", "--config", scratch.path("none.toml")], "no such file"),
            (["status", "--home", scratch.path("file")], "that is a file, and no folder"),
        ] {
            let outcome = try home.run(arguments)
            #expect(outcome.code == 64 && outcome.errorText.contains(text), "\(arguments): \(outcome.summary)")
        }
    }

    @Test("a path that is not there fails the backup and leaves no snapshot")
    func missingSource() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("source").write("file", "x")
        let home = try Home.make(scratch.path("home"))
        let outcome = try home.run("backup", scratch.path("missing"))
        #expect(outcome.code == 1 || outcome.code == 3, "\(outcome.summary)")
        #expect(outcome.errorText.contains("missing"))
        let both = try home.run("backup", scratch.path("source"), scratch.path("missing"))
        #expect(both.code == 3 || both.code == 1, "\(both.summary)")
        #expect(both.errorText.contains(scratch.path("missing")))
    }

    @Test("backup --dry-run stores nothing")
    func dryRun() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("source").write("file", Bytes(repeating: 5, count: 900_000))
        let home = try Home.make(scratch.path("home"))
        let report = try home.succeed("backup", "--dry-run", "--json", scratch.path("source")).object()
        #expect(report["snapshot"] is NSNull)
        #expect(report["files"] as? Int == 1)
        #expect(try home.snapshots() == [])
        #expect(try home.vaultFiles("packs") == [])
    }
}
