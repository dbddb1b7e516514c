import Archive
import BackupFormat
import Foundation
import Testing

struct DumpTests {
    /// What a dump writes, and the problems that it names.
    private func dump(_ contents: SnapshotContents, _ chunks: MemoryChunks, _ path: RawPath) throws -> ([UInt8], [FileProblem]) {
        let folder = TestFolder()
        let file = open(folder.path + "/out", O_RDWR | O_CREAT, 0o600)
        defer { close(file) }
        var problems: [FileProblem] = []
        try dumpSnapshot(contents, at: path, to: file, chunks, Progress(), problem: { problems.append($0) })
        return (folder.read("out") ?? [], problems)
    }

    @Test("writes one file's bytes, holes as zeros")
    func files() throws {
        let chunks = MemoryChunks()
        let contents = snapshot(variedTree(), chunks, levels: 1)
        for (path, seen) in expected(variedTree()) where seen.type == 0o100000 && path.allSatisfy(\.isASCII) {
            #expect(try dump(contents, chunks, RawPath("/" + path)).0 == seen.content, "\(path)")
        }
        #expect(throws: ArchiveError.self) { try dump(contents, chunks, "/opt/link") }
        #expect(throws: ArchiveError.self) { try dump(contents, chunks, "/nowhere") }
    }

    @Test("writes a folder as an archive that tar unpacks to the same")
    func archive() throws {
        let chunks = MemoryChunks()
        let contents = snapshot(variedTree(), chunks)
        let (bytes, problems) = try dump(contents, chunks, "/opt")
        #expect(problems.map(\.path) == ["/opt/socket"])
        #expect(bytes.count % 10240 == 0)
        let folder = TestFolder()
        folder.makeFolder("t")
        folder.write("a.tar", bytes)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/tar")
        process.arguments = [
            "-xpf", folder.path + "/a.tar", "-C", folder.path + "/t", "--xattrs", "--xattrs-include=*", "--numeric-owner",
        ]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        var want = expected(variedTree())
        want["opt/socket"] = nil
        let seen = folder.look()
        for (path, one) in want { #expect(seen[path] == one, "\(path)") }
        #expect(seen.count == want.count)
    }

    @Test("files that only seem to be names of one file both stand in the archive")
    func falseLinks() throws {
        let chunks = MemoryChunks()
        let nodes = ["a", "b"].map { name in
            TestNode.file(RawPath(name), Array("content of \(name)".utf8)).with {
                $0.inode = 12
                $0.linkCount = 2
            }
        }
        let (bytes, _) = try dump(snapshot([.folder("d", nodes)], chunks), chunks, "/d")
        for name in ["a", "b"] {
            let content = Array("content of \(name)".utf8)
            #expect(stride(from: 0, to: bytes.count, by: 512).contains { bytes[$0...].starts(with: content) })
        }
    }

    @Test("lost bytes are zeros in an archive and named, and the rest is whole")
    func lost() throws {
        let chunks = MemoryChunks()
        let content = noise(5500)
        let contents = snapshot([.folder("d", [.file("a", content), .file("b", [1, 2])])], chunks)
        guard case .stored(let keys)? = try findEntry(at: "/d/a", in: contents.root, chunks, try ChunkScratch())?.content else {
            return
        }
        chunks.lose(keys.keys[2])
        let (bytes, problems) = try dump(contents, chunks, "/d")
        #expect(problems.map(\.path) == ["/d/a"])
        var want = content
        want.replaceSubrange(2000..<3000, with: [UInt8](repeating: 0, count: 1000))
        #expect(bytes.count % 10240 == 0)
        let start = 2 * 3 * 512
        #expect(Array(bytes[start..<start + 5500]) == want)
        #expect(throws: ArchiveError.self) { try dump(contents, chunks, "/d/a") }
    }
}
