import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

@Suite("Directories, files and attributes by handle")
struct DirectoryHandleTests {
    @Test("tells what a file is")
    func status() throws {
        let folder = try TestFolder()
        folder.write("file", [1, 2, 3], mode: 0o640)
        folder.link("link", to: "file")
        let status = try folder.status("file")
        #expect(status.type == .file && status.size == 3 && status.permissions == 0o640 && status.linkCount == 1)
        #expect(try folder.status("link").type == .symlink)
        #expect(!status.isMountRoot)
        #expect(try folder.handle.status().type == .directory)
        let proc = try DirectoryHandle.open("/")
        #expect(try RawPath("proc").withBytes { n throws(HostFilesError) in try proc.status(of: n) }.isMountRoot)
        let null = try DirectoryHandle.open("/dev")
        let device = try RawPath("null").withBytes { n throws(HostFilesError) in try null.status(of: n) }
        #expect(device.type == .characterDevice && device.deviceNumber == linux_makedev(1, 3))
        #expect(throws: HostFilesError.self) { try folder.status("missing") }
        #expect(try RawPath("missing").withBytes { n throws(HostFilesError) in try folder.handle.statusIfPresent(of: n) } == nil)
    }

    @Test("times before 1970 and far after come as they are")
    func times() throws {
        let folder = try TestFolder()
        folder.write("file")
        for seconds in [Int64(-1), -2_000_000_000, 0, 4_000_000_000, 10_000_000_000] {
            let set = linux_set_mtime(folder.fd, "file", 4, seconds, 123_456_789)
            #expect(set == 0)
            #expect(try folder.status("file").modified == Timestamp(seconds: seconds, nanoseconds: 123_456_789))
        }
    }

    @Test("never goes through a symlink")
    func symlinks() throws {
        let folder = try TestFolder()
        folder.makeDirectory("real")
        folder.write("real/file", [1])
        folder.link("alias", to: "real")
        folder.link("file", to: "real/file")
        #expect(throws: HostFilesError.self) {
            try RawPath("alias").withBytes { n throws(HostFilesError) in try folder.handle.openDirectory(n) }
        }
        let error = #expect(throws: HostFilesError.self) { try folder.content("file") }
        #expect(error?.code == .changed)
        #expect(
            try RawPath("alias").withBytes { n throws(HostFilesError) in try folder.handle.readLink(n) } == Array("real".utf8))
        let long = RawPath(bytes: Array(repeating: 0x78, count: 4095))
        folder.link("long", to: long)
        #expect(try RawPath("long").withBytes { n throws(HostFilesError) in try folder.handle.readLink(n) } == long.bytes)
    }

    @Test("a FIFO or socket in place of a file neither blocks nor opens")
    func replaced() throws {
        let folder = try TestFolder()
        #expect(folder.makeNode("pipe", mode: linux_S_IFIFO | 0o600) == 0)
        #expect(folder.makeNode("socket", mode: linux_S_IFSOCK | 0o600) == 0)
        folder.makeDirectory("folder")
        for name in ["pipe", "socket", "folder"] {
            let error = #expect(throws: HostFilesError.self) { try folder.content(RawPath(name)) }
            #expect(error?.code == .changed)
        }
    }

    @Test("opens paths through symlinks and dots, and says where they lead")
    func resolving() throws {
        let folder = try TestFolder()
        folder.makeDirectory("a")
        folder.makeDirectory("a/b")
        folder.link("a/b/up", to: "../../a/./b/..")
        folder.link("absolute", to: folder.path.appending("a/b"))
        folder.link("circle", to: "circle")
        let resolved = try DirectoryHandle.resolve(folder.path.appending("absolute/up/b"))
        #expect(resolved.path == folder.path.appending("a").appending("b"))
        #expect(try resolved.directory.status().inode == folder.status("a/b").inode)
        let error = #expect(throws: HostFilesError.self) { try DirectoryHandle.open(folder.path.appending("circle")) }
        #expect(error?.code == .tooManyLinks)
        let parent = try DirectoryHandle.openParent(of: folder.path.appending("absolute"))
        #expect(parent.name == "absolute")
        #expect(try parent.directory.status().inode == folder.handle.status().inode)
        #expect(try DirectoryHandle.openParent(of: "/").name == nil)
        folder.write("file")
        let notFolder = #expect(throws: HostFilesError.self) { try DirectoryHandle.open(folder.path.appending("file")) }
        #expect(notFolder?.code == .notADirectory)
    }

    @Test("goes 3,000 levels down, where no path reaches")
    func depth() throws {
        let folder = try TestFolder()
        let name = RawPath("a-directory-name-of-some-length")
        var fd = linux_dup(folder.fd)
        var path = folder.path
        for _ in 0..<3_000 {
            let made = name.bytes.withUnsafeBytes { linux_mkdirat(fd, $0.baseAddress, $0.count, 0o755) }
            #expect(made == 0)
            let next = name.bytes.withUnsafeBytes {
                linux_openat(fd, $0.baseAddress, $0.count, linux_O_RDONLY | linux_O_DIRECTORY, 0)
            }
            close(fd)
            fd = next
            path = path.appending(name)
        }
        defer { close(fd) }
        let deepest = try DirectoryHandle.open(path)
        var status = linux_status()
        #expect(linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &status) == 0)
        #expect(try deepest.status().inode == status.inode)
        let link = RawPath("link")
        let made = link.bytes.withUnsafeBytes { linux_symlinkat("x", 1, fd, $0.baseAddress, $0.count) }
        #expect(made == 0)
        #expect(try link.withBytes { n throws(HostFilesError) in try deepest.extendedAttributes(of: n) }.isEmpty)
    }

    @Test("reads attributes of every type of file, empty ones and ACLs too, sorted")
    func attributes() throws {
        let folder = try TestFolder()
        folder.write("file")
        folder.makeDirectory("folder")
        folder.link("link", to: "file")
        #expect(folder.makeNode("pipe", mode: linux_S_IFIFO | 0o600) == 0)
        #expect(try RawPath("file").withBytes { n throws(HostFilesError) in try folder.handle.extendedAttributes(of: n) }.isEmpty)
        let large = [UInt8](repeating: 7, count: 3_000)
        #expect(folder.setAttribute("file", "user.z", [1, 2]) == 0)
        #expect(folder.setAttribute("file", "user.a", []) == 0)
        #expect(folder.setAttribute("file", "user.large", large) == 0)
        let file = try RawPath("file").withBytes { n throws(HostFilesError) in try folder.handle.openFile(n) }
        let expected = [("user.a", []), ("user.large", large), ("user.z", [1, 2])].map {
            ExtendedAttribute(name: Array($0.0.utf8), value: $0.1)
        }
        #expect(try file.extendedAttributes() == expected)
        #expect(
            try RawPath("file").withBytes { n throws(HostFilesError) in try folder.handle.extendedAttributes(of: n) } == expected)
        if isRoot {
            for name in ["folder", "link", "pipe"] as [RawPath] {
                #expect(folder.setAttribute(name, "trusted.mark", [9]) == 0)
                let found = try name.withBytes { n throws(HostFilesError) in try folder.handle.extendedAttributes(of: n) }
                #expect(found == [ExtendedAttribute(name: Array("trusted.mark".utf8), value: [9])])
            }
            #expect(runShell("setfacl -m u:1234:rwx,d:g:77:r \(folder.path)/folder") == 0)
            let found = try RawPath("folder").withBytes { n throws(HostFilesError) in try folder.handle.openDirectory(n) }
                .extendedAttributes()
            #expect(
                found.map { String(decoding: $0.name, as: UTF8.self) } == [
                    "system.posix_acl_access", "system.posix_acl_default", "trusted.mark",
                ])
        }
    }

    @Test("finds the data of sparse files: holes at the start, in the middle, at the end, nothing but hole")
    func sparse() throws {
        let folder = try TestFolder()
        let block = [UInt8](repeating: 1, count: 65_536)
        func make(_ name: RawPath, size: Int64, data: [Int64]) throws -> [Extent]? {
            let fd = folder.openat(name, linux_O_RDWR | linux_O_CREAT, 0o600)
            defer { close(fd) }
            #expect(linux_ftruncate(fd, size) == 0)
            for offset in data {
                #expect(block.withUnsafeBytes { linux_pwrite_full(fd, $0.baseAddress, $0.count, offset) } == 0)
            }
            let file = try name.withBytes { n throws(HostFilesError) in try folder.handle.openFile(n) }
            return try file.dataExtents(of: file.status)
        }
        let mib: Int64 = 1 << 20
        #expect(
            try make("middle", size: 2 * mib, data: [0, 2 * mib - 65_536])
                == [Extent(offset: 0, length: 65_536), Extent(offset: UInt64(2 * mib - 65_536), length: 65_536)])
        #expect(try make("ends", size: 2 * mib, data: [mib]) == [Extent(offset: UInt64(mib), length: 65_536)])
        #expect(try make("all", size: mib, data: []) == [])
        #expect(try make("none", size: 65_536, data: [0]) == nil)
        #expect(try make("empty", size: 0, data: []) == nil)
    }

    @Test("finds the data of a file with holes that grew or shrank since it was opened, within the size that is asked for")
    func changedSparse() throws {
        let folder = try TestFolder()
        let mib: UInt64 = 1 << 20
        let fd = folder.openat("file", linux_O_RDWR | linux_O_CREAT, 0o600)
        defer { close(fd) }
        func write(at offset: UInt64) { #expect(linux_pwrite_full(fd, [7], 1, Int64(offset)) == 0) }
        write(at: 2 * mib)
        let name: RawPath = "file"
        let file = try name.withBytes { name throws(HostFilesError) in try folder.handle.openFile(name) }
        write(at: 8 * mib)
        let now = try file.currentStatus()
        let extents = try #require(try file.dataExtents(of: now))
        #expect(extents.contains { $0.offset <= 8 * mib && 8 * mib < $0.offset + $0.length })
        #expect(extents.allSatisfy { $0.offset + $0.length <= now.size })
        let before = try #require(try file.dataExtents(of: file.status))
        #expect(before.count == 1 && before.allSatisfy { $0.offset + $0.length <= file.status.size })
        #expect(linux_ftruncate(fd, Int64(mib)) == 0)
        #expect(try file.dataExtents(of: try file.currentStatus()) == [])
    }

    @Test("of too many parts the smallest holes are given up first")
    func manyHoles() {
        // Holes of 1, 10, 100, 1,000 and 100,000 bytes between single bytes.
        var extents: [Extent] = []
        var position: UInt64 = 0
        for round in 0..<100 as Range<UInt64> {
            for hole in [1, 10, 100, 1000, 100_000] as [UInt64] {
                extents.append(Extent(offset: position + round % 2, length: 1))
                position += 1 + hole
            }
        }
        let all = extents
        let smallest = fillHoles(of: &extents, largerThan: 1)
        #expect(extents.count <= all.count / 2 && extents.count >= 100)
        #expect(smallest <= 1000)
        for (a, b) in zip(extents, extents.dropFirst()) { #expect(b.offset >= a.offset + a.length + smallest - 1) }
        for one in all { #expect(extents.contains { $0.offset <= one.offset && one.offset + 1 <= $0.offset + $0.length }) }
    }

    @Test("reads at any place, and says when a file grew meanwhile")
    func reading() throws {
        let folder = try TestFolder()
        let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        folder.write("file", content)
        let file = try RawPath("file").withBytes { n throws(HostFilesError) in try folder.handle.openFile(n) }
        file.willReadSequentially()
        file.willNeed(offset: 0, length: 100_000)
        var buffer = [UInt8](repeating: 0, count: 1_000)
        #expect(try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 99_500) } == 500)
        #expect(Array(buffer[..<500]) == Array(content[99_500...]))
        #expect(try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 1 << 62) } == 0)
        #expect(try file.currentStatus() == file.status)
        folder.write("file", content + [1])
        #expect(try file.currentStatus() != file.status)
    }
}
