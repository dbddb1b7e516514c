import Archive
import BackupFormat
import Glibc
import Testing

/// Restores into a test's folder.
@discardableResult
func restore(
    _ contents: SnapshotContents, _ chunks: MemoryChunks, to folder: TestFolder, workers: Int = 3,
    progress: Progress = Progress(),
    _ change: (inout RestoreRequest) -> Void = { _ in }
) throws -> RestoreReport {
    var request = RestoreRequest(snapshot: SnapshotID(.zero), target: folder.target)
    change(&request)
    return try restoreSnapshot(request, contents, chunks, workers: workers, progress)
}

func attribute(_ name: String, _ value: [UInt8]) -> ExtendedAttribute { ExtendedAttribute(name: Array(name.utf8), value: value) }

/// A tree with some of everything.
func variedTree() -> [TestNode] {
    var sparse = [UInt8](repeating: 0, count: 50_000)
    sparse.replaceSubrange(10_000..<13_000, with: noise(3000, 5))
    sparse.replaceSubrange(30_000..<30_100, with: noise(100, 6))
    let holes = [Extent(offset: 10_000, length: 3000), Extent(offset: 30_000, length: 100)]
    return [
        .folder(
            "opt",
            [
                .file("empty", []), .file("tiny", Array("hello".utf8), mode: 0o4755), .file("one", noise(700)),
                .file("exact", noise(1000, 2)),
                .file("large", noise(300_000, 3), mode: 0o600),
                .file("sparse", sparse).with { $0.extents = holes },
                .file("hole", [UInt8](repeating: 0, count: 9999)).with { $0.extents = [] },
                .file(RawPath(bytes: [0x66, 0xff, 0x0a, 0x01]), noise(10)),
                .file(RawPath(bytes: Array(repeating: 0x78, count: 255)), noise(100)),
                .link("link", to: "../../../etc/passwd").with {
                    $0.modified = Timestamp(seconds: -86_400, nanoseconds: 999_999_999)
                },
                .special("fifo", .fifo), .special("socket", .socket), .special("null", .characterDevice, device: 0x103),
                .special("disk", .blockDevice, device: 0x800),
                .folder("shut", mode: 0o500, [.file("inside", noise(2000, 9)), .folder("deeper", mode: 0o3770, [])]),
                .file("old", noise(1)).with { $0.modified = Timestamp(seconds: -1_000_000_000, nanoseconds: 1) },
                .file("far", noise(1)).with { $0.modified = Timestamp(seconds: 9_999_999_999, nanoseconds: 5) },
                .file("given", noise(5000, 8), mode: 0o2711).with {
                    $0.uid = 1234
                    $0.gid = 4321
                    $0.attributes = [attribute("user.empty", []), attribute("user.long", noise(2000, 4))]
                },
                .folder("many", (0..<333).map { .file(RawPath("file\($0)"), noise($0 * 7, UInt64($0))) }),
            ]
        ).with { $0.attributes = [attribute("user.folder", [1, 2, 3])] }
    ]
}

struct RestoreTests {
    @Test("restores every type of file with its content and metadata", arguments: [0, 1, 2] as [UInt8])
    func everyType(levels: UInt8) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree = variedTree()
        let contents = snapshot(tree, chunks, levels: levels)
        let progress = Progress()
        let report = try restore(contents, chunks, to: folder, progress: progress)
        #expect(report.errors == [])
        let seen = folder.look()
        for (path, want) in expected(tree) { #expect(seen[path] == want, "\(path)") }
        #expect(seen.count == expected(tree).count)
        #expect(report.files == seen.values.count { $0.type != S_IFDIR })
        #expect(report.directories == 4)
        #expect(progress.files.load(ordering: .relaxed) == report.files)
        #expect(report.writtenBytes < 900_000)
    }

    @Test("restores again without writing anything")
    func again() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree = variedTree()
        let contents = snapshot(tree, chunks)
        try restore(contents, chunks, to: folder)
        let inodes = statusOf(folder.path + "/t/opt/large")?.st_ino
        let report = try restore(contents, chunks, to: folder)
        #expect(report.errors == [])
        #expect(report.writtenBytes == 0)
        #expect(report.unchangedFiles == report.files)
        #expect(statusOf(folder.path + "/t/opt/large")?.st_ino == inodes)
        #expect(folder.look() == expected(tree))
    }

    @Test("leaves holes as holes")
    func holes() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let size = 64 << 20
        var content = [UInt8](repeating: 0, count: size)
        content.replaceSubrange((32 << 20)..<(32 << 20) + 5000, with: noise(5000))
        let node = TestNode.file("sparse", content).with { $0.extents = [Extent(offset: 32 << 20, length: 5000)] }
        try restore(snapshot([node], chunks), chunks, to: folder)
        let status = statusOf(folder.path + "/t/sparse")
        #expect(status?.st_size == size)
        #expect((status?.st_blocks ?? 1 << 30) * 512 < 100_000)
        #expect(folder.read("t/sparse") == content)
    }

    @Test("reads back what it wrote, with --verify")
    func verify() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree = variedTree()
        let report = try restore(snapshot(tree, chunks), chunks, to: folder) { $0.verify = true }
        #expect(report.errors == [])
        #expect(folder.look() == expected(tree))
    }

    @Test("a wrong or unknown chunk length does no harm", arguments: [MemoryChunks.Hints.wrong, .none])
    func hints(_ hints: MemoryChunks.Hints) throws {
        let chunks = MemoryChunks(hints: hints)
        let folder = TestFolder()
        let tree = variedTree()
        let contents = snapshot(tree, chunks)
        #expect(try restore(contents, chunks, to: folder).errors == [])
        #expect(folder.look() == expected(tree))
        let again = try restore(contents, chunks, to: folder)
        #expect(again.writtenBytes == 0)
        #expect(again.errors == [])
    }

    @Test("a lost chunk costs one file, and no half of it gets its name", arguments: ["large", "one"])
    func lostChunk(name: RawPath) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree = variedTree()
        let contents = snapshot(tree, chunks)
        let scratch = try ChunkScratch()
        let entry = try #require(try findEntry(at: RawPath("/opt").appending(name), in: contents.root, chunks, scratch))
        guard case .stored(let keys) = entry.content else {
            Issue.record("not stored")
            return
        }
        chunks.lose(keys.keys[keys.keys.count / 2])
        let report = try restore(contents, chunks, to: folder)
        #expect(report.errors.map(\.path) == [folder.target.appending("opt").appending(name)])
        var want = expected(tree)
        want["opt/\(name)"] = nil
        #expect(folder.look() == want)
        // Once it is found again, the same restore brings it back.
        chunks.restore(keys.keys[keys.keys.count / 2])
        #expect(try restore(contents, chunks, to: folder).errors == [])
        #expect(folder.look() == expected(tree))
    }

    @Test("a lost part of a folder's listing costs the entries in it, no others")
    func lostListing() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let contents = snapshot([.folder("d", (10..<40).map { .file(RawPath("f\($0)"), noise(2000)) }), .file("z", [1])], chunks)
        guard case .stored(let keys)? = try findEntry(at: "/d", in: contents.root, chunks, try ChunkScratch())?.content else {
            Issue.record("no folder")
            return
        }
        chunks.lose(keys.keys[2])
        let report = try restore(contents, chunks, to: folder)
        #expect(report.errors.map(\.path) == [folder.target.appending("d")])
        let found = folder.look().keys.sorted()
        #expect(found == ["d"] + (10..<40).filter { !(20..<25).contains($0) }.map { "d/f\($0)" } + ["z"])
    }

    @Test("goes down thousands of folders")
    func deep() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        var node = TestNode.folder("d", [.file("leaf", noise(2000))])
        for _ in 0..<1500 { node = .folder("d", mode: 0o711, [node, .file("f", [1])]) }
        let contents = snapshot([node], chunks)
        let report = try restore(contents, chunks, to: folder)
        #expect(report.errors == [])
        #expect(report.files == 1501)
        #expect(report.directories == 1501)
        let second = try restore(contents, chunks, to: folder)
        #expect(second.unchangedFiles == 1501)
        // All of it can be removed again.
        let emptied = try restore(snapshot([], chunks), chunks, to: folder) { $0.deleteExtraneous = true }
        #expect(emptied.errors == [])
        #expect(folder.look().isEmpty)
    }

    @Test("restores only the paths asked for, and the folders on the way")
    func selection() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree: [TestNode] = [
            .folder("a", [.folder("b", [.file("c", [1]), .file("d", [2])]), .folder("e", [.file("f", [3])])]), .file("g", [4]),
        ]
        let report = try restore(snapshot(tree, chunks), chunks, to: folder) { $0.paths = ["/a/b", "/g"] }
        #expect(folder.look().keys.sorted() == ["a", "a/b", "a/b/c", "a/b/d", "g"])
        #expect(report.files == 3)
        #expect(throws: ArchiveError.self) { try restore(snapshot(tree, chunks), chunks, to: folder) { $0.paths = ["/a/x"] } }
    }

    @Test("a dry run changes nothing and tells what would be written")
    func dryRun() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let contents = snapshot(variedTree(), chunks)
        let dry = try restore(contents, chunks, to: folder) { $0.dryRun = true }
        #expect(!folder.exists("t"))
        let wet = try restore(contents, chunks, to: folder)
        #expect(dry.writtenBytes == wet.writtenBytes)
        #expect(dry.files == wet.files)
        folder.write("t/opt/one", [9])
        let before = folder.look()
        let second = try restore(contents, chunks, to: folder) { $0.dryRun = true }
        #expect(second.writtenBytes == 700)
        #expect(second.unchangedFiles == second.files - 1)
        #expect(folder.look() == before)
    }
}
