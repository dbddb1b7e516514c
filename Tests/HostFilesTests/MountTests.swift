import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

@Suite("Mounts", .serialized)
struct MountTests {
    @Test("mountinfo is read with its escapes, and lines that make no sense are left out")
    func parsing() {
        let text = #"""
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            40 22 0:35 / /mnt/with\040space\134and\012line rw - fuse.sshfs me@host:/ rw
            nonsense
            41 22 0:36 / /nfs rw shared:3 master:2 - nfs4 host:/x rw
            42 22 0:x / /bad rw - nfs4 host:/x rw
            43 22 0:37 / /ntfs rw - fuseblk /dev/sdb1 rw
            44 22 0:38 / /ctl rw - fusectl none rw
            """#
        let table = MountTable(parsing: Array(text.utf8))
        #expect(table.mounts.map(\.point) == ["/", "/mnt/with space\\and\nline", "/nfs", "/ntfs", "/ctl"])
        #expect(table.mounts.map(\.mayHang) == [false, true, true, true, false])
        #expect(table.mounts[0].device == linux_makedev(254, 0))
    }

    @Test("the mounts of this machine include its root")
    func current() throws {
        #expect(try MountTable.current().mounts.contains { $0.point == "/" })
    }

    @Test("a call that never returns is abandoned, and later ones fail at once")
    func hung() throws {
        let gate = BoundedQueue<Int>(countMax: 1)
        let guarded = SyscallGuard(mountPoint: "/mnt", timeoutMilliseconds: 50)
        #expect(try guarded.run("look at") { 42 } == 42)
        #expect(!guarded.isHung)
        let first = #expect(throws: HostFilesError.self) { try guarded.run("look at") { gate.pop() } }
        #expect(first?.code == .hung)
        #expect(guarded.isHung)
        let second = #expect(throws: HostFilesError.self) { try guarded.run("look at") { 1 } }
        #expect(second?.code == .hung)
        gate.close()
    }

    @Test("many threads share a guard, and get their own answers")
    func shared() throws {
        let guarded = SyscallGuard(mountPoint: "/mnt")
        let wrong = ConditionLock(0)
        let threads = (0..<8).compactMap { thread in
            WorkerThread(name: "caller") {
                for number in 0..<500 {
                    let expected = thread * 1_000 + number
                    if (try? guarded.run("count") { expected }) != expected { wrong.withLock { $0 += 1 } }
                }
            }
        }
        #expect(threads.count == 8)
        for thread in threads { thread.join() }
        #expect(wrong.withLock { $0 } == 0)
    }

    @Test(
        "a FUSE mount is read like any folder, and when its server is stopped, only what lies in it fails",
        .enabled(if: FuseServer.obstacle == nil, FuseServer.skipped))
    func fuse() throws {
        let folder = try TestFolder()
        folder.write("neighbour", [1])
        let server = try FuseServer(in: folder)
        let root = try DirectoryHandle.open(folder.path, mounts: try MountTable.current(timeoutMilliseconds: 300))
        #expect(root.mountGuard == nil)
        let pointName = RawPath("mount point")
        let mountStatus = try pointName.withBytes { n throws(HostFilesError) in try root.status(of: n) }
        #expect(mountStatus.isMountRoot)
        let mounted = try pointName.withBytes { n throws(HostFilesError) in try root.openDirectory(n) }
        #expect(mounted.mountGuard != nil)

        let listing = SortedListing(scratch: ListingScratch(), spillFolder: folder.path)
        try listing.read(mounted)
        var names: [String] = []
        while let entry = try listing.next() { names.append(String(decoding: entry.name, as: UTF8.self)) }
        #expect(names == ["file", "folder", "link"])
        #expect(try RawPath("link").withBytes { n throws(HostFilesError) in try mounted.readLink(n) } == Array("file".utf8))
        let file = try RawPath("file").withBytes { n throws(HostFilesError) in try mounted.openFile(n) }
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 0) } == 6)
        #expect(buffer[..<6].elementsEqual("hello\n".utf8))
        #expect(try file.extendedAttributes().isEmpty)
        #expect(try RawPath("folder").withBytes { n throws(HostFilesError) in try mounted.openDirectory(n) }.mountGuard != nil)

        server.stop()
        let start = linux_monotonic_nanoseconds()
        let error = #expect(throws: HostFilesError.self) {
            try RawPath("file").withBytes { n throws(HostFilesError) in try mounted.status(of: n) }
        }
        #expect(error?.code == .hung)
        #expect(linux_monotonic_nanoseconds() - start < 5_000_000_000)
        let again = linux_monotonic_nanoseconds()
        #expect(throws: HostFilesError.self) { try listing.read(mounted) }
        #expect(throws: HostFilesError.self) { try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 0) } }
        #expect(throws: HostFilesError.self) {
            try pointName.withBytes { n throws(HostFilesError) in try root.openDirectory(n) }
        }
        #expect(linux_monotonic_nanoseconds() - again < 200_000_000)
        #expect(try RawPath("neighbour").withBytes { n throws(HostFilesError) in try root.status(of: n) }.size == 1)
        withExtendedLifetime(server) {}
    }
}
