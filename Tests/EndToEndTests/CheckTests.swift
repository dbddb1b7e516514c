import Foundation
import Glibc
import Testing

/// `check` as it is waited for.
@Suite("check")
struct CheckTests {
    @Test("reading the packs shows how far it is, and the first Ctrl-C ends it; the next check is whole")
    func progress() throws {
        var random = Randomness.forTest("Check.progress")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<16 { try source.write("file \(index)", random.bytes(12_000_000)) }
        let home = try Home.make(scratch.path("home"))
        try home.succeed("backup", scratch.path("source"))
        let packs = try home.vaultFiles("packs").count

        // A signal may come before the program minds it, and on a busy machine after the check has ended.
        var interruptions = 0
        for attempt in 0..<20 where interruptions == 0 {
            let running = try home.start("check", "--read-data", "--progress", "json")
            _ = running.endsWithin(seconds: 0.01 * Double(attempt + 1))
            running.signal(SIGINT)
            let outcome = try running.finish(timeoutSeconds: 30)
            guard outcome.code == 130, outcome.errorText.contains("check: stopped on request") else { continue }
            interruptions += 1
            #expect(lines(outcome).last.map { $0.files < packs } == true, "\(outcome.summary)")
        }
        #expect(interruptions == 1)

        let whole = try home.run("check", "--read-data", "--progress", "json")
        #expect(whole.code == 0, "\(whole.summary)")
        let last = try #require(lines(whole).last)
        #expect(last.files == packs && last.bytes > 16 * 12_000_000)
    }

    /// The files and bytes of each line of progress.
    private func lines(_ outcome: Outcome) -> [(files: Int, bytes: Int)] {
        outcome.errorText.split(separator: "\n").compactMap { line in
            let parsed = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            guard let files = parsed?["files"] as? Int, let bytes = parsed?["bytes"] as? Int else { return nil }
            return (files, bytes)
        }
    }
}
