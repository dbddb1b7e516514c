import Archive
import BackupFormat
import TestSupport
import Testing

/// A tree drawn at random, deep and wide enough to matter.
func randomTree(_ random: inout some RandomNumberGenerator, depth: Int = 0) -> [TestNode] {
    (0..<Int.random(in: 0...(depth == 0 ? 14 : 7), using: &random)).map { _ in
        let name = RawPath(
            bytes: (0..<Int.random(in: 1...2, using: &random)).map { _ in
                [0x61, 0x62, 0x2e, 0xff].randomElement(using: &random) ?? 0x61
            } + [0x63])
        let seed = UInt64.random(in: 0...3, using: &random)
        var node: TestNode =
            switch Int.random(in: 0...(depth < 4 ? 5 : 3), using: &random) {
            case 0: .link(name, to: "target\(seed)")
            case 1: .special(name, seed == 0 ? .fifo : .characterDevice, device: seed)
            case 2, 3: .file(name, noise(Int(seed) * 700, seed))
            default: .folder(name, randomTree(&random, depth: depth + 1))
            }
        node.entry.mode = UInt16(0o700 + seed)
        node.entry.modified.seconds += Int64.random(in: 0...1, using: &random)
        if seed == 1 { node.entry.attributes = [attribute("user.a", [UInt8.random(in: 0...1, using: &random)])] }
        return node
    }
    .reduce(into: [RawPath: TestNode]()) { $0[$1.entry.name] = $1 }.values.sorted { $0.entry.name < $1.entry.name }
}

/// The same tree with some things changed, added and removed.
func edited(_ nodes: [TestNode], _ random: inout some RandomNumberGenerator) -> [TestNode] {
    var result: [RawPath: TestNode] = [:]
    for node in nodes {
        var node = node
        switch Int.random(in: 0...9, using: &random) {
        case 0: continue
        case 1: node.entry.mode ^= 1
        case 2: node.entry.modified.nanoseconds ^= 1
        case 3:
            if node.entry.type == .file {
                node.content.append(1)
                node.entry.size += 1
            }
        case 4:
            for other in randomTree(&random, depth: 4) { result[other.entry.name] = other }
        case 5, 6, 7: node.children = edited(node.children, &random)
        default: break
        }
        result[node.entry.name] = node
    }
    return result.values.sorted { $0.entry.name < $1.entry.name }
}

struct DiffTests {
    /// All nodes by path.
    private func flatten(_ nodes: [TestNode], _ prefix: RawPath, _ into: inout [RawPath: TestNode]) {
        for node in nodes {
            let path = RawPath(bytes: prefix.bytes + [0x2f] + node.entry.name.bytes)
            into[path] = node
            flatten(node.children, path, &into)
        }
    }

    private func naive(_ a: [TestNode], _ b: [TestNode]) -> [RawPath: Difference.Kind] {
        var before: [RawPath: TestNode] = [:]
        var after: [RawPath: TestNode] = [:]
        flatten(a, "", &before)
        flatten(b, "", &after)
        var kinds: [RawPath: Difference.Kind] = [:]
        for path in Set(before.keys).union(after.keys) {
            switch (before[path], after[path]) {
            case (nil, _): kinds[path] = .added
            case (_, nil): kinds[path] = .removed
            case (let x?, let y?):
                if x.entry.type != y.entry.type {
                    kinds[path] = .type
                } else if x.content != y.content || x.entry.deviceNumber != y.entry.deviceNumber
                    || (x.entry.type == .symlink && x.entry.content != y.entry.content)
                {
                    kinds[path] = .content
                } else if x.entry.mode != y.entry.mode || x.entry.attributes != y.entry.attributes
                    || (x.entry.type != .directory && x.entry.modified != y.entry.modified)
                {
                    kinds[path] = .metadata
                }
            }
        }
        return kinds
    }

    private func compare(
        _ a: SnapshotContents, _ b: SnapshotContents, _ chunks: MemoryChunks, at path: RawPath? = nil,
        _ problems: inout [FileProblem]
    ) throws -> [Difference] {
        var found: [Difference] = []
        try compareSnapshots(a, b, at: path, chunks, Progress(), problem: { problems.append($0) }, each: { found.append($0) })
        return found
    }

    @Test("finds what a naive comparison finds, in order", arguments: 0..<150)
    func likeNaive(seed: Int) throws {
        var random = Choices(seed: UInt64(seed))
        let chunks = MemoryChunks()
        let a = randomTree(&random)
        let b = seed % 5 == 0 ? randomTree(&random) : edited(a, &random)
        var problems: [FileProblem] = []
        let found = try compare(snapshot(a, chunks), snapshot(b, chunks), chunks, &problems)
        #expect(problems == [])
        #expect(Dictionary(uniqueKeysWithValues: found.map { ($0.path, $0.kind) }) == naive(a, b))
        #expect(found.map { $0.path.components } == found.map { $0.path.components }.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(try compare(snapshot(a, chunks), snapshot(a, chunks), chunks, &problems).isEmpty)
    }

    @Test("opens no folder whose tree is the same on both sides")
    func sameTreesStayClosed() throws {
        let chunks = MemoryChunks()
        let large = TestNode.folder("large", (0..<500).map { .file(RawPath("f\($0)"), [1]) })
        let a = snapshot([large, .file("x", [1])], chunks)
        let b = snapshot([large.with { $0.mode = 0o700 }, .file("x", [2])], chunks)
        let before = chunks.reads
        var problems: [FileProblem] = []
        let found = try compare(a, b, chunks, &problems)
        #expect(found.map(\.kind) == [.metadata, .content])
        #expect(chunks.reads - before == 2)
    }

    @Test("compares only below a path, and tells of one that neither has")
    func belowPath() throws {
        let chunks = MemoryChunks()
        let a = snapshot([.folder("d", [.file("x", [1]), .file("y", [1])]), .file("z", [1])], chunks)
        let b = snapshot([.folder("d", [.file("x", [2])]), .file("z", [2])], chunks)
        var problems: [FileProblem] = []
        #expect(try compare(a, b, chunks, at: "/d", &problems).map(\.path) == ["/d/x", "/d/y"])
        #expect(try compare(a, b, chunks, at: "/d/x", &problems).map(\.path) == ["/d/x"])
        #expect(throws: ArchiveError.self) { try compare(a, b, chunks, at: "/q", &problems) }
    }

    @Test("a lost folder is named and the rest compared")
    func lostFolder() throws {
        let chunks = MemoryChunks()
        let folder = TestNode.folder("d", [.file("x", [1])])
        let a = snapshot([folder, .file("z", [1])], chunks)
        let b = snapshot([.folder("d", [.file("x", [2])]), .file("z", [2])], chunks)
        if case .stored(let keys)? = try findEntry(at: "/d", in: a.root, chunks, try ChunkScratch())?.content {
            for key in keys.keys { chunks.lose(key) }
        }
        var problems: [FileProblem] = []
        #expect(try compare(a, b, chunks, &problems).map(\.path) == ["/z"])
        #expect(problems.map(\.path) == ["/d"])
    }
}
