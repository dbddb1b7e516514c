import Foundation
import Testing

/// A small home with three snapshots, and what each must restore to.
private struct DamageBench {
    let scratch: Scratch
    let home: Home
    let copy: FolderCopy
    let states: [(id: String, state: TreeState)]
    /// Names of the home's files by kind.
    let kinds: [(kind: String, names: [String])]
    /// How often a file of each kind was changed.
    private(set) var hits: [String: Int] = [:]

    init(_ random: inout Randomness) throws {
        scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        home = try Home.make(scratch.path("home"), settings: "# a comment\nmemory = \"256MiB\"\n[vault]\ntrash_days = 0\n")
        var states: [(id: String, state: TreeState)] = []
        for round in 0..<3 {
            let folder = try source.makeFolder(Bytes("round \(round)".utf8))
            for file in 0..<12 {
                try folder.write(Bytes("file \(file)".utf8), random.bytes([3, 400, 600, 40_000, 200_000][file % 5]))
            }
            try folder.write("text", random.text(150_000))
            states.append((try home.backup(scratch.path("source")), try TreeState(of: source)))
        }
        self.states = states
        let copy = try FolderCopy(of: home.path)
        self.copy = copy
        kinds = Dictionary(
            grouping: copy.files.keys.filter { copy.files[$0]?.isEmpty == false && !$0.hasSuffix("/reserve") }.sorted(),
            by: DamageBench.kind
        )
        .sorted { $0.key < $1.key }.map { (kind: $0.key, names: $0.value) }
        let missing = DamageBench.kindsWanted.subtracting(kinds.map { $0.kind })
        guard missing.isEmpty else { throw TestFailure("the home has no \(missing.sorted())") }
    }

    /// What every home has that has backups.
    private static let kindsWanted: Set<String> = [
        "bakare.toml", "keys", "ledger", "vault/packs", "vault/pages", "vault/snapshots",
    ]

    private static func kind(_ name: String) -> String {
        let parts = name.split(separator: "/").map(String.init)
        return parts[0] == "vault" && parts.count > 2 ? "vault/\(parts[2])" : parts[0]
    }

    /// All but what a user wrote.
    var ownKinds: [(kind: String, names: [String])] { kinds.filter { $0.kind != "bakare.toml" } }

    /// That as many files were changed as was asked, those of every kind equally often.
    func expectHits(_ asked: Int, of kinds: [(kind: String, names: [String])]) {
        #expect(hits.values.reduce(0, +) == asked, "\(hits)")
        for kind in kinds { #expect(hits[kind.kind, default: 0] >= asked / kinds.count, "\(kind.kind): \(hits)") }
    }

    /// Throws if `change` changes nothing.
    mutating func damage(_ name: String, _ change: (inout Data) -> Void) throws {
        var content = copy.files[name] ?? Data()
        change(&content)
        guard content != copy.files[name] else { throw TestFailure("nothing of \(name) was changed") }
        hits[DamageBench.kind(name), default: 0] += 1
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: home.path + "/" + name))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: content)
        try file.close()
    }

    /// What is wrong: snapshots that do not restore to their state, a check that does not mend.
    func faults() throws -> [String] {
        var faults: [String] = []
        for (index, snapshot) in states.enumerated() {
            let outcome = try home.run("restore", snapshot.id, "--target", scratch.path("target"))
            if outcome.code != 0 { faults.append("restore of snapshot \(index): \(outcome.summary)") }
            if let found = try? TreeState(of: scratch.path("target") + scratch.path("source")) {
                faults += snapshot.state.differences(from: found).map { "snapshot \(index): \($0)" }
            } else {
                faults.append("snapshot \(index) restored nothing")
            }
            if scratch.folder.has("target") { try scratch.folder.remove("target") }
        }
        let repair = try home.run("check", "--read-data", "--repair", "--json")
        if repair.code != 0 { faults.append("check --repair: \(repair.summary)") }
        let check = try home.run("check", "--read-data", "--json")
        if check.code != 0 || (try? check.object()["clean"] as? Bool) != true {
            faults.append("check afterwards: \(check.summary)")
        }
        return faults
    }

    static let bitIdentical = ["vault/", "keys/"]
}

@Suite("Damage") struct DamageTests {
    @Test("one changed byte anywhere in the home loses nothing, and check --repair mends it")
    func oneByte() throws {
        var random = Randomness.forTest("Damage.oneByte")
        var bench = try DamageBench(&random)
        #expect(try bench.faults() == [], "undamaged")
        let asked = 150 * testScale
        for turn in 0..<asked {
            let (kind, names) = bench.kinds[turn % bench.kinds.count]
            let name = random.pick(names)
            let size = bench.copy.files[name]?.count ?? 0
            // Heads and tails are short, and hold what all else hangs on.
            let place =
                switch random.below(4) {
                case 0: random.below(min(size, 128))
                case 1: size - 1 - random.below(min(size, 128))
                default: random.below(size)
                }
            let change = UInt8(1 + random.below(255))
            try bench.damage(name) { $0[place] ^= change }
            var faults = try bench.faults()
            // What a user wrote is the user's to mend: it only must not be in the way.
            if kind != "bakare.toml" {
                faults += bench.copy.changedFiles(below: DamageBench.bitIdentical).map { "not mended to the same bytes: \($0)" }
            } else {
                faults.removeAll { $0.hasPrefix("check") }
            }
            #expect(faults == [], "byte \(place) of \(name) (\(size) bytes) ^ \(change)")
            try bench.copy.putBack()
        }
        bench.expectHits(asked, of: bench.kinds)
    }

    @Test("two changed bytes in one file lose nothing")
    func twoBytes() throws {
        var random = Randomness.forTest("Damage.twoBytes")
        var bench = try DamageBench(&random)
        let asked = 24 * testScale
        for turn in 0..<asked {
            let names = bench.ownKinds[turn % bench.ownKinds.count].names
            let name = random.pick(names)
            let size = bench.copy.files[name]?.count ?? 0
            let place = random.below(size)
            let places = size > 1 ? [place, (place + 1 + random.below(size - 1)) % size] : [place]
            try bench.damage(name) { content in for place in places { content[place] ^= 0x41 } }
            let faults = try bench.faults() + bench.copy.changedFiles(below: DamageBench.bitIdentical)
            #expect(faults == [], "bytes \(places) of \(name) (\(size) bytes)")
            try bench.copy.putBack()
        }
        bench.expectHits(asked, of: bench.ownKinds)
    }

    @Test("a zeroed block of 4 KiB loses nothing")
    func zeroedBlock() throws {
        var random = Randomness.forTest("Damage.zeroedBlock")
        var bench = try DamageBench(&random)
        let asked = 24 * testScale
        for turn in 0..<asked {
            let names = bench.ownKinds[turn % bench.ownKinds.count].names
            let name = random.pick(names)
            let size = bench.copy.files[name]?.count ?? 0
            // What is zero already is no damage.
            let content = bench.copy.files[name] ?? Data()
            let starts = stride(from: 0, to: size, by: 4096).filter { start in
                content[start..<min(size, start + 4096)].contains { $0 != 0 }
            }
            let start = random.pick(starts)
            try bench.damage(name) { content in for place in start..<min(size, start + 4096) { content[place] = 0 } }
            let faults = try bench.faults() + bench.copy.changedFiles(below: DamageBench.bitIdentical)
            #expect(faults == [], "block at \(start) of \(name) (\(size) bytes)")
            try bench.copy.putBack()
        }
        bench.expectHits(asked, of: bench.ownKinds)
    }

    @Test("a file cut short by some bytes loses nothing")
    func cutShort() throws {
        var random = Randomness.forTest("Damage.cutShort")
        var bench = try DamageBench(&random)
        let asked = 24 * testScale
        for turn in 0..<asked {
            let names = bench.ownKinds[turn % bench.ownKinds.count].names
            let name = random.pick(names)
            let size = bench.copy.files[name]?.count ?? 0
            let left = max(0, size - 1 - random.below(4096))
            try bench.damage(name) { $0 = $0.prefix(left) }
            let faults = try bench.faults() + bench.copy.changedFiles(below: DamageBench.bitIdentical)
            #expect(faults == [], "\(name) cut from \(size) to \(left) bytes")
            try bench.copy.putBack()
        }
        bench.expectHits(asked, of: bench.ownKinds)
    }

    @Test("a ledger that is gone, empty, cut at any length, or full of noise is made anew")
    func ledgerGone() throws {
        var random = Randomness.forTest("Damage.ledgerGone")
        var bench = try DamageBench(&random)
        try FileManager.default.removeItem(atPath: bench.home.path + "/ledger")
        #expect(try bench.faults() == [])
        try bench.copy.putBack()
        let names = bench.copy.files.filter { $0.key.hasPrefix("ledger/") && !$0.value.isEmpty }.keys.sorted()
        for name in names {
            let content = bench.copy.files[name] ?? Data()
            var noise = random.bytes(content.count)
            if Data(noise) == content { noise[0] ^= 1 }
            try bench.damage(name) { $0 = Data(noise) }
            #expect(try bench.faults() == [], "\(name) replaced by noise")
            try bench.copy.putBack()
            try bench.damage(name) { $0 = Data() }
            #expect(try bench.faults() == [], "\(name) emptied")
            try bench.copy.putBack()
            let length = random.below(content.count)
            try bench.damage(name) { $0 = $0.prefix(length) }
            #expect(try bench.faults() == [], "\(name) cut to \(length) of \(content.count) bytes")
            try bench.copy.putBack()
        }
        #expect(bench.hits == ["ledger": 3 * names.count])
        // A backup without a ledger finds what the vault has.
        try FileManager.default.removeItem(atPath: bench.home.path + "/ledger")
        let report = try bench.home.succeed("backup", "--json", bench.scratch.path("source")).object()
        #expect((report["new_bytes"] as? Int ?? .max) < 20_000)
    }

    @Test("either copy of each key file may be gone")
    func keyCopyGone() throws {
        var random = Randomness.forTest("Damage.keyCopyGone")
        let bench = try DamageBench(&random)
        let keys = bench.copy.files.keys.filter { $0.hasPrefix("keys/") }.sorted()
        #expect(keys.count >= 2)
        for name in keys {
            try FileManager.default.removeItem(atPath: bench.home.path + "/" + name)
            let faults = try bench.faults() + bench.copy.changedFiles(below: DamageBench.bitIdentical)
            #expect(faults == [], "without \(name)")
            try bench.copy.putBack()
        }
    }

    @Test(
        "a pack that is gone is reported with just the paths that it held, and all others restore", arguments: ["gone", "noise"])
    func packGone(_ how: String) throws {
        var random = Randomness.forTest("Damage.packGone(\(how))")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.makeFolder("first").write("large 1", random.bytes(300_000))
        try source.folder("first").write("large 2", random.bytes(3_000_000))
        try source.folder("first").write("small", "inline")
        let home = try Home.make(scratch.path("home"))
        let first = try home.backup(scratch.path("source"))
        let packs = try home.vaultFiles("packs")
        let largest = try #require(try packs.max { try fileSize($0) < fileSize($1) })
        try source.makeFolder("second").write("large 3", random.bytes(400_000))
        try source.folder("second").makeLink(Bytes("link".utf8), to: Bytes("x".utf8))
        let state = try TreeState(of: source)
        let second = try home.backup(scratch.path("source"))

        if how == "gone" {
            try FileManager.default.removeItem(atPath: largest)
        } else {
            try Data(random.bytes(try fileSize(largest))).write(to: URL(fileURLWithPath: largest))
        }
        let lost = ["first/large 1", "first/large 2"].map { scratch.path("source/" + $0) }
        if how == "noise" {
            // What parity cannot mend is not said to be mendable.
            let found = try home.expect(1, ["check", "--read-data", "--json"]).object()
            #expect((found["repairable"] as? [String])?.isEmpty == true && (found["lost"] as? [String])?.isEmpty == false)
            // From then on it is known, and looked at without the flag.
            let known = try home.expect(1, ["check", "--json"]).object()
            #expect((known["lost"] as? [String])?.contains { $0.contains(lost[0]) } == true, "\(known)")
        }
        for arguments in [["check", "--json"], ["check", "--read-data", "--repair", "--json"]] {
            if how == "noise" && arguments.count == 2 { continue }
            let check = try home.run(arguments)
            #expect(check.code == 1 || check.code == 3, "\(arguments): \(check.summary)")
            let report = try check.object()["lost"] as? [String] ?? []
            for path in lost {
                for id in [first, second] {
                    #expect(
                        report.contains { $0.contains(path) && $0.contains(id.prefix(8)) },
                        "\(path) of \(id) missing in \(report)")
                }
            }
            #expect(!report.contains { $0.contains("large 3") || $0.contains("small") || $0.contains("link") }, "\(report)")
        }

        func incomplete() throws -> [Bool] {
            try home.succeed("snapshots", "--json").array().compactMap { $0["incomplete"] as? Bool }
        }
        #expect(try incomplete() == [true, true])
        let status = try home.succeed("status", "--json").object()
        #expect(status["snapshots_incomplete"] as? Int == 2)
        #expect((status["warnings"] as? [String])?.contains { $0.contains("2 snapshots lack") } == true, "\(status)")

        let restore = try home.run("restore", second, "--target", scratch.path("target"), "--json")
        #expect(restore.code == 3, "\(restore.summary)")
        let named = try (restore.object()["errors"] as? [[String: Any]] ?? []).compactMap { $0["path"] as? String }
        #expect(Set(named) == Set(lost.map { scratch.path("target") + $0 }))
        for path in lost { #expect(restore.errorText.contains(path)) }
        let found = try TreeState(of: scratch.path("target") + scratch.path("source"))
        let gone = Set(lost.map { Bytes($0.dropFirst(scratch.path("source").count + 1).utf8) })
        #expect(state.differences(from: found, ignoring: gone) == [])
        #expect(gone.allSatisfy { found.files[$0] == nil }, "nothing half-restored")

        // The next backup notices, and reads those files again; with that, the old snapshots are whole too.
        let third = try home.backup(scratch.path("source"))
        try home.succeed("check")
        #expect(try incomplete() == [false, false, false])
        try home.restore(third, to: scratch.path("target 3"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target 3") + scratch.path("source"))) == [])
    }

    @Test("with a page of a pack list gone for a while, a sweep frees nothing that it named")
    func pageGone() throws {
        var random = Randomness.forTest("Damage.pageGone")
        let bench = try DamageBench(&random)
        let pages = try bench.home.vaultFiles("pages")
        #expect(!pages.isEmpty)
        for page in pages {
            let content = try Data(contentsOf: URL(fileURLWithPath: page))
            try FileManager.default.removeItem(atPath: page)
            _ = try bench.home.run("sweep")
            if !FileManager.default.fileExists(atPath: page) { try content.write(to: URL(fileURLWithPath: page)) }
            #expect(try bench.faults() == [], "\(page)")
            try bench.copy.putBack()
        }
    }

    private func fileSize(_ path: String) throws -> Int { try Data(contentsOf: URL(fileURLWithPath: path)).count }
}
