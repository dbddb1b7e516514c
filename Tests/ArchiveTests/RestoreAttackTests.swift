import Archive
import BackupFormat
import Glibc
import Synchronization
import Testing

struct RestoreAttackTests {
    /// A folder outside of the target, and what it holds.
    private func outside(_ folder: TestFolder) -> () -> Bool {
        folder.makeFolder("outside")
        folder.write("outside/file", [1, 2, 3])
        let path = folder.path + "/outside"
        return {
            guard let status = statusOf(path + "/file") else { return false }
            return folder.read("outside/file") == [1, 2, 3] && status.st_mode == S_IFREG | 0o644
                && !folder.exists("outside/sub") && !folder.exists("outside/new")
        }
    }

    @Test("follows no link planted in the target", arguments: [true, false])
    func plantedLinks(deletes: Bool) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let isUntouched = outside(folder)
        folder.makeFolder("t")
        symlink("../outside", folder.path + "/t/dir")
        symlink("../outside/file", folder.path + "/t/file")
        symlink(folder.path + "/outside/new", folder.path + "/t/other")
        symlink("../outside", folder.path + "/t/.bakare-restore")
        let tree: [TestNode] = [
            .folder("dir", [.file("file", noise(5000)), .folder("sub", [])]), .file("file", [9], mode: 0o600),
            .file("other", noise(5000)),
        ]
        let report = try restore(snapshot(tree, chunks), chunks, to: folder) { $0.deleteExtraneous = deletes }
        #expect(report.errors == [])
        #expect(isUntouched())
        #expect(folder.look() == expected(tree))
    }

    @Test("follows no link that is put in the place of a folder during the restore")
    func swappedFolders() throws {
        for attempt in 1..<12 {
            let chunks = MemoryChunks()
            let folder = TestFolder()
            let isUntouched = outside(folder)
            var node = TestNode.folder("d", [.file("file", noise(4000))])
            for _ in 0..<8 { node = .folder("d", [.file("file", noise(4000)), node]) }
            let contents = snapshot([node], chunks)
            chunks.onRead { reads in
                guard reads % attempt == 0 else { return }
                for depth in 1..<8 {
                    let path = folder.path + "/t" + String(repeating: "/d", count: depth)
                    rename(path, folder.path + "/moved\(reads)")
                    symlink(folder.path + "/outside", path)
                    if reads % 2 == 0 { break }
                }
            }
            _ = try restore(contents, chunks, to: folder)
            #expect(isUntouched())
        }
    }

    @Test("changes nothing of a file that a planted hard link shares")
    func plantedHardLink() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let isUntouched = outside(folder)
        folder.makeFolder("t")
        link(folder.path + "/outside/file", folder.path + "/t/same")
        link(folder.path + "/outside/file", folder.path + "/t/different")
        let tree: [TestNode] = [.file("same", [1, 2, 3], mode: 0o777), .file("different", noise(3000), mode: 0o777)]
        #expect(try restore(snapshot(tree, chunks), chunks, to: folder).errors == [])
        #expect(isUntouched())
        #expect(folder.look() == expected(tree))
    }

    @Test("a file put in place of one that is right already gains nothing of its metadata", arguments: [700, 80_000])
    func swappedFile(size: Int) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let node = TestNode.file("program", noise(size), mode: 0o4755)
        let contents = snapshot([node], chunks)
        try restore(contents, chunks, to: folder)
        chmod(folder.path + "/t/program", 0o755)
        folder.write("evil", [6])
        chmod(folder.path + "/evil", 0o700)
        // Once its content has been compared, and before its mode is set.
        chunks.onKey { rename(folder.path + "/evil", folder.path + "/t/program") }
        try restore(contents, chunks, to: folder)
        let status = try #require(statusOf(folder.path + "/t/program"))
        #expect(folder.read("t/program") == [6])
        #expect(status.st_mode & 0o7777 == 0o700)
    }

    @Test("refuses a staging folder that others may write to")
    func foreignStaging() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        folder.makeFolder("t")
        folder.makeFolder("t/.bakare-restore")
        chmod(folder.path + "/t/.bakare-restore", 0o777)
        #expect(throws: ArchiveError.self) { try restore(snapshot([.file("x", [1])], chunks), chunks, to: folder) }
        #expect(!folder.exists("t/x"))
    }

    @Test("clears away what a killed restore left")
    func staleStaging() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        folder.makeFolder("t")
        folder.makeFolder("t/.bakare-restore")
        folder.makeFolder("t/.bakare-restore/0")
        folder.makeFolder("t/.bakare-restore/links")
        folder.write("t/.bakare-restore/0/half", [1])
        // From another snapshot: must never be linked to.
        folder.write("t/.bakare-restore/links/1-5", [66])
        let node = TestNode.file("x", [1]).with {
            $0.inode = 5
            $0.linkCount = 2
        }
        #expect(try restore(snapshot([node], chunks), chunks, to: folder).errors == [])
        #expect(folder.look() == expected([node]))
    }

    @Test("two restores into one target do not disturb each other")
    func concurrent() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let contents = snapshot([.file("x", noise(5000))], chunks)
        let refused = Mutex<ArchiveError?>(nil)
        chunks.onRead { reads in
            guard refused.withLock({ $0 }) == nil else { return }
            do { try restore(contents, MemoryChunks(), to: folder) } catch let error as ArchiveError {
                refused.withLock { $0 = error }
            } catch {}
        }
        #expect(try restore(contents, chunks, to: folder).errors == [])
        #expect(refused.withLock { $0?.code } == .usage)
        #expect(folder.read("t/x") == noise(5000))
    }
}
