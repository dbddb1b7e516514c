import BackupFormat
import BackupNode
import Foundation
import Testing

private func read(_ text: String) -> (Configuration, [String]) {
    var configuration = Configuration()
    let problems = configuration.apply(Array(text.utf8), file: "bakare.toml")
    return (configuration, problems.map(\.description))
}

@Test("the example in configs/ is what init writes, says nothing by itself, and names every key")
func template() throws {
    let example = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../configs/bakare.toml")
    #expect(try String(contentsOf: example, encoding: .utf8) == Configuration.template)
    let (configuration, problems) = read(Configuration.template)
    #expect(problems.isEmpty)
    #expect(configuration.origins.isEmpty)
    // With every key set as the example shows it, all is valid, and no key is missing.
    let all = Configuration.template.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.hasPrefix("#") && !line.hasPrefix("# ") ? line.dropFirst() : line
    }
    let (full, fullProblems) = read(all.joined(separator: "\n"))
    #expect(fullProblems.isEmpty)
    #expect(full.origins.keys.sorted() == Configuration.keyNames.sorted())
}

@Test("values of all kinds are taken over, with the line they stand on")
func values() {
    let (configuration, problems) = read(
        """
        memory = "64MiB"
        [sources]
        paths = ["/home",
                 "/etc"]
        exclude = ["*.o"] # objects
        exclude_larger_than = 1000
        one_file_system = true
        [retention]
        keep_daily = 7
        keep_within = "1y2m"
        keep_tags = ["a,b"]
        """)
    #expect(problems.isEmpty)
    #expect(configuration.memoryBytes == 64 << 20)
    #expect(configuration.sourcePaths == ["/home", "/etc"])
    #expect(configuration.exclude == ["*.o"])
    #expect(configuration.excludeLargerThanBytes == 1000)
    #expect(configuration.oneFileSystem)
    #expect(configuration.retention.daily == 7)
    #expect(configuration.retention.within == CalendarSpan(years: 1, months: 2))
    #expect(configuration.retention.tags == [["a", "b"]])
    #expect(configuration.origins["memory"] == .file("bakare.toml", line: 1))
    #expect(configuration.origins["sources.exclude"] == .file("bakare.toml", line: 5))
    #expect(configuration.origins["retention.keep_tags"] == .file("bakare.toml", line: 11))
    #expect(configuration.origins["host"] == nil)
}

@Test(
    "what is wrong is named by file, line, key and what is expected",
    arguments: [
        ("memory = \"63MiB\"", "bakare.toml:1: memory takes a size of at least 64MiB, as in \"256MiB\", not \"63MiB\""),
        ("\nmemroy = 1", "bakare.toml:2: unknown key memroy; did you mean memory?"),
        ("exclude = []", "bakare.toml:1: unknown key exclude; did you mean sources.exclude?"),
        ("[source]\npaths = []", "bakare.toml:1: unknown table [source]; did you mean [sources]?"),
        ("[sources]\nexclud = []", "bakare.toml:2: unknown key sources.exclud; did you mean sources.exclude?"),
        ("zzzzzzzzzzzzzzzz = 1", "bakare.toml:1: unknown key zzzzzzzzzzzzzzzz"),
        (
            "[sources]\npaths = [\"home\"]",
            "bakare.toml:2: sources.paths takes a list of absolute paths, as in [\"/home\", \"~/work\"], not [\"home\"]"
        ),
        (
            "[sources]\npaths = \"/home\"",
            "bakare.toml:2: sources.paths takes a list of absolute paths, as in [\"/home\", \"~/work\"], not \"/home\""
        ),
        ("[sources]\none_file_system = 1", "bakare.toml:2: sources.one_file_system takes true or false, not 1"),
        (
            "[sources]\nexclude = [\"[a\"]",
            "bakare.toml:2: sources.exclude takes a list of gitignore patterns, as in [\"*.o\", \"/home/*/.cache\"], not [\"[a\"]"
        ),
        ("retention.keep_last = -1", "bakare.toml:1: retention.keep_last takes a whole number from 0 to 1,000,000, not -1"),
        ("[vault]\ntrash_days = 1.5", "bakare.toml:2: vault.trash_days takes a whole number from 0 to 3,650, not a fraction"),
        ("a\0b", "bakare.toml:1: holds a NUL byte"),
    ])
func problems(text: String, message: String) { #expect(read(text).1 == [message]) }

@Test("a syntax error names its line, bytes that are not UTF-8 too, and nothing is taken over")
func syntax() {
    let (configuration, problems) = read("memory = \"128MiB\"\n[sources\n")
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("bakare.toml:2: ") == true)
    #expect(configuration.memoryBytes == 256 << 20)
    var other = Configuration()
    let invalid = other.apply(Array("memory = \"128MiB\"\nhost = \"".utf8) + [0xff, 0x22, 0x0a], file: "f")
    #expect(invalid.map(\.description) == ["f:2: is not UTF-8"])
    #expect(other.apply([UInt8](repeating: 0x20, count: 2 << 20), file: "f").count == 1)
}

@Test("one mutated byte anywhere never traps", arguments: 0..<4)
func mutations(seed: Int) {
    let text = Array(Configuration.template.replacing("\n#", with: "\n").utf8)
    for offset in stride(from: seed, to: text.count, by: 4) {
        var damaged = text
        damaged[offset] ^= UInt8(truncatingIfNeeded: 1 + (offset &* 2_654_435_761) >> 7 % 255) | 1
        var configuration = Configuration()
        _ = configuration.apply(damaged, file: "f")
    }
}
