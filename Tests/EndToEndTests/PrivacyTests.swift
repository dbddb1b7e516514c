import Foundation
import Testing

@Suite("Privacy") struct PrivacyTests {
    /// Words that must not be found, put into everything that a backup takes in.
    private struct Canaries {
        let words: [String]
        private var next = 0

        init(_ random: inout Randomness) { words = (0..<24).map { _ in "canary" + String(random.next(), radix: 36) } }

        mutating func word() -> String {
            next += 1
            return words[(next - 1) % words.count]
        }
    }

    /// Where any of the words stands in any file or file name below the folder.
    private func find(_ words: [String], below path: String) throws -> [String] {
        var found: [String] = []
        let needles = words.map { Data($0.utf8) }
        for file in regularFiles(below: path) {
            let content = try Data(contentsOf: URL(fileURLWithPath: file))
            for needle in needles where content.range(of: needle) != nil || file.contains(String(decoding: needle, as: UTF8.self))
            {
                found.append("\(String(decoding: needle, as: UTF8.self)) in \(file)")
            }
        }
        return found
    }

    private func plant(_ canaries: inout Canaries, in scratch: Scratch) throws -> String {
        let name = canaries.word()
        let source = try scratch.makeFolder(name)
        try source.write(canaries.word(), canaries.word())
        try source.write(canaries.word(), String(repeating: canaries.word() + " ", count: 300))
        var random = Randomness(seed: 1)
        try source.write(canaries.word(), random.bytes(400_000) + Bytes(canaries.word().utf8) + random.bytes(400_000))
        try source.makeLink(Bytes(canaries.word().utf8), to: Bytes(canaries.word().utf8))
        let folder = try source.makeFolder(canaries.word())
        try folder.write(canaries.word(), "x")
        let attribute = Bytes("attribute".utf8)
        try folder.write("attribute", "y")
        try folder.setAttribute(attribute, "user.\(canaries.word())", Bytes(canaries.word().utf8))
        return scratch.path(name)
    }

    @Test("no name, content, link target, attribute, tag or host stands in the vault, nor in the cache beside it")
    func nothingReadable() throws {
        var random = Randomness.forTest("Privacy.nothingReadable")
        var canaries = Canaries(&random)
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: "host = \"\(canaries.word())\"\n")
        let source = try plant(&canaries, in: scratch)
        try home.backup(source, options: ["--tag", canaries.word()])
        #expect(try find(canaries.words, below: scratch.path("home/vault")) == [])
        #expect(try find(canaries.words, below: scratch.path("home/ledger")) == [])
        // And the search itself works.
        #expect(try !find(canaries.words, below: source).isEmpty)
    }

    @Test("the size of a small file does not show: files of different small sizes take the same place in the vault")
    func smallSizes() throws {
        var random = Randomness.forTest("Privacy.smallSizes")
        let scratch = try Scratch()
        for sizes in [[1, 100, 109, 511], [600, 2_000, 3_900], [17_000, 25_000, 32_000], [66_000, 97_000]] {
            var vaultFiles: [[Int]] = []
            for size in sizes {
                let source = try scratch.makeFolder("source \(size)")
                try source.write("one", random.bytes(size))
                let home = try Home.make(scratch.path("home \(size)"))
                try home.backup(scratch.path("source \(size)"))
                vaultFiles.append(
                    try home.vaultFiles("packs").map { try Data(contentsOf: URL(fileURLWithPath: $0)).count }.sorted())
            }
            #expect(Set(vaultFiles).count == 1, "\(sizes): \(vaultFiles)")
        }
    }

    @Test("files of the home are for their user alone")
    func modes() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        try scratch.makeFolder("source").write("x", "y")
        try home.backup(scratch.path("source"))
        for file in regularFiles(below: home.path) where !file.hasSuffix("bakare.toml") {
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            #expect((attributes[.posixPermissions] as? Int ?? 0o777) & 0o077 == 0, "\(file)")
        }
    }

    @Test("a write-only device backs up and deduplicates, and can read nothing back")
    func writeOnly() throws {
        var random = Randomness.forTest("Privacy.writeOnly")
        var canaries = Canaries(&random)
        let scratch = try Scratch()
        let owner = try Home.make(scratch.path("owner"))
        let shared = random.bytes(12_000_000)
        let source = try plant(&canaries, in: scratch)
        try Data(shared).write(to: URL(fileURLWithPath: source + "/shared"))
        let state = try TreeState(of: source)
        let first = try owner.backup(source)

        // The device gets its keys from the owner, and here also the owner's vault, as a shared disk would give it.
        let export = try owner.succeed("key", "export", "--write-only", "laptop")
        try Data(export.output).write(to: URL(fileURLWithPath: scratch.path("device-keys")))
        let device = Home(scratch.path("device"))
        try device.succeed("init", "--write-only", "--owner", scratch.path("device-keys"))
        try FileManager.default.removeItem(atPath: scratch.path("device-keys"))
        try? FileManager.default.removeItem(atPath: device.path + "/vault")
        try FileManager.default.createSymbolicLink(atPath: device.path + "/vault", withDestinationPath: owner.path + "/vault")

        let report = try device.succeed("backup", "--json", source).object()
        #expect((report["new_bytes"] as? Int ?? .max) < 100_000, "deduplicated against what the owner's node stored")
        for command in [
            ["restore", first, "--target", scratch.path("stolen")], ["restore", "latest", "--target", scratch.path("stolen")],
            ["ls", "latest"], ["ls", first, "--recursive"], ["dump", first, source + "/shared"], ["diff", first, "latest"],
            ["forget", first],
        ] {
            let outcome = try device.run(command)
            #expect(outcome.code == 1 || outcome.code == 64, "\(command): \(outcome.summary)")
            #expect(outcome.errorText.lowercased().contains("write-only"), "\(command): \(outcome.errorText)")
            #expect(outcome.output.isEmpty, "\(command): \(outcome.text)")
        }
        #expect(!scratch.folder.has("stolen"))
        // Without `keep_memo` the device keeps no name either.
        #expect(try find(canaries.words, below: device.path + "/ledger") == [])
        #expect(try find(canaries.words, below: device.path + "/keys") == [])

        // The owner reads what the device stored.
        let id = try #require(report["snapshot"] as? String)
        try owner.restore(id, to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + source)) == [])
        // A second backup of the device sees what did not change without a memo.
        let again = try device.succeed("backup", "--json", source).object()
        #expect((again["new_bytes"] as? Int ?? .max) < 100_000)
        #expect(try owner.run("check", "--read-data").code == 0)
    }
}
