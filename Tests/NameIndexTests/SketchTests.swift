import BackupFormat
import Cryptography
import HostFiles
import NameIndex
import TestSupport
import Testing

@Suite("Sketches of names") struct SketchTests {
    private static let words = [
        "report", "annual", "Invoice", "handler", "config", "main", "Window", "photo", "quiz", "jazz", "Müller", "crème", "żurek",
        "x",
        "2024", "17", "Москва", "日本", "a", "of",
    ]
    private static let separators = ["-", "_", " ", ".", "", ""]

    /// Words with and without separators, in nested folders, some of them very long, and bytes that are not UTF-8.
    private func paths(_ count: Int, _ random: inout Choices) -> [[UInt8]] {
        var folders: [[UInt8]] = [[]]
        var paths: Set<[UInt8]> = []
        while paths.count < count {
            var name: [UInt8] = [0x2f]
            for index in 0...random.below(4) {
                if index > 0 { name += Self.separators[random.below(Self.separators.count)].utf8 }
                name += Self.words[random.below(Self.words.count)].utf8
            }
            if random.below(40) == 0 { name.append(0xe9) }
            if random.below(200) == 0 { name += [UInt8](repeating: 0x6c, count: 300) }
            let path = folders[random.below(folders.count)] + name
            if path.count < 700, random.below(12) == 0 { folders.append(path) }
            paths.insert(path)
        }
        // In one order, whatever the hashes are.
        return paths.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// A few letters of a path, with gaps, typos, capitals, an apostrophe.
    private func query(_ path: [UInt8], _ random: inout Choices) -> NameQuery? {
        var text: [UInt8] = []
        for word in 0...random.below(2) {
            if word > 0 { text.append(0x20) }
            if random.below(5) == 0 { text.append(0x27) }
            var place = random.below(path.count)
            for _ in 0...random.below(12) where place < path.count {
                if random.below(30) > 0 { text.append(random.below(3) == 0 ? path[place] : path[place] | 0x20) }
                if random.below(40) == 0 { text.append(0x6b) }
                place += random.below(8) == 0 ? 1 + random.below(6) : 1
            }
        }
        return NameQuery(text)
    }

    @Test(
        "a search by sketches finds what one finds that reads every name: the same paths, scores and order, with any limit",
        arguments: 0..<6 as Range<UInt64>)
    func sameAsReadingAll(_ seed: UInt64) throws {
        var random = Choices(seed: seed)
        let paths = paths(6000, &random)
        let world = try NameWorld(paths)
        let search = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 2, now: 0)
        var found = 0
        for _ in 0..<60 {
            guard let query = query(paths[random.below(paths.count)], &random) else { continue }
            var filter = NameFilter()
            if random.below(6) == 0 {
                filter.folder = RawPath(bytes: paths[random.below(paths.count)])
            }
            for limit in [1, 7, 50] {
                let all = try #require(try search.run(query, filter, limit: limit, readingAll: true))
                let best = try #require(try search.run(query, filter, limit: limit))
                #expect(best.map(\.path) == all.map(\.path), "\(query), \(limit)")
                #expect(best.map(\.score) == all.map(\.score), "\(query), \(limit)")
                found += best.count
            }
        }
        #expect(found > 500)
    }

    @Test("the same over several groups of blocks, and with a filter")
    func manyGroups() throws {
        var random = Choices(seed: 77)
        let folders = (0..<900).map { "/\(Self.words[$0 % 20])/\($0) \(Self.words[random.below(20)])" }
        let paths = (0..<150_000).map { index in
            let words = [Self.words[random.below(20)], Self.words[random.below(20)]]
            return Array("\(folders[index % 900])/\(words[0])-\(words[1])_\(index)".utf8)
        }
        let world = try NameWorld(paths)
        let segment = try #require(try world.disk.list("/names").first { $0.bytes.suffix(6).elementsEqual(".names".utf8) })
        let table = try NameSegment(world.disk, RawPath("/names").appending(segment), NameIndexCipher(key: .zero)).table
        try #require(table.groups.count > 2 && table.entries == 150_000)
        let search = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 2, now: 0)
        var filter = NameFilter()
        for text in [
            "report", "rptannual", "'handler-", "'report_77", "cfg main", "mianwindow", "'7/re", "'zz", "13", "'quiz 'jazz 99",
        ] {
            let query = try #require(NameQuery(Array(text.utf8)))
            filter.folder = filter.folder == nil ? "/report" : nil
            for limit in [3, 50] {
                let all = try #require(try search.run(query, filter, limit: limit, readingAll: true))
                let best = try #require(try search.run(query, filter, limit: limit))
                #expect(best.map(\.path) == all.map(\.path), "\(text), \(limit)")
                #expect(best.map(\.score) == all.map(\.score), "\(text), \(limit)")
            }
        }
    }

    @Test("the same where folders are longer than their letters are scored, and shorter ones follow")
    func longFolders() throws {
        var random = Choices(seed: 78)
        var folders: [String] = []
        for number in 0..<60 {
            let words = (0..<(number % 3 == 0 ? 260 : 5)).map { _ in Self.words[random.below(20)] }
            // They part from each other at all lengths.
            folders.append("/" + words.joined(separator: number % 2 == 0 ? "/" : "-"))
            if number > 0, number % 3 == 0 { folders.append(folders[number - 1] + "/" + words.suffix(9).joined(separator: "_")) }
        }
        try #require(folders.contains { $0.utf8.count > 1500 })
        let paths = (0..<6000).map { index in
            Array("\(folders[index % folders.count])/\(Self.words[random.below(20)]) \(index)".utf8)
        }
        let world = try NameWorld(paths)
        let search = try NameSearch(world.store, live: [NameWorld.snapshot], threads: 2, now: 0)
        for text in ["report", "rptannual", "reportannual", "cfgmain 7", "mianwindow", "Report", "r/7", "qj12"] {
            let query = try #require(NameQuery(Array(text.utf8)))
            for limit in [3, 50, 5000] {
                let all = try #require(try search.run(query, NameFilter(), limit: limit, readingAll: true))
                let best = try #require(try search.run(query, NameFilter(), limit: limit))
                #expect(best.map(\.path) == all.map(\.path), "\(text), \(limit)")
                #expect(best.map(\.score) == all.map(\.score), "\(text), \(limit)")
            }
        }
    }

    @Test("a word behind an apostrophe is found in one run, as it is, and nowhere else")
    func exact() throws {
        var random = Choices(seed: 9)
        let paths = paths(3000, &random)
        let world = try NameWorld(paths)
        for word in ["report", "ual-", "Win", "quizj", "/x", "x/", "/", "l/x", "4", "x", "e1", "zzzz", "lllllllllllllllllllll"] {
            let expected = paths.filter { path in
                let text = String(String(decoding: path, as: UTF8.self).map { ["ü": "u", "è": "e", "ż": "z"][$0] ?? $0 })
                return (word == word.lowercased() ? text.lowercased() : text).utf8.containsRun(of: Array(word.utf8))
            }
            let found = try world.find("'" + word, limit: NameSearch.limitMax)
            #expect(Set(found.map(\.path.bytes)) == Set(expected), "\(word)")
            #expect(word == "zzzz" || !expected.isEmpty)
        }
        #expect(
            try NameWorld(familiarPaths.map { Array($0.utf8) }).paths("'menu 'main") == [
                "/home/ana/src/app/Sources/MainMenu.swift"
            ])
        #expect(try NameWorld(familiarPaths.map { Array($0.utf8) }).paths("'mainmenu").count == 1)
        #expect(try NameWorld(familiarPaths.map { Array($0.utf8) }).paths("'mianmenu").isEmpty, "no typo is forgiven")
        #expect(NameQuery(Array("' '".utf8)) == nil)
    }

    @Test("an index of another version is none: it is made anew")
    func otherVersion() throws {
        let world = try NameWorld(familiarPaths.map { Array($0.utf8) })
        #expect(try world.store.manifest().snapshots.count == 1)
        let file = try world.disk.openForUpdating("/names/manifest")
        try file.write(at: 8, [1])
        #expect(try world.store.manifest().snapshots.isEmpty)
    }
}

extension String.UTF8View {
    fileprivate func containsRun(of bytes: [UInt8]) -> Bool {
        let all = Array(self)
        guard all.count >= bytes.count else { return false }
        return (0...all.count - bytes.count).contains { all[$0..<$0 + bytes.count].elementsEqual(bytes) }
    }
}
