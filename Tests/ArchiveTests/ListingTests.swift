import Archive
import BackupFormat
import Testing

struct ListingTests {
    private func list(
        _ contents: SnapshotContents, _ chunks: MemoryChunks, at path: RawPath? = nil, recursive: Bool = false
    ) throws -> (paths: [RawPath], problems: [RawPath]) {
        var found: [RawPath] = []
        var problems: [RawPath] = []
        try listSnapshot(
            contents, at: path, recursive: recursive, chunks, Progress(), problem: { problems.append($0.path) },
            each: { found.append($0.path) })
        return (found, problems)
    }

    @Test("lists one folder, or all below it, each folder before what it holds")
    func lists() throws {
        let chunks = MemoryChunks()
        let contents = snapshot([.folder("a", [.file("b", [1]), .folder("c", [.file("d", [2])])]), .file("e", [3])], chunks)
        #expect(try list(contents, chunks).paths == ["/a", "/e"])
        #expect(try list(contents, chunks, recursive: true).paths == ["/a", "/a/b", "/a/c", "/a/c/d", "/e"])
        #expect(try list(contents, chunks, at: "/a//").paths == ["/a/b", "/a/c"])
        #expect(try list(contents, chunks, at: "/a/c/d").paths == ["/a/c/d"])
        #expect(throws: ArchiveError.self) { try list(contents, chunks, at: "/a/x") }
        #expect(throws: ArchiveError.self) { try list(contents, chunks, at: "/e/x") }
    }

    @Test("names a folder that is lost, and lists the rest")
    func lost() throws {
        let chunks = MemoryChunks()
        let contents = snapshot([.folder("a", [.file("b", [1])]), .file("e", [3])], chunks)
        if case .stored(let keys)? = try findEntry(at: "/a", in: contents.root, chunks, try ChunkScratch())?.content {
            for key in keys.keys { chunks.lose(key) }
        }
        let found = try list(contents, chunks, recursive: true)
        #expect(found.paths == ["/a", "/e"])
        #expect(found.problems == ["/a"])
        // Of a large folder, only the part that is lost.
        let large = snapshot((10..<30).map { .file(RawPath("f\($0)"), []) }, chunks)
        chunks.lose(large.root.keys[1])
        let rest = try list(large, chunks)
        #expect(rest.paths == (10..<30).filter { !(15..<20).contains($0) }.map { RawPath("/f\($0)") })
        #expect(rest.problems == ["/"])
    }

    @Test("finds each of many entries, reading few chunks")
    func lookUp() throws {
        let chunks = MemoryChunks()
        let nodes = (0..<1000).map { TestNode.file(RawPath("f\($0)"), [UInt8($0 % 251)]) }
        let contents = snapshot(nodes, chunks)
        let scratch = try ChunkScratch()
        for node in nodes {
            let before = chunks.reads
            #expect(try findEntry(at: RawPath("/" + node.entry.name.description), in: contents.root, chunks, scratch)?.size == 1)
            #expect(chunks.reads - before <= 10)
        }
        for name in ["/a", "/z", "/f10000", "/f9990", "/f0/x"] {
            #expect(try findEntry(at: RawPath(name), in: contents.root, chunks, scratch) == nil)
        }
    }

    @Test("refuses a tree whose names do not rise")
    func order() throws {
        let chunks = MemoryChunks()
        for names in [["b", "a"], ["a", "a"]] {
            for split in [true, false] {
                var keys: [ChunkKey] = []
                var writer = ByteWriter()
                for name in names {
                    TestNode.file(RawPath(name), []).entry.encode(into: &writer)
                    if split {
                        keys.append(chunks.store(writer.bytes))
                        writer = ByteWriter()
                    }
                }
                if !split { keys.append(chunks.store(writer.bytes)) }
                let reader = TreeReader(KeyList(levels: 0, keys: keys), chunks, try ChunkScratch())
                #expect(try reader.next() != nil)
                #expect(throws: ArchiveError.self) { try reader.next() }
            }
        }
    }

    @Test("goes on after it gave up its memory, at any entry")
    func release() throws {
        let chunks = MemoryChunks()
        let nodes = (0..<40).map { TestNode.file(RawPath("f\($0)"), []) }
        let keys = store(nodes, chunks)
        let reader = TreeReader(keys, chunks, try ChunkScratch())
        var names: [RawPath] = []
        while let view = try reader.next() {
            names.append(RawPath(bytes: Array(view.name)))
            if names.count % 3 == 0 { reader.release() }
        }
        #expect(names == nodes.map(\.entry.name).sorted())
    }
}
