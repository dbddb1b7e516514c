import Foundation
internal import Glibc
import Testing

@Suite("Edits") struct EditTests {
    @Test(
        "after any edits, each snapshot restores to its own moment, also when others are forgotten and swept",
        arguments: 0..<3 * testScale)
    func sequences(_ turn: Int) throws {
        var random = Randomness.forTest("Edits.sequences(\(turn))")
        let scratch = try Scratch(turn % 3 == 2 ? .disk : .memory)
        let source = try scratch.makeFolder("source")
        var editor = TreeEditor(Randomness(seed: random.next()))
        try editor.prepare(source)
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")

        var kept: [(id: String, state: TreeState)] = []
        for round in 0..<10 {
            if round > 0 { try editor.edit(source, times: random.pick([1, 1, 3, 12])) }
            let state = try TreeState(of: source)
            let id = try home.backup(scratch.path("source"))
            if let previous = kept.last {
                let wrong = try wrongDifferences(home, previous, (id, state), below: scratch.path("source"))
                #expect(wrong == [], "diff is wrong after \(editor.log.suffix(12))")
            }
            kept.append((id, state))
        }
        try verifyAll(kept, home, scratch, "before forgetting", editor.log)

        let forgotten = kept.filter { _ in random.chance(1, in: 2) }.map(\.id)
        if !forgotten.isEmpty { try home.expect(0, ["forget"] + forgotten) }
        kept.removeAll { forgotten.contains($0.id) }
        try home.sweep()
        #expect(try Set(home.snapshots()) == Set(kept.map(\.id)))
        try verifyAll(kept, home, scratch, "after sweeping", editor.log)
        try home.succeed("check", "--read-data")

        // And the next backup stands on what is left.
        try editor.edit(source, times: 3)
        let state = try TreeState(of: source)
        kept.append((try home.backup(scratch.path("source")), state))
        try verifyAll(kept, home, scratch, "after a backup on top", editor.log)

        if !kept.isEmpty { try home.expect(0, ["forget"] + kept.map(\.id)) }
        try home.sweep()
        for folder in ["packs", "pages", "pending", "tmp", "trash", "snapshots"] {
            #expect(try home.vaultFiles(folder) == [], "\(folder) after all was forgotten")
        }
    }

    private func verifyAll(
        _ kept: [(id: String, state: TreeState)], _ home: Home, _ scratch: Scratch, _ moment: String, _ log: [String]
    ) throws {
        for (index, snapshot) in kept.enumerated() {
            try home.restore(snapshot.id, to: scratch.path("target"))
            let found = try TreeState(of: scratch.path("target") + scratch.path("source"))
            #expect(
                snapshot.state.differences(from: found, comparingBlocks: true) == [],
                "snapshot \(index) \(moment), edits: \(log.suffix(40))")
            try scratch.folder.remove("target")
        }
    }

    /// Lines of `diff` that should not be there, and those that should.
    private func wrongDifferences(
        _ home: Home, _ before: (id: String, state: TreeState), _ after: (id: String, state: TreeState), below source: String
    ) throws -> [String] {
        var told: [Bytes: String] = [:]
        for line in try home.succeed("diff", before.id, after.id, "--json").array() {
            guard let path = line["path"] as? String, let change = line["change"] as? String, path.hasPrefix(source) else {
                return ["odd line: \(line)"]
            }
            told[Bytes(path.dropFirst(source.count + 1).utf8)] = change
        }
        var wrong: [String] = []
        for path in Set(before.state.files.keys).union(after.state.files.keys) {
            let expected = change(before.state.files[path], after.state.files[path])
            if !expected.contains(told[path] ?? "none") {
                wrong.append("\(shown(path)): told \(told[path] ?? "none"), expected \(expected)")
            }
        }
        return wrong
    }

    /// What `diff` may say of a path.
    private func change(_ before: FileState?, _ after: FileState?) -> Set<String> {
        guard let before else { return ["added"] }
        guard var after else { return ["removed"] }
        if before.mode & UInt32(S_IFMT) != after.mode & UInt32(S_IFMT) { return ["type"] }
        if before.contentHash != after.contentHash || before.size != after.size || before.target != after.target {
            return ["content"]
        }
        // A folder's time follows its entries; hard links are told by the names that come and go.
        if before.mode & UInt32(S_IFMT) == UInt32(S_IFDIR) {
            (after.seconds, after.nanoseconds) = (before.seconds, before.nanoseconds)
        }
        if after == before { return ["none"] }
        after.group = before.group
        return after == before ? ["none", "metadata"] : ["metadata"]
    }

    @Test("a small change in a large file costs little, wherever it is")
    func growth() throws {
        var random = Randomness.forTest("Edits.growth")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        var content = random.bytes(48 << 20)
        try source.write("large", content)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        var inserted: [Int] = []
        for _ in 0..<3 {
            content = random.bytes(1024) + content
            try source.write("large", content)
            inserted.append(try home.succeed("backup", "--json", scratch.path("source")).object()["new_bytes"] as? Int ?? .max)
        }
        // At the start, what was inserted and one chunk, which has 4 MiB at most. Where that ends by its length and not by its content, the
        // next is another one too: a few in a hundred.
        inserted.sort()
        #expect(inserted[1] <= 1024 + (5 << 20))
        #expect(inserted[2] <= 1024 + (9 << 20))
        for place in 0..<5 { try source.write(Bytes("large".utf8), random.bytes(1000), at: place * (9 << 20)) }
        let touched = try home.succeed("backup", "--json", scratch.path("source")).object()
        #expect((touched["new_bytes"] as? Int ?? .max) <= 5 * (5 << 20))
        let unchanged = try home.succeed("backup", "--json", scratch.path("source")).object()
        // The folders above belong to the snapshot, and other tests make entries in them.
        #expect((unchanged["new_bytes"] as? Int ?? .max) < 2000)
    }

    @Test("equal content is stored once, in one file, between files and between folders backed up apart")
    func deduplication() throws {
        var random = Randomness.forTest("Edits.deduplication")
        let scratch = try Scratch()
        let content = random.bytes(20 << 20)
        let one = try scratch.makeFolder("one")
        try one.write("a", content)
        try one.write("b", content)
        try scratch.makeFolder("two").write("c", content)
        let home = try Home.make(scratch.path("home"))
        let first = try home.succeed("backup", "--json", scratch.path("one")).object()
        #expect((first["new_bytes"] as? Int ?? .max) < 24 << 20)
        let second = try home.succeed("backup", "--json", scratch.path("two")).object()
        #expect((second["new_bytes"] as? Int ?? .max) < 1 << 20)
        let stored = try home.vaultFiles("packs").reduce(0) { try $0 + Data(contentsOf: URL(fileURLWithPath: $1)).count }
        #expect(Double(stored) < Double(content.count) * 1.06 + 200_000)
    }
}
