import Foundation
internal import Glibc
import Testing

@Suite("Finding files") struct FindTests {
    private func paths(_ outcome: Outcome) throws -> [String] { try outcome.array().compactMap { $0["path"] as? String } }

    @Test("find looks through all snapshots, and says of each path which hold it and whether it is gone")
    func find() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("annual-report.txt", "first")
        try source.write("gone.txt", "gone")
        try source.makeFolder("Résumés").write("mainWindow.swift", "x")
        let home = try Home.make(scratch.path("home"))
        let first = try home.backup(scratch.path("source"))
        try source.write("annual-report.txt", "second!")
        try source.remove("gone.txt")
        let second = try home.backup(scratch.path("source"))

        let report = try home.succeed("find", "report", "annual", "--json").array()
        let best = try #require(report.first)
        #expect(
            Set(best.keys) == ["path", "score", "type", "size", "mtime", "deleted", "snapshots"]
                && best["path"] as? String == scratch.path("source/annual-report.txt"))
        #expect(
            best["snapshots"] as? [String] == [first, second] && best["size"] as? Int == 7 && best["deleted"] as? Bool == false)
        let gone = try #require(try home.succeed("find", "gone", "--json").array().first)
        #expect(gone["snapshots"] as? [String] == [first] && gone["deleted"] as? Bool == true)
        #expect(try home.succeed("find", "gone").text.contains("gone.txt  (deleted)"))
        #expect(try paths(home.succeed("find", "gone", "--json", "--snapshot", "latest")).isEmpty)
        #expect(try paths(home.succeed("find", "resumes", "--json", "--type", "d")) == [scratch.path("source/Résumés")])
        #expect(try paths(home.succeed("find", "mw", "--json")).first == scratch.path("source/Résumés/mainWindow.swift"))
        #expect(try paths(home.succeed("find", "anual reprot", "--json")).first == scratch.path("source/annual-report.txt"))
        #expect(try paths(home.succeed("find", "t", "--json", "--limit", "1")).count == 1)
        #expect(try paths(home.succeed("find", "txt", "--json", "--larger", "6B")) == [scratch.path("source/annual-report.txt")])
        #expect(try paths(home.succeed("find", "txt", "--json", "--smaller", "4B")) == [scratch.path("source/gone.txt")])
        #expect(try paths(home.succeed("find", "txt", "--json", "--older", "1d")).isEmpty)
        #expect(try paths(home.succeed("find", "txt", "--json", "--newer", "1d")).count == 2)
        let inFolder = try paths(home.succeed("find", "s", "--json", "--path", scratch.path("source/Résumés")))
        #expect(inFolder.count == 2 && inFolder.allSatisfy { $0.contains("/Résumés") })
        let nothing = try home.succeed("find", "zzzz", "--json")
        #expect(nothing.text == "[]\n")
        #expect(try home.succeed("find", "zzzz").text == "nothing matches\n")
        _ = try home.succeed("forget", first)
        #expect(try paths(home.succeed("find", "gone", "--json")).isEmpty)
    }

    @Test("an index that is lost, damaged or of another home is made anew, and nobody notices")
    func rebuilt() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for number in 0..<50 { try source.write("file-\(number)", "x") }
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        try source.write("file-50", "x")
        try home.backup(scratch.path("source"))
        let wanted = try home.succeed("find", "file", "--json", "--limit", "100").text
        let folder = home.path + "/ledger/names"
        // Each time the index is made anew its files have other names.
        for part in 0..<24 {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            let name = try #require(part % 2 == 0 ? names.first { $0.hasSuffix(".names") } : names.first { $0 == "manifest" })
            var content = try #require(FileManager.default.contents(atPath: folder + "/" + name))
            let place = content.count * part / 24
            content[place] ^= 0x10
            try content.write(to: URL(fileURLWithPath: folder + "/" + name))
            #expect(try home.succeed("find", "file", "--json", "--limit", "100").text == wanted, "byte \(place) of \(name)")
        }
        try FileManager.default.removeItem(atPath: home.path + "/ledger")
        #expect(try home.succeed("find", "file", "--json", "--limit", "100").text == wanted)
    }

    @Test("find works beside a running node and beside others, and knows each backup as soon as that is done")
    func besideOthers() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("name-0", "x")
        let home = try Home.make(scratch.path("home"))
        let node = try RunningNode(home)
        try home.backup(scratch.path("source"))
        let first = scratch.path("source/name-0")
        let searchers = (0..<2).map { _ in
            Background { _ in
                let outcome = try home.run("find", "'name-", "--json")
                #expect(outcome.code == 0, "\(outcome.errorText)")
                #expect(try outcome.array().first?["path"] as? String == first)
            }
        }
        for number in 1...8 {
            try source.write("name-\(number)", "x")
            try home.backup(scratch.path("source"))
            #expect(try paths(home.succeed("find", "'name-\(number)", "--json")) == [scratch.path("source/name-\(number)")])
        }
        for searcher in searchers { searcher.stop() }
        #expect(searchers.allSatisfy { $0.rounds > 0 })
        #expect(try node.stop().code == 0)
    }

    @Test("names that are not UTF-8, or would act on a terminal, are found and shown safely")
    func unsafeNames() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write(Bytes("red\u{1b}[31m".utf8) + [0xff], Bytes("x".utf8))
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        let shown = try home.succeed("find", "red")
        #expect(shown.text.contains("red\\x1b[31m\\xff") && !shown.output.contains(0x1b))
        let found = try #require(try home.run(bytes: [Bytes("find".utf8), [0xff], Bytes("--json".utf8)]).array().first)
        let exact = try #require((found["path_base64"] as? String).flatMap { Data(base64Encoded: $0) })
        #expect(Bytes(exact) == Bytes(scratch.path("source/red\u{1b}[31m").utf8) + [0xff])
    }

    @Test("what cannot be looked for is wrong usage, and where there is no backup it says so")
    func usage() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        for arguments in [
            ["find"], ["find", " "], ["find", String(repeating: "a", count: 300)], ["find", "a", "--type", "x"],
            ["find", "a", "--newer", "soon"], ["find", "a", "--older", "2024-02-31"], ["find", "a", "--larger", "big"],
            ["find", "a", "--limit", "0"], ["versions"], ["versions", "/"],
        ] {
            let outcome = try home.run(arguments)
            // The last one has no snapshot to look into.
            #expect(outcome.code == (arguments == ["versions", "/"] ? 1 : 64), "\(arguments): \(outcome.summary)")
            #expect(outcome.output.isEmpty && !outcome.errors.isEmpty)
        }
        let none = try home.expect(1, ["find", "a"])
        #expect(none.errorText.contains("backup"))
    }

    @Test("versions tells when a file changed, which versions hold the same bytes, and which snapshots hold each")
    func versions() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let home = try Home.make(scratch.path("home"))
        var ids: [String] = []
        for content in ["one", "one", "two and more", "one"] {
            try source.write("file", content)
            var times = [timespec](repeating: timespec(tv_sec: 1_600_000_000 + content.count, tv_nsec: 0), count: 2)
            if ids.count == 3 { times[1].tv_sec += 1000 }
            utimensat(AT_FDCWD, scratch.path("source/file"), times, 0)
            ids.append(try home.backup(scratch.path("source")))
        }
        try source.remove("file")
        try home.backup(scratch.path("source"))
        let versions = try home.succeed("versions", scratch.path("source/file"), "--json").array()
        #expect(versions.map { $0["snapshots"] as? [String] } == [[ids[0], ids[1]], [ids[2]], [ids[3]]])
        #expect(versions.map { $0["content"] as? Int } == [1, 2, 1])
        #expect(versions.map { $0["size"] as? Int } == [3, 12, 3])
        #expect(versions.allSatisfy { Set($0.keys) == ["mtime", "size", "type", "mode", "content", "snapshots"] })
        let shown = try home.succeed("versions", scratch.path("source/file")).text.split(separator: "\n")
        #expect(shown.count == 4 && shown[0].contains("CONTENT"))
        let missing = try home.expect(1, ["versions", scratch.path("source/other")])
        #expect(missing.errorText.contains("no snapshot holds this path"))
    }

    @Test("a write-only device has no names to look through, and says so")
    func writeOnly() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("file", "x")
        let owner = try Home.make(scratch.path("owner"))
        let export = try owner.succeed("key", "export", "--write-only", "laptop")
        try scratch.folder.write("device", export.text)
        let home = Home(scratch.path("home"))
        try home.succeed("init", "--write-only", "--owner", scratch.path("device"))
        try home.backup(scratch.path("source"))
        #expect(!FileManager.default.fileExists(atPath: home.path + "/ledger/names"))
        #expect(try home.expect(1, ["find", "file"]).errorText.contains("write-only"))
    }
}
