import BackupFormat
import Cryptography
import Foundation
import Glibc
import HostFiles
import NameIndex
import TestSupport
import Testing

/// An index of one snapshot with these paths, on a disk of its own.
struct NameWorld {
    static let snapshot = SnapshotID(Bytes32(words: (1, 2, 3, 4)))
    let disk = SimulatedDisk()
    let store: NameStore

    init(_ paths: [[UInt8]]) throws {
        store = NameStore(disk: disk, directory: "/names", cipher: NameIndexCipher(key: .zero))
        try store.change(waitingMilliseconds: 0) { change throws(NameIndexError) in
            let snapshot = NameManifest.Snapshot(
                id: Self.snapshot, base: nil, isComplete: true, line: 1, machine: 1, time: 0, indexed: 0)
            _ = try change.add(snapshot, live: [Self.snapshot]) { writer, ordinal throws(NameIndexError) in
                let state = NameState(type: .file, size: 1, modified: Timestamp(seconds: 0, nanoseconds: 0))
                for path in paths.sorted(by: NameWorld.isBefore) {
                    try path.withPathBytes { path throws(NameIndexError) in
                        try writer.append(path, [NameChange(ordinal: ordinal, state: state)])
                    }
                }
                return (true, true)
            }
        }
    }

    /// As the index is sorted: the slash before all else.
    static func isBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.map { $0 == 0x2f ? 0 : $0 }.lexicographicallyPrecedes(b.map { $0 == 0x2f ? 0 : $0 })
    }

    func find(_ text: String, limit: Int = 20) throws -> [NameMatch] {
        let search = try NameSearch(store, live: [Self.snapshot], threads: 2, now: 0)
        let query = try #require(NameQuery(Array(text.utf8)))
        return try #require(try search.run(query, NameFilter(), limit: limit))
    }

    func paths(_ text: String) throws -> [String] {
        try find(text).map { String(decoding: $0.path.bytes, as: UTF8.self) }
    }
}

/// What a home and a source folder may hold.
let familiarPaths = """
    /home/ana/Documents/annual-report-2024.pdf
    /home/ana/Documents/report draft.odt
    /home/ana/Documents/letters/rental agreement.pdf
    /home/ana/Documents/Müller/Rechnung März.pdf
    /home/ana/Documents/taxes/2023/invoice_0042.pdf
    /home/ana/Documents/taxes/2024/invoice_0042.pdf
    /home/ana/Documents/recipes/crème brûlée.txt
    /home/ana/Documents/recipes/zupa żurek.txt
    /home/ana/Pictures/2019/Crete/IMG_2041.JPG
    /home/ana/Pictures/2019/Crete/IMG_2042.JPG
    /home/ana/Pictures/2021/wedding/IMG_0007.jpg
    /home/ana/Music/Dvořák/Symphony No. 9.flac
    /home/ana/.config/nvim/init.lua
    /home/ana/.ssh/config
    /home/ana/src/app/Sources/MainWindowController.swift
    /home/ana/src/app/Sources/MainMenu.swift
    /home/ana/src/app/Sources/main.swift
    /home/ana/src/app/Sources/Domain/Mailbox.swift
    /home/ana/src/app/Tests/MainWindowControllerTests.swift
    /home/ana/src/app/Package.swift
    /home/ana/src/app/package-lock.json
    /home/ana/src/app/README.md
    /home/ana/src/site/config/default.yml
    /home/ana/src/site/config/production.yml
    /home/ana/src/site/src/components/UserProfileCard.tsx
    /home/ana/src/site/src/components/UserList.tsx
    /home/ana/src/site/node_modules/config/lib/config.js
    /home/ana/src/site/node_modules/colors/README.md
    /home/ana/src/kernel/drivers/net/ethernet/intel/e1000/e1000_main.c
    /home/ana/src/kernel/Makefile
    /home/ana/src/kernel/Documentation/admin-guide/README.rst
    /home/ana/src/backup.tar.gz
    /etc/fstab
    /etc/ssh/sshd_config
    """.split(separator: "\n").map(String.init)

/// What a person would type, and what must come first.
let familiarQueries: [(query: String, first: String, why: String)] = [
    ("fstab", "/etc/fstab", "a whole name"),
    ("mainswift", "/home/ana/src/app/Sources/main.swift", "a name without its dot"),
    ("mwc", "/home/ana/src/app/Sources/MainWindowController.swift", "humps of camelCase"),
    ("upc tsx", "/home/ana/src/site/src/components/UserProfileCard.tsx", "humps and an extension"),
    ("report annual", "/home/ana/Documents/annual-report-2024.pdf", "two words in the wrong order"),
    ("draft report", "/home/ana/Documents/report draft.odt", "two words in the wrong order, a space between"),
    ("creme brulee", "/home/ana/Documents/recipes/crème brûlée.txt", "no accents"),
    ("crème", "/home/ana/Documents/recipes/crème brûlée.txt", "accents"),
    ("dvorak", "/home/ana/Music/Dvořák/Symphony No. 9.flac", "no accents, a folder"),
    ("zurek", "/home/ana/Documents/recipes/zupa żurek.txt", "no accents"),
    ("mueller", "/home/ana/Documents/Müller/Rechnung März.pdf", "a letter too many"),
    ("sshcfg", "/etc/ssh/sshd_config", "an abbreviation"),
    ("sshd", "/etc/ssh/sshd_config", "the beginning of a name"),
    ("invoice 2023", "/home/ana/Documents/taxes/2023/invoice_0042.pdf", "a name and a folder"),
    ("img2042", "/home/ana/Pictures/2019/Crete/IMG_2042.JPG", "without case and underscore"),
    ("crete 2041", "/home/ana/Pictures/2019/Crete/IMG_2041.JPG", "a folder and a part of a name"),
    (".lua", "/home/ana/.config/nvim/init.lua", "an extension"),
    ("targz", "/home/ana/src/backup.tar.gz", "extensions without dots"),
    ("makefile", "/home/ana/src/kernel/Makefile", "without case"),
    ("README", "/home/ana/src/app/README.md", "the shortest of several"),
    ("pkg", "/home/ana/src/app/Package.swift", "consonants"),
    ("e1000", "/home/ana/src/kernel/drivers/net/ethernet/intel/e1000/e1000_main.c", "a number"),
    ("mianmenu", "/home/ana/src/app/Sources/MainMenu.swift", "two letters swapped"),
    ("contoller", "/home/ana/src/app/Sources/MainWindowController.swift", "a letter missing"),
    ("mailbix", "/home/ana/src/app/Sources/Domain/Mailbox.swift", "a wrong letter"),
    ("prodduction", "/home/ana/src/site/config/production.yml", "a letter too many"),
    ("rechnugn", "/home/ana/Documents/Müller/Rechnung März.pdf", "two letters swapped"),
    ("wedding", "/home/ana/Pictures/2021/wedding/IMG_0007.jpg", "a folder"),
    ("UserL", "/home/ana/src/site/src/components/UserList.tsx", "a capital"),
    ("config", "/home/ana/.ssh/config", "the name rather than folders"),
]

@Suite("Matching") struct MatchingTests {
    @Test("finds first what a person means", arguments: familiarQueries.indices)
    func ranking(_ index: Int) throws {
        let world = try NameWorld(familiarPaths.map { Array($0.utf8) })
        let (query, first, why) = familiarQueries[index]
        let found = try world.paths(query)
        #expect(found.first == first, "\(why): `\(query)` found \(found.prefix(3))")
    }

    /// Those with a typo, which fzf does not forgive.
    private static let withTypo: Set = ["mianmenu", "mailbix", "prodduction", "rechnugn"]

    @Test("puts first what fzf puts first, but for typos", .enabled(if: access("/usr/bin/fzf", X_OK) == 0))
    func sameAsFzf() throws {
        let list = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-names-\(getpid())")
        try Data(familiarPaths.joined(separator: "\n").utf8).write(to: list)
        defer { try? FileManager.default.removeItem(at: list) }
        for (query, first, why) in familiarQueries {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/fzf")
            process.arguments = ["--scheme=path", "--filter", query]
            process.standardInput = try FileHandle(forReadingFrom: list)
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let found = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            let expected = Self.withTypo.contains(query) ? nil : first
            #expect(found.split(separator: "\n").first.map(String.init) == expected, "\(why): `\(query)`")
        }
    }

    @Test("a small letter matches both cases, a capital only itself")
    func smartCase() throws {
        let world = try NameWorld(["/a/Readme", "/a/README", "/a/readme"].map { Array($0.utf8) })
        #expect(try world.paths("readme").count == 3)
        #expect(try world.paths("README") == ["/a/README"])
        #expect(try world.paths("Re") == ["/a/Readme"])
        #expect(try world.paths("a Re").count == 1)
    }

    @Test("names that are not UTF-8 are found by the letters and the bytes that they have")
    func anyBytes() throws {
        let world = try NameWorld([
            Array("/a/caf".utf8) + [0xe9], Array("/a/\u{1b}[31mred".utf8), [0x2f, 0xc3], [0x2f, 0xc3, 0x28],
        ])
        #expect(try world.find("caf").map(\.path.bytes) == [Array("/a/caf".utf8) + [0xe9]])
        #expect(try world.find("31mred").count == 1)
        let search = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 1, now: 0)
        let query = try #require(NameQuery([0xe9]))
        #expect(try search.run(query, NameFilter(), limit: 9)?.map(\.path.bytes) == [Array("/a/caf".utf8) + [0xe9]])
    }

    @Test("Latin letters fold to their base, others keep theirs and lose their case")
    func folding() throws {
        let world = try NameWorld(
            ["/Ærøskøbing", "/STRASSE", "/straße", "/ĄĆĘŁŃÓŚŹŻ", "/Nguyễn", "/e\u{301}te\u{301}", "/МОСКВА", "/Αθήνα", "/日本語"].map
            {
                Array($0.utf8)
            })
        #expect(try world.paths("aeroskobing") == ["/Ærøskøbing"])
        #expect(Set(try world.paths("strasse")) == ["/STRASSE", "/straße"])
        #expect(try world.paths("acelnoszz") == ["/ĄĆĘŁŃÓŚŹŻ"])
        #expect(try world.paths("nguyen") == ["/Nguyễn"])
        #expect(try world.paths("ete") == ["/e\u{301}te\u{301}"])
        #expect(try world.paths("été") == ["/e\u{301}te\u{301}"])
        #expect(try world.paths("москва") == ["/МОСКВА"])
        #expect(try world.paths("αθήνα") == ["/Αθήνα"])
        #expect(try world.paths("本語") == ["/日本語"])
    }

    @Test("what is to be found is bounded, and nothing is no query")
    func bounds() {
        #expect(NameQuery([]) == nil)
        #expect(NameQuery(Array("  \t ".utf8)) == nil)
        #expect(NameQuery([UInt8](repeating: 0x61, count: NameQuery.bytesMax + 1)) == nil)
        #expect(NameQuery(Array(repeating: "a", count: NameQuery.termsMax + 1).joined(separator: " ").utf8.map { $0 }) == nil)
        #expect(NameQuery([UInt8](repeating: 0x61, count: NameQuery.bytesMax)) != nil)
    }

    @Test(
        "the best of many are the same with any limit, any number of threads, and however blocks fall",
        arguments: 0..<6 as Range<UInt64>)
    func sameWithAnyLimit(_ seed: UInt64) throws {
        var random = Choices(seed: seed)
        let letters = Array("abcAB/._1\u{e9}-".utf8)
        var paths: Set<[UInt8]> = []
        for _ in 0..<1500 {
            var path: [UInt8] = []
            for _ in 0...random.below(4) {
                path.append(0x2f)
                for _ in 0...random.below(9) {
                    let letter = letters[random.below(letters.count)]
                    path.append(letter == 0x2f ? 0x62 : letter)
                }
            }
            paths.insert(path)
        }
        let world = try NameWorld(Array(paths))
        for text in ["a", "abc", "ab ba", "acbb", "B1", "1.a", "abcab", "é"] {
            let all = try world.find(text, limit: NameSearch.limitMax).map(\.path)
            for limit in [1, 2, 7, 50, 1000] {
                #expect(try world.find(text, limit: limit).map(\.path) == Array(all.prefix(limit)), "\(text), \(limit)")
            }
            let query = try #require(NameQuery(Array(text.utf8)))
            let one = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 1, now: 0)
            #expect(try one.run(query, NameFilter(), limit: 50)?.map(\.path) == Array(all.prefix(50)))
        }
    }

    @Test("a search that is cancelled has no answer")
    func cancelled() throws {
        let world = try NameWorld(familiarPaths.map { Array($0.utf8) })
        let search = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 1, now: 0)
        let query = try #require(NameQuery(Array("a".utf8)))
        #expect(try search.run(query, NameFilter(), limit: 9, isCancelled: { true }) == nil)
    }
}
