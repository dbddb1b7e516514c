import Foundation
internal import Glibc
import Testing

/// What docs/COMMANDS.md promises of options, exit codes and JSON, and no other suite shows.
@Suite("Promises") struct PromiseTests {
    private func bench(_ settings: String = "") throws -> (scratch: Scratch, source: Folder, home: Home, path: String) {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "content")
        return (scratch, source, try Home.make(scratch.path("home"), settings: settings), scratch.path("source"))
    }

    private func keys(_ object: [String: Any]?) -> Set<String> { Set((object ?? [:]).keys) }

    @Test("each document has the keys that are promised")
    func documents() throws {
        let (scratch, source, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        let other = Home(scratch.path("other"))
        let made = try other.succeed("init", "--json").object()
        #expect(keys(made).isSuperset(of: ["home", "owner", "device", "write_only", "recovery_key"]))
        try home.backup(path)
        try source.write("file", "changed")
        try home.backup(path)
        try source.makeLink(Bytes("link".utf8), to: Bytes("file".utf8))
        try home.backup(path)
        func object(_ arguments: String...) throws -> [String: Any] { try home.expect(0, arguments + ["--json"]).object() }

        let policy = try object("forget", "--keep-last", "2")
        #expect(keys(policy).isSuperset(of: ["dry_run", "groups", "removed"]))
        let group = (policy["groups"] as? [[String: Any]])?.first
        #expect(keys(group).isSuperset(of: ["host", "paths", "keep", "remove"]))
        #expect(keys((group?["keep"] as? [[String: Any]])?.first) == ["id", "time", "reasons"])
        #expect(keys((group?["remove"] as? [[String: Any]])?.first) == ["id", "time"])
        #expect(policy["removed"] as? Int == 1)
        let named = try object("forget", "latest~1")
        #expect(keys(named) == ["dry_run", "removed", "snapshots"])
        #expect(try home.snapshots().count == 1)

        #expect(
            try keys(object("sweep")).isSuperset(of: [
                "removed_packs", "removed_bytes", "rewritten_packs", "purged_bytes", "kept_bytes", "seconds",
            ]))
        #expect(
            try keys(object("check")).isSuperset(of: [
                "snapshots", "packs", "bytes_read", "clean", "repairable", "repaired", "lost", "seconds",
            ]))
        #expect(
            try keys(object("status")).isSuperset(of: [
                "home", "owner", "device", "name", "write_only", "roles", "sources", "last_backup", "next_backup", "snapshots",
                "packs", "stored_bytes", "free_bytes", "packs_by_replicas", "placement", "quota_given", "quota_taken",
                "protected", "warnings",
            ]))
        #expect(
            try keys(object("restore", "latest", "--target", scratch.path("target"))).isSuperset(of: [
                "files", "dirs", "bytes", "written_bytes", "unchanged_files", "deleted", "errors", "seconds",
            ]))
        let listed = try home.succeed("ls", "latest", path, "--json").array()
        #expect(listed.contains { $0["target"] as? String == "file" && $0["type"] as? String == "symlink" })
        let shown = try object("config", "show")
        #expect(keys(shown["memory"] as? [String: Any]) == ["value", "origin"])
        let progress = try home.succeed("backup", path, "--progress", "json")
        let line = try #require(progress.errorText.split(separator: "\n").last)
        let last = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        #expect(
            keys(last).isSuperset(of: [
                "seconds", "files", "dirs", "bytes", "total_files", "total_bytes", "bytes_per_second", "seconds_left", "problems",
            ]))
        #expect(last?["total_files"] is NSNull, "what is not known is null")
    }

    @Test("names that are not UTF-8 are UTF-8 in every document, with the exact bytes beside them")
    func documentsOfAnyBytes() throws {
        let (scratch, source, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        let name: Bytes = [0x61, 0xff, 0x0a, 0x22, 0x5c, 0x1b]
        try source.makeFolder(name).write("one", "1")
        let folder = Bytes((path + "/").utf8) + name
        func document(_ arguments: [Bytes]) throws -> Outcome {
            let outcome = try home.run(bytes: arguments + [Bytes("--json".utf8)])
            #expect(String(validating: outcome.output, as: UTF8.self) != nil)
            #expect(outcome.output.last == 0x0a && !outcome.output.contains(0x1b))
            return outcome
        }
        _ = try document([Bytes("backup".utf8), folder]).object()
        try source.folder(name).write("two", "2")
        _ = try document([Bytes("backup".utf8), folder]).object()
        let snapshots = try document([Bytes("snapshots".utf8)]).array()
        let paths = snapshots.first?["paths_base64"] as? [String] ?? []
        #expect(paths.compactMap { Data(base64Encoded: $0) } == [Data(folder)])
        let differences = try document(["diff", "latest~1", "latest"].map { Bytes($0.utf8) }).array()
        let added = differences.first { $0["change"] as? String == "added" }?["path_base64"] as? String
        #expect(added.flatMap { Data(base64Encoded: $0) } == Data(folder + Bytes("/two".utf8)))
        _ = try document([Bytes("status".utf8)]).object()
    }

    @Test("backup --wait without other nodes makes the snapshot and ends with 2")
    func wait() throws {
        let (scratch, _, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        let outcome = try home.expect(2, ["backup", "--wait", path])
        #expect(outcome.errorText.contains("--wait"))
        #expect(try home.snapshots().count == 1)
    }

    @Test("--config names another bakare.toml, --verbose tells more, --quiet only results")
    func globalOptions() throws {
        let (scratch, _, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        try scratch.folder.write("other.toml", "[sources]\npaths = [\"\(path)\"]\n")
        try home.expect(64, ["backup"])
        let outcome = try home.succeed("--config", scratch.path("other.toml"), "--verbose", "backup")
        #expect(outcome.errorText.contains(path))
        let origin = try home.succeed("config", "show", "--json", "--config", scratch.path("other.toml")).object()
        #expect((origin["config"] as? [String: Any])?["value"] as? String == scratch.path("other.toml"))
        #expect(try home.succeed("backup", path, "--quiet").output.isEmpty)
        #expect(try !home.succeed("ls", "latest", path, "--quiet").output.isEmpty)
    }

    @Test("forget by count, span and tag removes what restic would, a dry run nothing, and what keeps nothing is refused")
    func forget() throws {
        let (scratch, source, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        try scratch.makeFolder("second").write("x", "y")
        var ids: [String] = []
        for (index, tag) in ["plain", "kept", "plain", "plain"].enumerated() {
            try source.write("file", "version \(index)")
            ids.append(try home.backup(path, options: ["--tag", tag]))
        }
        let other = try home.backup(scratch.path("second"))
        let dry = try home.succeed("forget", "--keep-last", "1", "--dry-run")
        #expect(dry.text.contains("3 snapshots would be removed"))
        try home.succeed("forget", "--keep-within", "1d")
        #expect(try home.snapshots().count == 5)
        try home.expect(64, ["forget", "--keep-tag", "kept"])
        #expect(try home.snapshots().count == 5, "no snapshot of the other folder has that tag")
        try home.succeed("forget", "--keep-last", "1", "--keep-tag", "kept")
        #expect(try Set(home.snapshots()) == [ids[1], ids[3], other])
        for arguments in [["--keep-last", "0"], ["--keep-last", "-1"], ["latest", "--keep-last", "1"], []] {
            try home.expect(64, ["forget"] + arguments)
        }
        try home.expect(0, ["forget", ids[1], "latest"])
        #expect(try home.snapshots().count == 1)
    }

    @Test("sweep --dry-run says what a sweep then moves, and only what is in use counts as kept")
    func sweep() throws {
        var random = Randomness.forTest("Promise.sweep")
        let (scratch, source, home, path) = try bench("[vault]\ntrash_days = 0\n")
        defer { withExtendedLifetime(scratch) {} }
        try source.write("large", random.bytes(3_000_000))
        let first = try home.backup(path)
        try source.write("large", random.bytes(2_000_000))
        try home.backup(path)
        try home.succeed("forget", first)
        let before = try home.vaultFiles("packs")
        let dry = try home.succeed("sweep", "--dry-run", "--json").object()
        #expect(try home.vaultFiles("packs") == before)
        #expect((dry["removed_bytes"] as? Int ?? 0) > 2_900_000)
        let swept = try home.sweep().object()
        #expect((swept["purged_bytes"] as? Int ?? 0) > 2_900_000)
        #expect((swept["kept_bytes"] as? Int ?? .max) < 2_200_000, "\(swept)")
        #expect(try home.vaultFiles("packs").count < before.count)
    }

    @Test("key check names the group that is mistyped, missing or misplaced")
    func keyCheck() throws {
        let (scratch, _, home, _) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        let key = try home.succeed("key", "export").text.split(separator: "\n").first.map(String.init) ?? ""
        let groups = key.split(separator: "-").map(String.init)
        #expect(groups.count == 16)
        func check(_ groups: [String], _ hint: String) throws {
            try scratch.folder.write("key", groups.joined(separator: "-"))
            let outcome = try home.expect(1, ["key", "check", scratch.path("key")])
            #expect(outcome.errorText.contains(hint), "\(outcome.errorText)")
        }
        var wrong = groups
        wrong[6] = String(wrong[6].prefix(2)) + (wrong[6].dropFirst(2).first == "7" ? "8" : "7") + String(wrong[6].suffix(2))
        try check(wrong, "group 5")
        try check(Array(groups.dropLast()), "group 14")
        wrong = groups
        if wrong[8] != wrong[9] {
            wrong.swapAt(8, 9)
            try check(wrong, "order")
        }
        try scratch.folder.write("key", groups.joined(separator: " \n").lowercased())
        #expect(try home.succeed("key", "check", scratch.path("key"), "--json").object()["right"] as? Bool == true)
    }

    @Test("a wrong bakare.toml is named by line and column; reading goes on with the last right one, writing stops")
    func wrongConfiguration() throws {
        let (scratch, _, home, path) = try bench("memory = \"128MiB\"\n")
        defer { withExtendedLifetime(scratch) {} }
        try home.backup(path)
        try home.configure("memory = \"128MiB\"\n[retention]\nkeep_daily = \"seven\"\n")
        let problems = try home.expect(1, ["config", "check", "--json"]).array()
        #expect(problems.first?["line"] as? Int == 3 && problems.first?["column"] as? Int == 14, "\(problems)")
        #expect(keys(problems.first) == ["file", "line", "column", "message"])
        for command in [["backup", path], ["forget", "latest"], ["sweep"]] {
            let outcome = try home.expect(1, command)
            #expect(outcome.errorText.contains("bakare.toml:3:14"), "\(outcome.errorText)")
        }
        #expect(try home.snapshots().count == 1)
        for command in [["ls", "latest"], ["status"], ["check"], ["snapshots"], ["dump", "latest", path + "/file"]] {
            #expect(try home.expect(0, command).errorText.contains("bakare.toml:3:14"))
        }
        let memory = try home.succeed("config", "show", "--json").object()["memory"] as? [String: Any]
        #expect(memory?["value"] as? String == "\"128MiB\"")
    }

    @Test("without --home and BAKARE_HOME, data and configuration are in the user's XDG folders, for the user alone")
    func userFolders() throws {
        let (scratch, _, _, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        try scratch.makeFolder("user")
        var home = Home(scratch.path("user"))
        home.extraEnvironment = ["BAKARE_HOME": ""]
        try home.succeed("backup", path)
        let data = scratch.path("user/.local/share/bakare")
        #expect(regularFiles(below: data + "/keys").count == 6)
        #expect(regularFiles(below: scratch.path("user/.config/bakare")).count == 1)
        for file in regularFiles(below: scratch.path("user")) {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(file)")
        }
        for folder in ["", "/keys", "/vault", "/ledger", "/ledger/index"] {
            let mode = try FileManager.default.attributesOfItem(atPath: data + folder)[.posixPermissions] as? Int
            #expect(mode == 0o700, "\(folder)")
        }
        home.extraEnvironment = ["BAKARE_HOME": "", "XDG_DATA_HOME": scratch.path("d"), "XDG_CONFIG_HOME": scratch.path("c")]
        try home.succeed("status")
        #expect(scratch.folder.has("d") && scratch.folder.has("c"))
    }

    @Test("status of a home without a backup, and init where there is something else")
    func empty() throws {
        let (scratch, source, home, path) = try bench()
        defer { withExtendedLifetime(scratch) {} }
        let status = try home.succeed("status", "--json").object()
        #expect(status["last_backup"] is NSNull && status["snapshots"] as? Int == 0)
        #expect(try home.succeed("snapshots", "--json").array().isEmpty)
        let names = try source.names()
        #expect(try home.expect(1, ["--home", path, "init"]).errorText.contains("holds other things"))
        #expect(try source.names() == names)
    }
}
