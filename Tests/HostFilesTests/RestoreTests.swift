import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

@Suite("Bringing files back")
struct RestoreTests {
    let folder: TestFolder
    let target: RestoreTarget

    init() throws {
        folder = try TestFolder()
        target = try RestoreTarget(opening: folder.path.appending("new/target"))
    }

    func metadata(
        _ mode: UInt16 = 0o644, uid: UInt32 = linux_effective_uid(), gid: UInt32 = linux_effective_gid(), seconds: Int64 = 1_000,
        nanoseconds: UInt32 = 5, attributes: [ExtendedAttribute] = []
    ) -> FileMetadata {
        FileMetadata(
            mode: mode, uid: uid, gid: gid, modified: Timestamp(seconds: seconds, nanoseconds: nanoseconds),
            attributes: attributes)
    }

    func status(_ name: RawPath, in directory: TargetDirectory? = nil) throws -> FileStatus {
        try name.withBytes { n throws(HostFilesError) in try (directory ?? target.root).handle.status(of: n) }
    }

    func attributes(_ name: RawPath) throws -> [ExtendedAttribute] {
        try name.withBytes { n throws(HostFilesError) in try target.root.handle.extendedAttributes(of: n) }
    }

    func restore(_ name: RawPath, _ content: String, _ metadata: FileMetadata) throws -> [HostFilesError] {
        let file = try target.root.stageFile()
        try Array(content.utf8).withUnsafeBytes { try file.write($0, at: 0) }
        return try file.finish(metadata, as: name, in: target.root)
    }

    func content(_ name: RawPath) throws -> String {
        let file = try name.withBytes { n throws(HostFilesError) in try target.root.handle.openFile(n) }
        var bytes = [UInt8](repeating: 0, count: Int(file.status.size))
        _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    func names(_ directory: TargetDirectory) throws -> [RawPath] {
        let listing = SortedListing(scratch: ListingScratch(), spillFolder: folder.path)
        try listing.read(directory.handle)
        var names: [RawPath] = []
        while let entry = try listing.next() { names.append(RawPath(bytes: Array(entry.name))) }
        return names
    }

    @Test("a file comes back with content, mode, times and attributes, under any name")
    func file() throws {
        let names = [RawPath(bytes: [0xff, 0x0a, 0x80]), RawPath(bytes: Array(repeating: 0x61, count: 255)), "plain"]
        for (index, seconds) in [Int64(-1), 10_000_000_000, 0].enumerated() {
            let attributes = [
                ExtendedAttribute(name: Array("user.empty".utf8), value: []),
                ExtendedAttribute(name: Array("user.x".utf8), value: [1, 0, 2]),
            ]
            let wanted = metadata(0o400, seconds: seconds, nanoseconds: 999_999_999, attributes: attributes)
            #expect(try restore(names[index], "content", wanted).isEmpty)
            let found = try status(names[index])
            #expect(found.permissions == 0o400 && found.modified == wanted.modified && found.size == 7)
            #expect(try self.attributes(names[index]) == attributes)
        }
        #expect(try content("plain") == "content")
    }

    @Test("nothing shows under the final name before it is complete, and nothing is left if it never is")
    func staged() throws {
        do {
            let file = try target.root.stageFile()
            try [1, 2, 3].withUnsafeBytes { try file.write($0, at: 0) }
            #expect(try names(target.root) == [RestoreTarget.stagingName])
        }
        #expect(try restore("file", "new", metadata()).isEmpty)
        try target.removeStaging()
        #expect(try names(target.root) == ["file"])
    }

    @Test("what an interrupted restore left is removed by the next, but not what one at work has there")
    func leftovers() throws {
        let path = folder.path.appending("new/target")
        folder.write("new/target/.bakare-restore/left", [1])
        let second = try RestoreTarget(opening: path)
        let staged = RestoreTarget.stagingName
        #expect(try names(try second.root.openDirectory(staged)) == ["left"])
        try second.removeStaging()
        #expect(try names(target.root) == [staged])
        let other = folder.path.appending("other")
        folder.makeDirectory("other")
        folder.makeDirectory("other/.bakare-restore", mode: 0o700)
        folder.makeDirectory("other/.bakare-restore/deep")
        folder.write("other/.bakare-restore/deep/left", [1])
        let third = try RestoreTarget(opening: other)
        #expect(try names(try third.root.openDirectory(staged)).isEmpty)
        try third.removeStaging()
        #expect(try names(third.root).isEmpty)
    }

    @Test("a symlink planted as the staging folder is replaced, not followed")
    func plantedStaging() throws {
        folder.makeDirectory("trap")
        folder.write("trap/precious", [1])
        folder.makeDirectory("planted")
        folder.link("planted/.bakare-restore", to: folder.path.appending("trap"))
        let planted = try RestoreTarget(opening: folder.path.appending("planted"))
        let file = try planted.root.stageFile()
        #expect(try folder.status("trap/precious").size == 1)
        #expect(try names(TargetNames.open(folder, "trap")) == ["precious"])
        _ = try file.finish(metadata(), as: "f", in: planted.root)
    }

    @Test("a symlink planted in place of a folder never leads outside")
    func plantedFolder() throws {
        folder.makeDirectory("outside")
        folder.link("new/target/folder", to: folder.path.appending("outside"))
        #expect(throws: HostFilesError.self) { try target.root.openDirectory("folder") }
        let made = try target.root.makeDirectory("folder")
        let file = try made.stageFile()
        _ = try file.finish(metadata(), as: "inside", in: made)
        #expect(try status("folder").type == .directory)
        #expect(try names(TargetNames.open(folder, "outside")).isEmpty)
        // Planted after the folder was opened: what follows still goes to the folder that was opened.
        #expect(runShell("cd \(folder.path)/new/target && mv folder moved && ln -s \(folder.path)/outside folder") == 0)
        let late = try made.stageFile()
        _ = try late.finish(metadata(), as: "late", in: made)
        _ = try made.makeSymlink("link", to: Array("x".utf8), metadata())
        #expect(try names(TargetNames.open(folder, "outside")).isEmpty)
        #expect(try names(made) == ["inside", "late", "link"])
    }

    @Test("names that are paths are refused", arguments: ["..", ".", "", "a/b", "/etc/x", "nul\0"])
    func badNames(text: String) throws {
        let name = RawPath(text)
        #expect(throws: HostFilesError.self) { try target.root.makeDirectory(name) }
        #expect(throws: HostFilesError.self) { try target.root.openDirectory(name) }
        #expect(throws: HostFilesError.self) { try target.root.remove(name) }
        #expect(throws: HostFilesError.self) { try target.root.makeSymlink(name, to: [0x61], metadata()) }
        #expect(throws: HostFilesError.self) { try restore(name, "x", metadata()) }
    }

    @Test("files replace folders, folders files, symlinks anything")
    func replacing() throws {
        let full = try target.root.makeDirectory("thing")
        let inner = try full.makeDirectory("inner")
        _ = try inner.stageFile().finish(metadata(), as: "file", in: inner)
        #expect(try restore("thing", "file now", metadata()).isEmpty)
        #expect(try content("thing") == "file now")
        _ = try target.root.makeDirectory("thing")
        #expect(try status("thing").type == .directory)
        #expect(try target.root.makeSymlink("thing", to: Array("../x".utf8), metadata(seconds: -5)).isEmpty)
        #expect(
            try RawPath("thing").withBytes { n throws(HostFilesError) in try target.root.handle.readLink(n) }
                == Array("../x".utf8))
        #expect(try status("thing").modified == Timestamp(seconds: -5, nanoseconds: 5))
        #expect(try restore("thing", "again", metadata()).isEmpty)
        #expect(try content("thing") == "again")
    }

    @Test("holes come back as holes")
    func sparse() throws {
        let file = try target.root.stageFile()
        try [UInt8](repeating: 1, count: 4096).withUnsafeBytes { try file.write($0, at: 8 << 20) }
        try [UInt8](repeating: 2, count: 1 << 20).withUnsafeBytes { try file.write($0, at: 0) }
        try file.punchHole(at: 0, length: 1 << 19)
        try file.setSize(64 << 20)
        #expect(try file.finish(metadata(), as: "sparse", in: target.root).isEmpty)
        let found = try RawPath("sparse").withBytes { n throws(HostFilesError) in try target.root.handle.openFile(n) }
        #expect(found.status.size == 64 << 20 && found.status.blocks < 4096)
        #expect(
            try found.dataExtents() == [
                Extent(offset: 1 << 19, length: 1 << 19), Extent(offset: 8 << 20, length: 4096),
            ])
    }

    @Test("ranges are copied from a file that is there")
    func copying() throws {
        #expect(try restore("old", "0123456789", metadata()).isEmpty)
        let old = try RawPath("old").withBytes { n throws(HostFilesError) in try target.root.handle.openFile(n) }
        let file = try target.root.stageFile()
        #expect(try file.copy(from: old, at: 5, to: 0, length: 100) == 5)
        #expect(try file.copy(from: old, at: 0, to: 5, length: 5) == 5)
        #expect(try file.finish(metadata(), as: "old", in: target.root).isEmpty)
        #expect(try content("old") == "5678901234")
    }

    @Test("hard links, of symlinks too, become one file; an impostor is refused")
    func hardLinks() throws {
        #expect(try restore("a", "x", metadata()).isEmpty)
        #expect(try restore("b", "y", metadata()).isEmpty)
        let inode = try status("a").inode
        let sub = try target.root.makeDirectory("sub")
        for _ in 0..<2 {
            try sub.makeHardLink("b", to: "a", in: target.root, inode: inode)
            try target.root.makeHardLink("b", to: "a", in: target.root, inode: inode)
        }
        #expect(try status("a").linkCount == 3 && status("b").inode == inode && status("b", in: sub).inode == inode)
        #expect(throws: HostFilesError.self) { try sub.makeHardLink("c", to: "a", in: target.root, inode: inode + 1) }
        #expect(try names(sub) == ["b"])
        #expect(try target.root.makeSymlink("s", to: Array("a".utf8), metadata()).isEmpty)
        try target.root.makeHardLink("t", to: "s", in: target.root, inode: try status("s").inode)
        #expect(try status("t").type == .symlink && status("t").linkCount == 2)
        try target.removeStaging()
    }

    @Test("FIFOs, sockets and devices come back")
    func nodes() throws {
        #expect(try target.root.makeNode("fifo", .fifo, metadata(0o622)).isEmpty)
        #expect(try target.root.makeNode("socket", .socket, metadata(0o755)).isEmpty)
        #expect(try status("fifo").type == .fifo && status("fifo").permissions == 0o622)
        #expect(try status("socket").type == .socket && status("socket").permissions == 0o755)
        #expect(throws: HostFilesError.self) { try target.root.makeNode("f", .file, metadata()) }
        guard isRoot else { return }
        let number = linux_makedev(259, 70_000)
        #expect(try target.root.makeNode("block", .blockDevice, deviceNumber: number, metadata(0o660, uid: 7, gid: 8)).isEmpty)
        let found = try status("block")
        #expect(found.type == .blockDevice && found.deviceNumber == number && found.uid == 7 && found.gid == 8)
    }

    @Test("owner, set-id bits, ACLs and capabilities survive each other", .enabled(if: isRoot))
    func asRoot() throws {
        folder.write("model", [1], mode: 0o755)
        #expect(runShell("cd \(folder.path) && chown 12:34 model && chmod 6755 model && setfacl -m u:99:rwx model") == 0)
        #expect(runShell("setcap cap_net_raw+ep \(folder.path)/model") == 0)
        let model = try RawPath("model").withBytes { n throws(HostFilesError) in try folder.handle.openFile(n) }
        let attributes = try model.extendedAttributes()
        #expect(attributes.count == 2)
        let wanted = metadata(model.status.permissions, uid: 12, gid: 34, attributes: attributes)
        #expect(try restore("copy", "x", wanted).isEmpty)
        let found = try status("copy")
        #expect(found.permissions == model.status.permissions && found.permissions & 0o6000 == 0o6000)
        #expect(found.uid == 12 && found.gid == 34)
        #expect(try self.attributes("copy") == attributes)
        #expect(try target.root.makeSymlink("link", to: [0x61], metadata(uid: 5, gid: 6)).isEmpty)
        #expect(try status("link").uid == 5 && status("link").gid == 6)
    }

    @Test("a default ACL of the target does not stick to what is restored", .enabled(if: isRoot))
    func defaultACL() throws {
        #expect(runShell("setfacl -m d:u:55:rwx \(folder.path)/new") == 0)
        let inherits = try RestoreTarget(opening: folder.path.appending("new/inherits"))
        let directory = try inherits.root.makeDirectory("d")
        _ = try inherits.root.stageFile().finish(metadata(), as: "f", in: inherits.root)
        #expect(try directory.finish(metadata(0o755), path: "d").isEmpty)
        #expect(try directory.handle.extendedAttributes().isEmpty)
        #expect(
            try RawPath("f").withBytes { n throws(HostFilesError) in try inherits.root.handle.extendedAttributes(of: n) }.isEmpty)
    }

    @Test("a folder's metadata is set last, attributes that it must not have go")
    func folderMetadata() throws {
        let directory = try target.root.makeDirectory("folder")
        _ = try directory.stageFile().finish(metadata(), as: "f", in: directory)
        _ = folder.setAttribute("new/target/folder", "user.extra", [1])
        let kept = ExtendedAttribute(name: Array("user.kept".utf8), value: [2])
        let wanted = metadata(0o1755, seconds: 77, attributes: [kept])
        #expect(try directory.finish(wanted, path: "folder").isEmpty)
        let found = try status("folder")
        #expect(found.permissions == 0o1755 && found.modified == wanted.modified)
        #expect(try attributes("folder") == [kept])
        #expect(try restore("g", "1", metadata()).isEmpty)
        #expect(try target.root.setMetadata("g", metadata(0o600, seconds: 3), status: status("g")).isEmpty)
        #expect(try status("g").permissions == 0o600 && status("g").modified.seconds == 3)
    }

    @Test("without the right to give files away, the owner is a warning and set-id bits are left off", .enabled(if: isRoot))
    func notRoot() throws {
        let path = folder.path.appending("open")
        folder.makeDirectory("open")
        #expect(runShell("chmod 755 \(folder.path); chmod 777 \(path)") == 0)
        // Only this thread becomes another user.
        let result = ConditionLock<(Int, UInt16)?>(nil)
        let thread = try #require(
            WorkerThread(name: "nobody") {
                guard linux_become(65_534, 65_534) == 0 else { return }
                guard let target = try? RestoreTarget(opening: path), let file = try? target.root.stageFile() else { return }
                let metadata = FileMetadata(
                    mode: 0o6755, uid: 0, gid: 0, modified: Timestamp(seconds: 1, nanoseconds: 1), attributes: [])
                guard let problems = try? file.finish(metadata, as: "f", in: target.root) else { return }
                guard
                    let found = try? RawPath("f").withBytes({ n throws(HostFilesError) in try target.root.handle.status(of: n) })
                else { return }
                result.withLock { $0 = (problems.count, found.permissions) }
            })
        thread.join()
        let (problems, permissions) = try #require(result.withLock { $0 })
        #expect(problems == 1 && permissions == 0o755)
    }

    @Test("what is extraneous goes, deep folders too, and no symlink is followed")
    func extraneous() throws {
        folder.makeDirectory("outside")
        folder.write("outside/precious", [1])
        var directory = try target.root.makeDirectory("deep")
        for _ in 0..<1_500 { directory = try directory.makeDirectory("a-longer-name-for-a-directory") }
        _ = try directory.makeSymlink("link", to: folder.path.appending("outside").bytes, metadata())
        _ = try target.root.makeSymlink("link", to: folder.path.appending("outside").bytes, metadata())
        _ = try target.root.makeDirectory("kept")
        _ = try restore("gone", "x", metadata())
        let listing = SortedListing(scratch: ListingScratch(), spillFolder: folder.path)
        for dryRun in [true, false] {
            var removed: [RawPath] = []
            try target.root.removeExtraneous(
                listing, dryRun: dryRun, isWanted: { n throws(HostFilesError) in n.elementsEqual("kept".utf8) },
                removed: { name, error in
                    #expect(error == nil)
                    removed.append(RawPath(bytes: Array(name)))
                })
            #expect(removed == ["deep", "gone", "link"])
        }
        #expect(try names(target.root) == [RestoreTarget.stagingName, "kept"])
        #expect(try folder.status("outside/precious").size == 1)
    }

    @Test("a mount in the way is not emptied", .enabled(if: isRoot))
    func mountInTheWay() throws {
        let way = try target.root.makeDirectory("way")
        _ = try way.makeDirectory("mounted")
        folder.makeDirectory("elsewhere")
        folder.write("elsewhere/precious", [1])
        let from = String(decoding: folder.path.appending("elsewhere").bytes, as: UTF8.self)
        let to = String(decoding: folder.path.appending("new/target/way/mounted").bytes, as: UTF8.self)
        try #require(linux_mount(from, to, "none", 4096, nil) == 0)
        defer { _ = linux_unmount(to) }
        #expect(throws: HostFilesError.self) { try target.root.remove("way") }
        #expect(try folder.status("elsewhere/precious").size == 1)
        // A file for a folder on another mount is made ready in that folder.
        let mounted = try way.openDirectory("mounted")
        let file = try mounted.stageFile()
        #expect(try file.finish(metadata(), as: "f", in: mounted).isEmpty)
        #expect(try names(mounted) == ["f", "precious"])
    }
}

private enum TargetNames {
    static func open(_ folder: TestFolder, _ name: RawPath) throws -> TargetDirectory {
        try RestoreTarget(opening: folder.path).root.openDirectory(name)
    }
}

@Suite("Owners and the machine")
struct MachineTests {
    @Test("names of users and groups, and back; none for numbers that nobody has")
    func owners() {
        var names = OwnerNames()
        for _ in 0..<2 {
            #expect(names.userName(0) == Array("root".utf8))
            #expect(names.groupName(0) == Array("root".utf8))
            #expect(names.userNumber(Array("root".utf8)) == 0)
            #expect(names.groupNumber(Array("root".utf8)) == 0)
            #expect(names.userName(4_000_000_123).isEmpty)
            #expect(names.groupName(4_000_000_123).isEmpty)
            #expect(names.userNumber([0xff, 0xfe]) == nil)
            #expect(names.groupNumber([1, 0, 2]) == nil)
        }
    }

    @Test("tells free space, memory, and raises the limit on open files")
    func figures() throws {
        let space = try FreeSpace(at: "/")
        #expect(space.totalBytes > 0 && space.availableBytes <= space.freeBytes && space.freeBytes <= space.totalBytes)
        #expect(ProcessFigures.memoryBytesPeak() >= 1 << 20)
        #expect(ProcessFigures.memoryBytes() >= 1 << 20)
        #expect(ProcessFigures.raiseOpenFiles() >= 256)
    }
}
