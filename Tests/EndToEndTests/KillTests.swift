import Foundation
internal import Glibc
import Testing

@Suite("Killed at any instant") struct KillTests {
    private final class Bench {
        let scratch: Scratch
        let source: Folder
        let home: Home
        var random: Randomness
        var states: [String: TreeState] = [:]
        /// Within how long each command is killed: what it took when it was let run, and then what most kills need.
        var usualSeconds: [String: Double] = [:]
        /// Of each command, how many runs were ended by the kill.
        private(set) var landed: [String: Int] = [:]
        private var counter = 0

        init(_ name: String) throws {
            random = Randomness.forTest(name)
            scratch = try Scratch()
            source = try scratch.makeFolder("source")
            home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        }

        /// Files that take a while to store, in place of earlier ones.
        func change() throws {
            let folder = Bytes("files".utf8)
            if !source.has(folder) { try source.makeFolder(folder) }
            let inner = try source.folder(folder)
            for _ in 0..<3 {
                try inner.write(Bytes("large \(random.below(6))".utf8), random.bytes(2_000_000 + random.below(4_000_000)))
            }
            for _ in 0..<40 {
                counter += 1
                try inner.write(Bytes("small \(counter % 300)".utf8), random.bytes(random.below(3000)))
            }
        }

        func backup() throws {
            let id = try timed("backup") { try home.backup(scratch.path("source")) }
            states[id] = try TreeState(of: source)
        }

        func timed<Result>(_ command: String, _ body: () throws -> Result) throws -> Result {
            let start = DispatchTime.now().uptimeNanoseconds
            let result = try body()
            usualSeconds[command] = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            return result
        }

        /// Runs a command and kills it at a random instant, mostly before it would end.
        func kill(_ command: String, _ arguments: [String]) throws -> Outcome {
            let running = try home.start(bytes: ([command] + arguments).map { Bytes($0.utf8) })
            let span = usualSeconds[command] ?? 0.1
            // In the first twentieth it is hardly there.
            usleep(UInt32((0.05 + 0.95 * Double(random.below(1000)) / 1000) * span * 1e6))
            running.signal(SIGKILL)
            let outcome = try running.finish()
            let hasLanded = outcome.code == 1000 + Int(SIGKILL)
            if !hasLanded && outcome.code != 0 { throw TestFailure("\(command) failed: \(outcome.summary)") }
            if hasLanded { landed[command, default: 0] += 1 }
            // However busy the machine is, some five of six come before the end, at all instants alike.
            usualSeconds[command] = span * (hasLanded ? 1.03 : 0.85)
            return outcome
        }

        /// Whether there is one more turn: as many as are asked for, and up to as many again until half that number of kills
        /// has landed, the commands sharing alike.
        func goesOn(_ turn: Int, of asked: Int, killing commands: [String]) -> Bool {
            turn < asked || (turn < 2 * asked && !haveLanded(asked, commands))
        }

        func haveLanded(_ asked: Int, _ commands: [String]) -> Bool {
            commands.allSatisfy { landed[$0, default: 0] >= asked / (2 * commands.count) }
        }

        /// That enough of the kills ended a command that ran.
        func expectKills(_ asked: Int, _ commands: [String]) {
            let counts = commands.map { "\(landed[$0, default: 0]) of \($0)" }.joined(separator: ", ")
            #expect(haveLanded(asked, commands), "few kills landed in \(asked) turns: \(counts)")
            print("kills that landed: \(counts)")
        }

        /// That every listed snapshot is known and whole; with `all`, that each restores to its state.
        func verify(_ moment: String, all: Bool = false) throws {
            let listed = try home.snapshots()
            #expect(listed.allSatisfy { states[$0] != nil }, "unknown snapshots \(moment)")
            #expect(states.keys.allSatisfy { listed.contains($0) }, "snapshots lost \(moment)")
            let check = try home.run("check", "--read-data", "--json")
            #expect(check.code == 0, "\(moment): \(check.summary)")
            #expect(try check.object()["clean"] as? Bool == true, "\(moment): \(check.text)")
            for id in all ? listed : listed.isEmpty ? [] : [random.pick(listed)] {
                try home.restore(id, to: scratch.path("check"))
                let found = try TreeState(of: scratch.path("check") + scratch.path("source"))
                #expect(states[id]?.differences(from: found) == [], "snapshot \(id) \(moment)")
                try scratch.folder.remove("check")
            }
        }

        /// Takes over a snapshot that a killed backup had committed before it was killed.
        func adoptCommitted() throws {
            for id in try home.snapshots() where states[id] == nil { states[id] = try TreeState(of: source) }
        }

        func packBytes() throws -> Int {
            try home.vaultFiles("packs").reduce(0) { try $0 + Data(contentsOf: URL(fileURLWithPath: $1)).count }
        }
    }

    @Test("a backup, killed: the next one works, nothing is lost, and a sweep leaves no garbage")
    func backup() throws {
        let bench = try Bench("Kill.backup")
        try bench.change()
        try bench.backup()
        let asked = 14 * testScale
        var turn = 0
        while bench.goesOn(turn, of: asked, killing: ["backup"]) {
            try bench.change()
            _ = try bench.kill("backup", [bench.scratch.path("source")])
            try bench.adoptCommitted()
            try bench.verify("after killed backup \(turn)")
            if turn % 3 == 1 { try bench.home.sweep() }
            if turn % 4 == 2 { try bench.backup() }
            turn += 1
        }
        try bench.backup()
        try bench.verify("at the end", all: true)
        try expectNoGarbage(bench)
        bench.expectKills(asked, ["backup"])
    }

    @Test("forget and sweep, killed: nothing that was not to be forgotten is lost")
    func forgetAndSweep() throws {
        let bench = try Bench("Kill.forgetAndSweep")
        for _ in 0..<3 {
            try bench.change()
            try bench.backup()
        }
        let asked = 14 * testScale
        var turn = 0
        while bench.goesOn(turn, of: asked, killing: ["forget", "sweep"]) {
            let oldest = try #require(try bench.home.snapshots().first)
            if turn % 2 == 0 {
                _ = try bench.kill("forget", [oldest])
                if try !bench.home.snapshots().contains(oldest) { bench.states[oldest] = nil }
                try bench.timed("sweep") { _ = try bench.home.sweep() }
            } else {
                try bench.timed("forget") { _ = try bench.home.succeed("forget", oldest) }
                bench.states[oldest] = nil
                _ = try bench.kill("sweep", [])
            }
            try bench.verify("after turn \(turn)")
            try bench.change()
            try bench.backup()
            turn += 1
        }
        try bench.verify("at the end", all: true)
        try expectNoGarbage(bench)
        bench.expectKills(asked, ["forget", "sweep"])
    }

    @Test("a restore, killed: no wrong file under its name, and the next one goes on to the end")
    func restore() throws {
        let bench = try Bench("Kill.restore")
        for _ in 0..<3 { try bench.change() }
        try bench.backup()
        let state = try TreeState(of: bench.source)
        try bench.timed("restore") { _ = try bench.home.restore("latest", to: bench.scratch.path("whole")) }
        let asked = 12 * testScale
        var turn = 0
        while bench.goesOn(turn, of: asked, killing: ["restore"]) {
            _ = try bench.kill("restore", ["latest", "--target", bench.scratch.path("target")])
            if let found = try? TreeState(of: bench.scratch.path("target") + bench.scratch.path("source")) {
                for (path, file) in found.files where file.mode & UInt32(S_IFMT) == UInt32(S_IFREG) {
                    let wanted = state.files[path]
                    #expect(wanted?.contentHash == file.contentHash && wanted?.size == file.size, "half of \(shown(path))")
                }
            }
            try bench.home.restore("latest", to: bench.scratch.path("target"))
            let found = try TreeState(of: bench.scratch.path("target") + bench.scratch.path("source"))
            #expect(state.differences(from: found) == [], "turn \(turn)")
            let top = try Folder(bench.scratch.path("target")).names().map(shown)
            #expect(top.count == 1, "left in the target: \(top)")
            try bench.scratch.folder.remove("target")
            turn += 1
        }
        try bench.verify("at the end")
        bench.expectKills(asked, ["restore"])
    }

    /// After a sweep only what is referenced is there: no more than a fresh home would hold, and nothing once all is forgotten.
    private func expectNoGarbage(_ bench: Bench) throws {
        let home = bench.home
        let ids = try home.snapshots()
        for id in ids.dropLast() { try home.succeed("forget", id) }
        try home.sweep()
        let fresh = try Home.make(bench.scratch.path("fresh"))
        try fresh.backup(bench.scratch.path("source"))
        let freshBytes = try fresh.vaultFiles("packs").reduce(0) { try $0 + Data(contentsOf: URL(fileURLWithPath: $1)).count }
        let last = try #require(ids.last)
        let state = try #require(bench.states[last])
        if state.differences(from: try TreeState(of: bench.source)).isEmpty {
            let bytes = try bench.packBytes()
            #expect(Double(bytes) < Double(freshBytes) * 2 + 1_000_000, "\(bytes) bytes in packs, a fresh home has \(freshBytes)")
        }
        for folder in ["tmp", "pending"] { #expect(try home.vaultFiles(folder) == [], "\(folder) after a sweep") }
        try home.succeed("forget", last)
        try home.sweep()
        for folder in ["packs", "pages", "pending", "tmp", "trash", "snapshots"] {
            #expect(try home.vaultFiles(folder) == [], "\(folder) after all was forgotten and swept")
        }
        // Nothing of a killed process stays beside the vault either.
        let top = try Folder(home.path).names().map { String(decoding: $0, as: UTF8.self) }
        #expect(Set(top).isSubset(of: ["bakare.toml", "bakare.toml.last", "keys", "vault", "ledger", "peers"]), "\(top)")
    }
}
