import Foundation
internal import CLinux
internal import Glibc
import Testing

@Suite("A folder of very many entries") struct ManyEntriesTests {
    private static let residentBytesMax = 64 << 20

    private func name(_ index: Int) -> String { "entry \(String(10_000_000 + index).dropFirst())" }

    /// Runs a command to its end, which must be 0, and sees to it that it keeps to its memory.
    private func run(_ home: Home, _ arguments: String...) throws -> Outcome {
        let running = try home.start(bytes: arguments.map { Bytes($0.utf8) })
        let deadline = Date().addingTimeInterval(900)
        var residentBytes = running.residentBytesMax
        while !running.endsWithin(seconds: 0.005), Date() < deadline {
            residentBytes = max(residentBytes, running.residentBytesMax)
        }
        let outcome = try running.finish(timeoutSeconds: 1)
        guard outcome.code == 0 else {
            throw TestFailure("\(arguments): exit \(outcome.code): \(outcome.errorText.suffix(2000))")
        }
        print("many entries: \(arguments[0]) \(outcome.seconds) s, \(residentBytes >> 20) MiB")
        #expect(residentBytes > 0, "\(arguments[0]) was never looked at")
        #expect(residentBytes <= ManyEntriesTests.residentBytesMax, "\(arguments[0]) took \(residentBytes) bytes")
        return outcome
    }

    /// That a listing names every entry, each once.
    private func expectAll(_ listing: Outcome, _ count: Int) {
        var seen = [Bool](repeating: false, count: count)
        var repeated = 0
        for line in listing.output.split(separator: 0x0a) {
            guard let index = Int(String(decoding: line.suffix(7), as: UTF8.self)), seen.indices.contains(index) else { continue }
            if seen[index] { repeated += 1 }
            seen[index] = true
        }
        #expect(repeated == 0)
        #expect(seen.allSatisfy { $0 }, "\(seen.filter { !$0 }.count) of \(count) are missing")
    }

    @Test("is backed up within 64 MiB, also when one of them has changed; all are listed, and each is found by its path")
    func manyEntries() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let count = testScale > 1 ? 1_000_000 : 100_000
        for index in 0..<count {
            let bytes = Bytes(name(index).utf8)
            let made = linux_mknodat(source.descriptor, bytes, bytes.count, linux_S_IFREG | 0o644, 0)
            guard made == 0 else { throw TestFailure("cannot make entry \(index): \(made)") }
        }
        let home = try Home.make(scratch.path("home"), settings: "memory = \"64MiB\"\n")
        let path = scratch.path("source")
        // Old enough that a backup may trust their times.
        usleep(2_500_000)
        let first = try run(home, "backup", "--json", path).object()
        #expect(first["files"] as? Int == count)
        #expect(first["unchanged_files"] as? Int == 0)

        let changed = count / 3
        try source.write(name(changed), "changed")
        let second = try run(home, "backup", "--json", path).object()
        #expect(second["files"] as? Int == count)
        #expect(second["unchanged_files"] as? Int == count - 1)
        // Not the whole folder anew.
        let stored = [first, second].map { $0["stored_bytes"] as? Int ?? 0 }
        #expect(stored[1] > 0 && stored[1] < stored[0] / 4, "\(stored)")

        let snapshots = try home.succeed("snapshots", "--json").array()
        #expect(snapshots.compactMap { $0["files"] as? Int } == [count, count])
        for snapshot in ["latest~1", "latest"] { expectAll(try run(home, "ls", snapshot, path), count) }
        let changes = try run(home, "diff", "latest~1", "latest", "--json").array()
        #expect(changes.count == 1)
        #expect(changes.first?["path"] as? String == "\(path)/\(name(changed))")
        #expect(changes.first?["change"] as? String == "content")

        for (snapshot, index, content) in [
            ("latest", changed, "changed"), ("latest~1", changed, ""), ("latest", 0, ""), ("latest", count - 1, ""),
        ] {
            let entry = "\(path)/\(name(index))"
            let listed = try home.succeed("ls", snapshot, entry, "--json").array()
            #expect(listed.map { $0["path"] as? String } == [entry])
            #expect(listed.first?["size"] as? Int == content.utf8.count)
            _ = try run(home, "restore", snapshot, entry, "--target", scratch.path("target"))
            let restored = try Folder(scratch.path("target") + path)
            #expect(try restored.names() == [Bytes(name(index).utf8)])
            #expect(try restored.read(name(index)) == Bytes(content.utf8))
            try scratch.folder.remove("target")
        }
    }
}
