import Foundation
internal import Glibc
import Testing

@Suite("Several processes on one home") struct ConcurrencyTests {
    @Test(
        "two backups, forgetting and a sweep at once: all succeed, and every listed snapshot restores",
        arguments: 0..<3 * testScale)
    func together(_ turn: Int) throws {
        var random = Randomness.forTest("Concurrency.together(\(turn))")
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        let names = ["one", "two"]
        let shared = random.bytes(3_000_000)
        var editors: [TreeEditor] = []
        for name in names {
            let folder = try scratch.makeFolder(name)
            var editor = TreeEditor(Randomness(seed: random.next()))
            try editor.prepare(folder)
            try folder.write("shared", shared)
            try folder.write("own", random.bytes(9_000_000))
            editors.append(editor)
        }
        var states: [String: (name: String, state: TreeState)] = [:]
        var roundsAtOnce = 0
        for round in 0..<5 {
            let before = try home.snapshots()
            let backups = try names.map { try home.start("backup", "--json", scratch.path($0)) }
            var others = [try home.start("sweep")]
            if round > 1, let oldest = before.first {
                others.append(try home.start("forget", oldest))
                states[oldest] = nil
            }
            if !(backups + others).contains(where: { $0.endsWithin(seconds: 0) }) { roundsAtOnce += 1 }
            for (index, backup) in backups.enumerated() {
                let outcome = try backup.finish()
                #expect(outcome.code == 0, "backup \(names[index]), round \(round): \(outcome.summary)")
                guard outcome.code == 0, let id = try outcome.object()["snapshot"] as? String else { continue }
                states[id] = (names[index], try TreeState(of: scratch.path(names[index])))
            }
            for other in others {
                let outcome = try other.finish()
                #expect(outcome.code == 0, "round \(round): \(outcome.summary)")
            }
            for index in names.indices { try editors[index].edit(try Folder(scratch.path(names[index])), times: 4) }
        }
        #expect(roundsAtOnce >= 2, "all ran at one moment in \(roundsAtOnce) of 5 rounds")
        #expect(try Set(home.snapshots()) == Set(states.keys))
        try verify(states, home, scratch)
        try home.sweep()
        try verify(states, home, scratch)
    }

    private func verify(_ states: [String: (name: String, state: TreeState)], _ home: Home, _ scratch: Scratch) throws {
        for (id, expected) in states {
            try home.restore(id, to: scratch.path("target"))
            let found = try TreeState(of: scratch.path("target") + scratch.path(expected.name))
            #expect(expected.state.differences(from: found) == [], "snapshot \(id) of \(expected.name)")
            try scratch.folder.remove("target")
        }
        let check = try home.run("check", "--read-data")
        #expect(check.code == 0, "\(check.summary)")
    }

    @Test(
        "a backup stopped while others forget and sweep away its packs finishes, and every snapshot restores",
        arguments: 0..<6 * testScale)
    func stopped(_ turn: Int) throws {
        var random = Randomness.forTest("Concurrency.stopped(\(turn))")
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        let source = try scratch.makeFolder("source")
        // What an earlier snapshot holds, which is forgotten meanwhile, and what is new.
        try source.write("old", random.bytes(25_000_000))
        for index in 0..<50 { try source.write("small \(index)", random.bytes(random.below(2000))) }
        let first = try home.backup(scratch.path("source"))
        let oldPacks = Set(try home.vaultFiles("packs"))

        /// A backup of new files, stopped at once after so many packs of its own, or at any moment; nil if it came to its end.
        func stopBackup(_ attempt: Int) throws -> (backup: Running, state: TreeState, packs: Set<String>)? {
            for index in 0..<5 { try source.write("new \(index)", random.bytes(14_000_000)) }
            let state = try TreeState(of: source)
            let backup = try home.start("backup", "--json", scratch.path("source"))
            let packsWanted = max(0, turn % 4 - attempt)
            let deadline = Date().addingTimeInterval(20)
            while try home.vaultFiles("packs").count - oldPacks.count < packsWanted && Date() < deadline {
                if backup.endsWithin(seconds: 0.0005) { break }
            }
            usleep(UInt32(random.below(30_000) / (attempt + 1)))
            backup.signal(SIGSTOP)
            usleep(20_000)
            if try !backup.endsWithin(seconds: 0) && home.snapshots() == [first] {
                let packs = Set(try home.vaultFiles("packs"))
                #expect(packs.subtracting(oldPacks).count >= packsWanted, "stopped before it had stored enough")
                return (backup, state, packs)
            }
            // It was too fast. All as it was before.
            backup.signal(SIGCONT)
            try home.succeed("forget", try #require(try backup.finish().object()["snapshot"] as? String))
            try home.sweep()
            return nil
        }
        var stopped = try stopBackup(0)
        for attempt in 1..<6 where stopped == nil { stopped = try stopBackup(attempt) }
        guard let (backup, state, stoppedWith) = stopped else { throw TestFailure("no backup was stopped before its end") }
        // A record that waits to be committed keeps its packs.
        let isCommitting = try !home.vaultFiles("pending").isEmpty

        try scratch.makeFolder("other").write("x", random.bytes(1_000_000))
        let other = try home.backup(scratch.path("other"))
        try home.succeed("forget", first)
        #expect(try home.snapshots() == [other])
        for _ in 0..<2 { try home.sweep() }
        let left = Set(try home.vaultFiles("packs"))
        #expect(isCommitting || left.intersection(stoppedWith).isEmpty, "the sweep freed what nothing references")

        backup.signal(SIGCONT)
        let outcome = try backup.finish()
        #expect(outcome.code == 0, "\(outcome.summary)")
        let id = try #require(try outcome.object()["snapshot"] as? String)
        #expect(try home.snapshots().contains(id))
        print(
            "stopped after \(stoppedWith.count - oldPacks.count) of its packs, \(stoppedWith.count - left.intersection(stoppedWith).count) swept"
        )
        try home.sweep()
        for (snapshot, folder, expected) in [
            (id, "source", state), (other, "other", try TreeState(of: scratch.path("other"))),
        ] {
            try home.restore(snapshot, to: scratch.path("target"))
            #expect(expected.differences(from: try TreeState(of: scratch.path("target") + scratch.path(folder))) == [])
            try scratch.folder.remove("target")
        }
        let check = try home.run("check", "--read-data")
        #expect(check.code == 0, "\(check.summary)")
    }

    @Test(
        "a sweep stopped at any moment, continued after a new backup, takes nothing that the backup needs",
        arguments: 0..<6 * testScale)
    func stoppedSweep(_ turn: Int) throws {
        var random = Randomness.forTest("Concurrency.stoppedSweep(\(turn))")
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        let source = try scratch.makeFolder("source")
        for index in 0..<4 { try source.write("file \(index)", random.bytes(5_000_000)) }
        let state = try TreeState(of: source)
        let first = try home.backup(scratch.path("source"))
        var usual = try home.sweep().seconds
        try home.succeed("forget", first)
        // The same content comes back while the sweep that found it unreferenced stands still.
        var stopped: Running?
        for _ in 0..<8 {
            let sweep = try home.start("sweep")
            usleep(UInt32(Double(random.below(1_000_000)) * usual))
            sweep.signal(SIGSTOP)
            usleep(5_000)
            if !sweep.endsWithin(seconds: 0) {
                stopped = sweep
                break
            }
            // It was too fast: all is to be swept once more.
            #expect(try sweep.finish().code == 0)
            usual *= 0.7
            try home.succeed("forget", try home.backup(scratch.path("source")))
        }
        guard let sweep = stopped else { throw TestFailure("no sweep was stopped before its end") }
        let second = try home.backup(scratch.path("source"))
        sweep.signal(SIGCONT)
        let outcome = try sweep.finish()
        #expect(outcome.code == 0, "\(outcome.summary)")
        try home.sweep()
        try home.restore(second, to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
        let check = try home.run("check", "--read-data")
        #expect(check.code == 0, "\(check.summary)")
    }

    @Test("content that two backups stored at once, each unaware of the other, outlives the forgetting of either")
    func storedTwice() throws {
        var random = Randomness.forTest("Concurrency.storedTwice")
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"), settings: "[vault]\ntrash_days = 0\n")
        let shared = random.bytes(9_000_000)
        var states: [TreeState] = []
        var ids: [String] = []
        for name in ["one", "two"] {
            let folder = try scratch.makeFolder(name)
            try folder.write("shared", shared)
            try folder.write("own", random.bytes(700_000))
            states.append(try TreeState(of: folder))
            // The second backup does not see the first one's packs, as if both had begun at once.
            let hidden = scratch.path("hidden")
            if name == "two" {
                try FileManager.default.moveItem(atPath: home.vault() + "/packs", toPath: hidden)
                try FileManager.default.createDirectory(atPath: home.vault() + "/packs", withIntermediateDirectories: false)
            }
            ids.append(try home.backup(scratch.path(name)))
            guard name == "two" else { continue }
            for pack in regularFiles(below: hidden) {
                let place = try home.vault() + "/packs" + pack.dropFirst(hidden.count)
                let folder = URL(fileURLWithPath: place).deletingLastPathComponent()
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                try FileManager.default.moveItem(atPath: pack, toPath: place)
            }
        }
        let copy = try FolderCopy(of: home.path)
        for (forgotten, kept) in [(0, 1), (1, 0)] {
            try home.sweep()
            try home.succeed("forget", ids[forgotten])
            try home.sweep()
            try home.sweep()
            try home.restore(ids[kept], to: scratch.path("target"))
            let found = try TreeState(of: scratch.path("target") + scratch.path(["one", "two"][kept]))
            #expect(states[kept].differences(from: found) == [])
            let check = try home.run("check", "--read-data")
            #expect(check.code == 0, "\(check.summary)")
            try scratch.folder.remove("target")
            try copy.putBack()
        }
    }
}
