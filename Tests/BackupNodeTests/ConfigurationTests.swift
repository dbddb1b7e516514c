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

@Test("several sets of sources have names, and each its own values")
func severalSets() {
    let (configuration, problems) = read(
        """
        [[sources]]
        name = "documents"
        paths = ["/home"]
        every = "continuous"
        replicas = 3
        keep_daily = 3
        before = ["/bin/dump", "--all"]
        [retention]
        keep_daily = 7
        [[sources]]
        name = "system"
        paths = ["/etc"]
        at = ["22:00", "7:05", "22:00"]
        on_battery = false
        max_load = "1.5"
        """)
    #expect(problems == [])
    #expect(configuration.sourceSets.map(\.name) == ["documents", "system"])
    let (documents, system) = (configuration.sets[0], configuration.sets[1])
    #expect(documents.isContinuous && documents.before == ["/bin/dump", "--all"] && documents.onBattery)
    #expect(system.atMinutes == [425, 1320] && !system.onBattery && system.maxLoad == 150 && !system.isContinuous)
    #expect(configuration.retention(of: ["/home"]).daily == 3)
    #expect(configuration.retention(of: ["/etc"]).daily == 7)
    #expect(configuration.retention(of: ["/other"]).daily == 7)
    #expect(configuration.replicas(of: ["/home"]) == 3)
    #expect(configuration.replicas(of: ["/etc"]) == 2 && configuration.replicas(of: ["/home", "/etc"]) == 2)
    #expect(configuration.origins["sources.system.at"] == .file("bakare.toml", line: 13))
    #expect(configuration.listed.contains { $0.key == "sources.documents.every" && $0.value == "\"continuous\"" })
    #expect(!configuration.listed.contains { $0.key == "sources.paths" })
}

@Test(
    "sets of sources that cannot be told apart, and values that make no sense, are named",
    arguments: [
        (
            "[[sources]]\nname = \"a\"\n[[sources]]\nname = \"a\"", "3:1: another of [[sources]] has the name a"
        ),
        (
            "[[sources]]\nname = \"a b\"", "2:8: sources.name takes a name of 1 to 32 letters, digits, - and _, not \"a b\""
        ),
        (
            "[sources]\nat = [\"24:00\"]",
            "2:6: sources.at takes a list of times of day, as in [\"12:30\", \"22:00\"], not [\"24:00\"]"
        ),
        ("[sources]\nreplicas = 0", "2:12: sources.replicas takes a whole number from 1 to 16, not 0"),
        ("[sources]\nmax_load = 0", "2:12: sources.max_load takes a load above 0, as in 4 or \"1.5\", not 0"),
        ("[[peers]]\nrole = \"auto\"", "1:1: [peers] stands once, in single brackets"),
    ])
func wrongSets(text: String, message: String) { #expect(read(text).1.first == "bakare.toml:" + message) }

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
    #expect(configuration.sources.paths == ["/home", "/etc"])
    #expect(configuration.sources.exclude == ["*.o"])
    #expect(configuration.sources.excludeLargerThanBytes == 1000)
    #expect(configuration.sources.oneFileSystem)
    #expect(configuration.retention.daily == 7)
    #expect(configuration.retention.within == CalendarSpan(years: 1, months: 2))
    #expect(configuration.retention.tags == [["a", "b"]])
    #expect(configuration.origins["memory"] == .file("bakare.toml", line: 1))
    #expect(configuration.origins["sources.exclude"] == .file("bakare.toml", line: 5))
    #expect(configuration.origins["retention.keep_tags"] == .file("bakare.toml", line: 11))
    #expect(configuration.origins["host"] == nil)
}

@Test(
    "what is wrong is named by file, line, column, key and what is expected",
    arguments: [
        ("memory = \"63MiB\"", "1:10: memory takes a size of at least 64MiB, as in \"256MiB\", not \"63MiB\""),
        ("\nmemroy = 1", "2:1: unknown key memroy; did you mean memory?"),
        ("exclude = []", "1:1: unknown key exclude; did you mean sources.exclude?"),
        ("exlude = []", "1:1: unknown key exlude; did you mean sources.exclude?"),
        ("[source]\npaths = []", "1:1: unknown table [source]; did you mean [sources]?"),
        ("[sources]\n  exclud = []", "2:3: unknown key sources.exclud; did you mean sources.exclude?"),
        ("[retention]\nmemory = 1", "2:1: unknown key retention.memory; did you mean memory?"),
        ("zzzzzzzzzzzzzzzz = 1", "1:1: unknown key zzzzzzzzzzzzzzzz"),
        ("\"sources.paths\" = []", "1:1: unknown key \"sources.paths\"; did you mean sources.paths?"),
        ("\"\\u001b[31m\" = 1", "1:1: unknown key \\x1b[31m"),
        ("sources = 1", "1:1: sources is a table; write [sources] above its keys"),
        ("[[sources]]\npaths = []", "1:1: each of [[sources]] needs a name of its own, as in name = \"documents\""),
        ("memory.size = 1", "1:1: memory takes a size of at least 64MiB, as in \"256MiB\", not a table"),
        (
            "[sources]\npaths = [\"home\"]",
            "2:9: sources.paths takes a list of absolute paths, as in [\"/home\", \"~/work\"], not [\"home\"]"
        ),
        (
            "[sources]\npaths = \"/home\"",
            "2:9: sources.paths takes a list of absolute paths, as in [\"/home\", \"~/work\"], not \"/home\""
        ),
        ("[sources]\none_file_system = 1", "2:19: sources.one_file_system takes true or false, not 1"),
        (
            "[sources]\nexclude = [\"[a\"]",
            "2:11: sources.exclude takes a list of gitignore patterns, as in [\"*.o\", \"/home/*/.cache\"], not [\"[a\"]"
        ),
        ("retention.keep_last = -1", "1:23: retention.keep_last takes a whole number from 0 to 1,000,000, not -1"),
        ("[vault]\ntrash_days = 1.5", "2:14: vault.trash_days takes a whole number from 0 to 3,650, not a fraction"),
        ("[vault]\ntrash_days = 1979-05-27", "2:14: vault.trash_days takes a whole number from 0 to 3,650, not a date"),
    ])
func problems(text: String, message: String) { #expect(read(text).1 == ["bakare.toml:" + message]) }

@Test(
    "what is no TOML, or more of it than the configuration needs, is named by the place and what was expected there",
    arguments: [
        ("a\0b", "1:2: a control character, \\x00, has no place here"),
        ("memory = 1 # \u{1b}[2J", "1:14: a control character, \\x1b, has no place here"),
        ("memory = 1\rhost = \"x\"", "1:11: a control character, \\x0d, has no place here"),
        ("[sources\n", "1:9: expected ] after the name of the table"),
        ("[[sources]\n", "1:10: expected ]] after the name of the table"),
        ("[.a]", "1:2: expected the name of a table, of letters, digits, _ and -, not .a]"),
        ("[a.]", "1:4: expected the name of a table, of letters, digits, _ and -, not ]"),
        ("= 1", "1:1: expected a key, of letters, digits, _ and -, not ="),
        ("memory: 1", "1:7: expected = after the key memory"),
        ("memory =\nhost = \"x\"", "1:9: expected a value, and text in quotes, not the end of the line"),
        ("memory = 256MiB", "1:10: expected true, false or a whole number, or any other value in quotes: \"256MiB\""),
        ("host = /x", "1:8: expected a value, and text in quotes, not /x"),
        ("sources.exclude_caches = True", "1:26: expected true, false or a whole number, or in small letters"),
        ("memory = 09", "1:10: expected true, false or a whole number, or any other value in quotes: \"09\""),
        ("memory = 9223372036854775808", "1:10: expected a whole number below 2^63, not 9223372036854775808"),
        ("host = \"x", "1:8: the string that begins here has no \" at its end on this line"),
        ("host = 'x\ny'", "1:8: the string that begins here has no ' at its end on this line"),
        ("host = \"\"\"x\"\"\"", "1:8: expected a string on one line; write \\n for a new line in it"),
        ("sources.exclude = [\"a\\d\"]", "1:22: a backslash stands doubled, \\\\, or in a string in 'single quotes'"),
        ("host = \"\\u00\"", "1:9: expected 4 hexadecimal digits of a character"),
        ("host = \"\\ud800\"", "1:9: expected 4 hexadecimal digits of a character"),
        ("host = \"\\u0000\"", "1:9: expected 4 hexadecimal digits of a character"),
        ("host = \"x\" y", "1:12: expected the end of the line, not y"),
        ("host = { a = 1 }", "1:8: expected a value: a table stands under a heading in brackets, not in braces"),
        ("sources.tags = [\"a\"\n[vault]", "2:1: expected , or ] in the list that begins on line 1, not [vault]"),
        ("\nsources.tags = [\"a\", # b\n", "2:16: the list that begins here has no ] at its end"),
        ("sources.tags = [[\"a\"]]", "1:17: expected a string: a list in a list has no place here"),
        ("memory = 100000000\nmemory = 100000000", "2:1: memory stands twice, or as two different things (line 1)"),
        ("[vault]\n[sources]\n[vault]", "3:1: vault stands twice, or as two different things (line 1)"),
        ("host = \"x\"\nhost.a = 1", "2:1: host.a stands twice, or as two different things (line 1)"),
        ("[[x]]\n[x]", "2:1: x stands twice, or as two different things (line 1)"),
        ("a.b.c.d.e.f.g.h.i = 1", "1:17: a key has at most 8 parts"),
        ("# ünïcode\nhost = \"ü\" x", "2:12: expected the end of the line, not x"),
    ])
func mistakes(text: String, message: String) { #expect(read(text).1 == ["bakare.toml:" + message]) }

@Test("all forms of TOML's strings, whole numbers, booleans and lists are read")
func forms() {
    let (configuration, problems) = read(
        "\u{feff}'memory' = 0x1000_0000 # hexadecimal\r\n\t\"host\"=\"a\\tb\\u00e9\\U0001F600\\\"\\\\\"\r\n\r\n"
            + "[ sources ]\r\nexclude = [ # one a line\r\n  '*\\#', \"b\" # c\r\n  ,\r\n]\r\nexclude_caches=true\ntags = []\n"
            + "[ \"retention\" ]\nkeep_last = +1_0\nkeep_daily = 0\n")
    #expect(problems == [])
    #expect(configuration.memoryBytes == 1 << 28)
    #expect(configuration.host == "a\tb\u{e9}\u{1F600}\"\\")
    #expect(configuration.sources.exclude == ["*\\#", "b"])
    #expect(configuration.sources.excludeCaches && configuration.sources.tags == [])
    #expect(configuration.retention.last == 10 && configuration.retention.daily == 0)
    #expect(configuration.origins["retention.keep_last"] == .file("bakare.toml", line: 12))
}

@Test("a file of a megabyte of mistakes costs little, and tells the first of them")
func manyMistakes() {
    let clock = ContinuousClock()
    for line in ["x = 1\n", "[[a]]\n", "sources.tags = [" + String(repeating: "\"a\",", count: 200_000), "[[a]]\nb.c = 1\n"] {
        let text = Array(String(repeating: line, count: (1 << 20) / line.utf8.count).utf8)
        var configuration = Configuration()
        let seconds = clock.measure { #expect((1...21).contains(configuration.apply(text, file: "f").count)) }
        #expect(seconds < .seconds(20))
    }
    let numbered = (0..<1000).map { "key\($0) = 1\n" }.joined()
    let (_, problems) = read(numbered)
    #expect(problems.count == 21)
    #expect(problems.last == "bakare.toml: and 980 more problems")
}

@Test("a syntax error names its line, bytes that are not UTF-8 too, and nothing is taken over")
func syntax() {
    let (configuration, problems) = read("memory = \"128MiB\"\n[sources\n")
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("bakare.toml:2:9: ") == true)
    #expect(configuration.memoryBytes == 256 << 20)
    var other = Configuration()
    let invalid = other.apply(Array("memory = \"128MiB\"\nhost = \"".utf8) + [0xff, 0x22, 0x0a], file: "f")
    #expect(invalid.map(\.description) == ["f:2:9: not UTF-8"])
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
