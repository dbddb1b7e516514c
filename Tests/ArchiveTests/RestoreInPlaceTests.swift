import Archive
import BackupFormat
import Glibc
import Synchronization
import Testing

struct RestoreInPlaceTests {
    @Test("restores in place and rewrites only what differs")
    func onlyDifferences() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree = variedTree()
        let contents = snapshot(tree, chunks)
        try restore(contents, chunks, to: folder)
        let kept = statusOf(folder.path + "/t/opt/exact")?.st_ino
        // One byte of a large file, with its time set back; a changed mode; a missing file; a link elsewhere.
        let large = open(folder.path + "/t/opt/large", O_WRONLY)
        #expect(pwrite(large, [noise(300_000, 3)[150_500] ^ 1], 1, 150_500) == 1)
        var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1_600_000_000, tv_nsec: 123_456_789)]
        futimens(large, &times)
        close(large)
        chmod(folder.path + "/t/opt/exact", 0o777)
        unlink(folder.path + "/t/opt/tiny")
        unlink(folder.path + "/t/opt/link")
        symlink("elsewhere", folder.path + "/t/opt/link")
        chmod(folder.path + "/t/opt/shut", 0o777)
        let report = try restore(contents, chunks, to: folder)
        #expect(report.errors == [])
        #expect(report.writtenBytes == 300_005)
        #expect(report.unchangedFiles == report.files - 4)
        #expect(folder.look() == expected(tree))
        #expect(statusOf(folder.path + "/t/opt/exact")?.st_ino == kept)
    }

    @Test("after a restore that was cut off, what it gave names to is compared, also where nothing is to be overwritten")
    func afterCut() throws {
        for kept in [0, 30_000, 60_000] { try afterCut(leaving: kept) }
    }

    /// Of a file with its name and time no more than the first bytes, and these zero, are on the disk.
    private func afterCut(leaving keptBytes: Int) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let content = noise(60_000)
        let tree = [TestNode.file("empty on the disk", content), TestNode.file("the user's", content)]
        let contents = snapshot(tree, chunks)
        try restore(contents, chunks, to: folder)
        var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 0, tv_nsec: 0)]
        times[1] = try #require(statusOf(folder.path + "/t/empty on the disk")).st_mtim
        folder.write("t/empty on the disk", [UInt8](repeating: 0, count: keptBytes))
        #expect(utimensat(AT_FDCWD, folder.path + "/t/empty on the disk", &times, 0) == 0)
        folder.write("t/the user's", [1, 2, 3])
        try restore(contents, chunks, to: folder) { $0.overwrite = .never }
        #expect(folder.read("t/empty on the disk")?.allSatisfy { $0 == 0 } == true)
        folder.makeFolder("t/.bakare-restore")
        // One that is stopped at once changes nothing of that.
        let stopped = Progress()
        stopped.stop()
        #expect(throws: ArchiveError.self) {
            try restore(contents, chunks, to: folder, progress: stopped) { $0.overwrite = .never }
        }
        let report = try restore(contents, chunks, to: folder) { $0.overwrite = .never }
        #expect(report.errors == [] && report.unchangedFiles == 1)
        #expect(folder.read("t/empty on the disk") == content)
        #expect(folder.read("t/the user's") == [1, 2, 3])
        #expect(statusOf(folder.path + "/t/.bakare-restore") == nil)
    }

    @Test("takes the right parts of a changed file from that file, not from the vault")
    func localParts() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let content = noise(100_000)
        let contents = snapshot([.file("file", content)], chunks)
        folder.makeFolder("t")
        var other = content
        other[50_000] ^= 1
        folder.write("t/file", other + [1, 2, 3])
        let before = chunks.reads
        try restore(contents, chunks, to: folder)
        #expect(folder.read("t/file") == content)
        #expect(chunks.reads - before <= 3)
    }

    @Test("gives holes back their zeros")
    func filledHole() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let content = [UInt8](repeating: 0, count: 20_000) + noise(5000)
        let node = TestNode.file("file", content).with { $0.extents = [Extent(offset: 20_000, length: 5000)] }
        folder.makeFolder("t")
        var other = content
        other[777] = 7
        folder.write("t/file", other)
        try restore(snapshot([node], chunks), chunks, to: folder)
        #expect(folder.look() == expected([node]))
    }

    @Test("replaces one type by another", arguments: EntryType.allCases, EntryType.allCases)
    func types(_ before: EntryType, _ after: EntryType) throws {
        func node(_ type: EntryType) -> TestNode {
            switch type {
            case .file: .file("x", noise(3000))
            case .directory: .folder("x", [])
            case .symlink: .link("x", to: "/etc")
            default: .special("x", type, device: type == .fifo || type == .socket ? 0 : 0x103)
            }
        }
        let chunks = MemoryChunks()
        let folder = TestFolder()
        try restore(snapshot([node(before)], chunks), chunks, to: folder)
        let report = try restore(snapshot([node(after)], chunks), chunks, to: folder)
        #expect(report.errors == [])
        #expect(folder.look() == expected([node(after)]))
    }

    @Test("a folder with content is not replaced by a file, but with --delete")
    func fullFolder() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        try restore(snapshot([.folder("x", [.file("y", [1])])], chunks), chunks, to: folder)
        let contents = snapshot([.file("x", [2])], chunks)
        let refused = try restore(contents, chunks, to: folder)
        #expect(refused.errors.map(\.path) == [folder.target.appending("x")])
        #expect(folder.read("t/x/y") == [1])
        #expect(try restore(contents, chunks, to: folder) { $0.deleteExtraneous = true }.errors == [])
        #expect(folder.read("t/x") == [2])
    }

    @Test("removes what the snapshot lacks, only with --delete and only inside what was backed up")
    func deletion() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree: [TestNode] = [.folder("home", [.folder("user", [.file("a", [1]), .folder("sub", [.file("b", [2])])])])]
        let contents = snapshot(tree, chunks, paths: ["/home/user"])
        try restore(contents, chunks, to: folder)
        for name in ["t/beside", "t/home/beside", "t/home/user/extra", "t/home/user/sub/extra"] { folder.write(name, [9]) }
        folder.makeFolder("t/home/user/folder")
        folder.makeFolder("outside")
        folder.write("outside/precious", [1])
        symlink(folder.path + "/outside", folder.path + "/t/home/user/folder/link")
        #expect(try restore(contents, chunks, to: folder).deleted == 0)
        #expect(folder.exists("t/home/user/extra"))
        let dry = try restore(contents, chunks, to: folder) { ($0.deleteExtraneous, $0.dryRun) = (true, true) }
        #expect(dry.deleted == 4)
        #expect(folder.exists("t/home/user/extra"))
        let report = try restore(contents, chunks, to: folder) { $0.deleteExtraneous = true }
        #expect(report.errors == [])
        #expect(report.deleted == 4)
        #expect(
            folder.look().keys.sorted() == [
                "beside", "home", "home/beside", "home/user", "home/user/a", "home/user/sub", "home/user/sub/b",
            ])
        #expect(folder.read("outside/precious") == [1])
    }

    @Test("removes nothing from a folder of which not all was read")
    func deletionFromIncomplete() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree: [TestNode] = [
            .folder("part", [.folder("whole", [.file("b", [2])])]).with { $0.marks = .incomplete },
            .folder("mount", []).with { $0.marks = [.incomplete, .mountPoint] }, .folder("whole", []),
        ]
        let contents = snapshot(tree, chunks)
        try restore(contents, chunks, to: folder)
        for name in ["part", "part/whole", "mount", "whole"] { folder.write("t/\(name)/extra", [9]) }
        let report = try restore(contents, chunks, to: folder) { $0.deleteExtraneous = true }
        #expect(report.errors == [])
        #expect(report.deleted == 2)
        #expect(folder.exists("t/part/extra") && folder.exists("t/mount/extra"))
        #expect(!folder.exists("t/part/whole/extra") && !folder.exists("t/whole/extra"))
    }

    @Test("neither removes nor empties what is forbidden")
    func forbidden() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        for name in ["t", "t/a", "t/a/home", "t/home"] { folder.makeFolder(name) }
        for name in ["t/a/home/key", "t/home/key", "t/a/extra"] { folder.write(name, [1]) }
        let homes = try ["t/a/home", "t/home"].map { name in
            let status = try #require(statusOf(folder.path + "/" + name))
            return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        }
        let report = try restore(snapshot([.folder("home", [])], chunks), chunks, to: folder) {
            $0.deleteExtraneous = true
            $0.forbidden = homes
        }
        #expect(report.errors.map(\.path) == [folder.target.appending("a")])
        #expect(folder.read("t/a/home/key") == [1] && folder.read("t/home/key") == [1])
        #expect(!folder.exists("t/a/extra"))
    }

    @Test("nothing is removed from a folder whose listing is lost")
    func deletionWithLostTree() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        let tree: [TestNode] = [.folder("d", (0..<20).map { .file(RawPath("f\($0)"), [1]) })]
        let contents = snapshot(tree, chunks)
        try restore(contents, chunks, to: folder)
        let scratch = try ChunkScratch()
        let entry = try findEntry(at: "/d", in: contents.root, chunks, scratch)
        guard case .stored(let keys)? = entry?.content else { return }
        for key in keys.keys { chunks.lose(key) }
        let report = try restore(contents, chunks, to: folder) { $0.deleteExtraneous = true }
        #expect(report.deleted == 0)
        #expect(!report.errors.isEmpty)
        #expect(folder.look().count == 21)
    }

    @Test("--overwrite never keeps what is there, if-newer what is not older")
    func overwrite() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        folder.makeFolder("t")
        let time = Timestamp(seconds: 2_000_000_000, nanoseconds: 0)
        let tree: [TestNode] = [
            .file("old", noise(5000)), .file("new", noise(5000)).with { $0.modified = time }, .file("missing", noise(5000)),
        ]
        let contents = snapshot(tree, chunks)
        folder.write("t/old", [1])
        folder.write("t/new", [2])
        #expect(try restore(contents, chunks, to: folder) { $0.overwrite = .never }.errors == [])
        #expect(folder.read("t/old") == [1])
        #expect(folder.read("t/new") == [2])
        #expect(folder.read("t/missing") == noise(5000))
        #expect(try restore(contents, chunks, to: folder) { $0.overwrite = .ifNewer }.errors == [])
        #expect(folder.read("t/old") == [1])
        #expect(folder.read("t/new") == noise(5000))
    }

    @Test("names of one file are one file again, whatever its type and size, and stay so")
    func hardLinks() throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        func linked(_ node: TestNode, _ inode: UInt64) -> TestNode {
            node.with {
                $0.inode = inode
                $0.linkCount = 3
            }
        }
        let big = noise(80_000)
        let tree: [TestNode] = [
            linked(.file("a1", big), 10), linked(.file("b1", [1, 2]), 11), linked(.link("c1", to: "x"), 12),
            linked(.special("d1", .fifo), 13),
            .folder("f", [linked(.file("a2", big), 10), linked(.file("b2", [1, 2]), 11), linked(.link("c2", to: "x"), 12)]),
            linked(.file("a3", big), 10), linked(.special("d2", .fifo), 13), .file("other", big),
        ]
        let contents = snapshot(tree, chunks)
        func check() {
            func inode(_ name: String) -> UInt { statusOf(folder.path + "/t/" + name)?.st_ino ?? 0 }
            #expect(folder.look() == expected(tree))
            #expect(inode("a1") == inode("f/a2") && inode("a1") == inode("a3"))
            #expect(inode("b1") == inode("f/b2"))
            #expect(inode("c1") == inode("f/c2"))
            #expect(inode("d1") == inode("d2"))
            #expect(inode("a1") != inode("other"))
        }
        #expect(try restore(contents, chunks, to: folder).errors == [])
        check()
        let again = try restore(contents, chunks, to: folder)
        #expect(again.errors == [])
        #expect(again.unchangedFiles == again.files)
        check()
        unlink(folder.path + "/t/f/a2")
        unlink(folder.path + "/t/b1")
        folder.write("t/b1", [1, 2])
        unlink(folder.path + "/t/other")
        link(folder.path + "/t/a1", folder.path + "/t/other")
        #expect(try restore(contents, chunks, to: folder).errors == [])
        check()
    }

    @Test("files that only seem to be names of one file stay two", arguments: [3, 80_000])
    func falseLinks(size: Int) throws {
        let chunks = MemoryChunks()
        let folder = TestFolder()
        // One of a disk that is away, one of another that has its number now.
        let tree: [TestNode] = [TestNode.file("a", noise(size, 1)), TestNode.file("b", noise(size, 2))].map { node in
            node.with {
                $0.inode = 12
                $0.linkCount = 2
            }
        }
        #expect(try restore(snapshot(tree, chunks), chunks, to: folder).errors == [])
        #expect(folder.look() == expected(tree))
    }

    @Test("goes on after it was stopped at any read, and nothing half-written was named")
    func interruptions() throws {
        let tree = variedTree()
        let whole = expected(tree)
        var stop = 1
        while true {
            let chunks = MemoryChunks()
            let folder = TestFolder()
            let contents = snapshot(tree, chunks)
            let progress = Progress()
            let at = stop
            chunks.onRead { if $0 == at { progress.stop() } }
            do {
                try restore(contents, chunks, to: folder, progress: progress)
                break
            } catch let error as ArchiveError {
                #expect(error.code == .interrupted)
            }
            for (path, seen) in folder.look() where seen.type != S_IFDIR { #expect(seen == whole[path], "\(path)") }
            #expect(!folder.exists("t/.bakare-restore"))
            let report = try restore(contents, chunks, to: folder)
            #expect(report.errors == [])
            #expect(folder.look() == whole)
            stop += stop / 6 + 1
        }
        #expect(stop > 50)
    }
}
