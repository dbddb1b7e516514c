import BackupFormat
import Foundation
import Testing

import HostFiles

/// A fresh folder of the machine that goes when this value does.
final class TemporaryFolder {
    let path: RawPath

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("bakare-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = RawPath(url.path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path.description) }
}

/// What every ``Disk`` must do, run on the real one and on the simulated one.
@Suite("Disk") struct DiskTests {
    enum Kind: CaseIterable { case real, simulated }

    private func withDisk(_ kind: Kind, _ body: (any Disk, RawPath) throws -> Void) throws {
        switch kind {
        case .real:
            let folder = try TemporaryFolder()
            try body(RealDisk(), folder.path)
        case .simulated:
            let disk = SimulatedDisk()
            try disk.makeDirectory("/base")
            try body(disk, "/base")
        }
    }

    private func code(_ body: () throws -> Void) -> HostFilesError.Code? {
        do { try body() } catch { return (error as? HostFilesError)?.code }
        return nil
    }

    private func bytes(_ disk: any Disk, _ path: RawPath) throws -> [UInt8] {
        let file = try disk.openForReading(path)
        var bytes = [UInt8](repeating: 0, count: try file.size())
        #expect(try bytes.withMutableBytes { buffer throws(HostFilesError) in try file.read(at: 0, into: buffer) } == bytes.count)
        return bytes
    }

    private func write(_ disk: any Disk, _ path: RawPath, _ bytes: [UInt8]) throws {
        let file = try disk.createExclusively(path, expectedBytes: bytes.count)
        try file.write(at: 0, bytes)
        try file.sync()
        file.close()
    }

    @Test("large aligned pieces read the same in and out of the page cache, and end where the file does")
    func readsDirectly() throws {
        let folder = try TemporaryFolder()
        let (disk, path) = (RealDisk(), folder.path.appending("file"))
        let pieceBytes = 512 << 10
        let content = (0..<2 * pieceBytes + 5000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        try write(disk, path, content)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { buffer.deallocate() }
        for isCached in [false, true] {
            let file = try disk.openForReading(path)
            if isCached { #expect(try bytes(disk, path) == content) }
            for start in stride(from: 0, to: content.count + pieceBytes, by: pieceBytes) {
                buffer.initializeMemory(as: UInt8.self, repeating: 0xaa)
                let count = try file.read(at: start, into: buffer)
                let expected = content[min(start, content.count)..<min(start + pieceBytes, content.count)]
                #expect(count == expected.count)
                #expect(buffer[..<count].elementsEqual(expected))
            }
            file.close()
        }
    }

    @Test("reads back what was written", arguments: Kind.allCases)
    func readsBack(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let path = base.appending("file")
            let file = try disk.createExclusively(path, expectedBytes: 10)
            try file.write(at: 0, [1, 2, 3])
            try file.write(at: 6, [7, 8])
            try file.write(at: 1, [9])
            #expect(try file.size() == 8)
            try file.sync()
            #expect(try bytes(disk, path) == [1, 9, 3, 0, 0, 0, 7, 8])
            try file.truncate(to: 2)
            try file.truncate(to: 4)
            #expect(try bytes(disk, path) == [1, 9, 0, 0])
            let status = try disk.status(path)
            #expect(status?.size == 4 && status?.isDirectory == false)
            let again = try disk.openForUpdating(path)
            try again.write(at: 3, [5])
            #expect(try bytes(disk, path) == [1, 9, 0, 5])
        }
    }

    @Test("reading past the end gives what there is", arguments: Kind.allCases)
    func readsShort(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            try write(disk, base.appending("file"), [1, 2, 3])
            let file = try disk.openForReading(base.appending("file"))
            var buffer = [UInt8](repeating: 0xff, count: 5)
            #expect(try buffer.withMutableBytes { raw throws(HostFilesError) in try file.read(at: 1, into: raw) } == 2)
            #expect(buffer == [2, 3, 0xff, 0xff, 0xff])
            #expect(try buffer.withMutableBytes { raw throws(HostFilesError) in try file.read(at: 9, into: raw) } == 0)
        }
    }

    @Test("creates only what is not there", arguments: Kind.allCases)
    func createsExclusively(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let path = base.appending("x")
            try write(disk, path, [])
            #expect(code { _ = try disk.createExclusively(path, expectedBytes: 0) } == .exists)
            #expect(code { try disk.makeDirectory(path) } == .exists)
            #expect(code { _ = try disk.createExclusively(base.appending("no/x"), expectedBytes: 0) } == .notFound)
            #expect(code { _ = try disk.createExclusively(path.appending("x"), expectedBytes: 0) } == .notADirectory)
            #expect(code { _ = try disk.openForReading(base.appending("y")) } == .notFound)
        }
    }

    @Test("lists names in byte order, UTF-8 or not", arguments: Kind.allCases)
    func lists(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let odd = RawPath(bytes: [0xff, 0x41])
            for name: RawPath in ["b", "a", odd, "ab"] { try write(disk, base.appending(name), []) }
            try disk.makeDirectory(base.appending("aa"))
            #expect(try disk.list(base) == ["a", "aa", "ab", "b", odd])
            #expect(try disk.status(base.appending("aa"))?.isDirectory == true)
            #expect(code { _ = try disk.list(base.appending("none")) } == .notFound)
            #expect(code { _ = try disk.list(base.appending("a")) } == .notADirectory)
        }
    }

    @Test("renames, replacing; removes files and empty folders", arguments: Kind.allCases)
    func renames(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let a = base.appending("a")
            let b = base.appending("folder/b")
            try disk.makeDirectories(base.appending("folder"))
            try disk.makeDirectories(base.appending("folder"))
            try write(disk, a, [1])
            try write(disk, b, [2])
            let reader = try disk.openForReading(b)
            try disk.rename(a, to: b)
            #expect(try bytes(disk, b) == [1])
            #expect(try disk.status(a) == nil)
            var old: [UInt8] = [0]
            #expect(try old.withMutableBytes { raw throws(HostFilesError) in try reader.read(at: 0, into: raw) } == 1)
            #expect(old == [2])
            #expect(code { try disk.rename(a, to: b) } == .notFound)
            #expect(code { try disk.removeDirectory(base.appending("folder")) } == .notEmpty)
            try disk.unlink(b)
            #expect(code { try disk.unlink(b) } == .notFound)
            try disk.removeDirectory(base.appending("folder"))
            try disk.syncDirectory(base)
            #expect(try disk.list(base) == [])
            #expect(try disk.freeBytes(base) > 0)
        }
    }

    @Test("one at a time has a folder that it asked for; who waits gets it next, or goes without", arguments: Kind.allCases)
    func locks(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let first = try #require(try disk.lock(base))
            #expect(try disk.lock(base) == nil)
            #expect(try disk.lock(base, waitingMilliseconds: 20) == nil)
            try disk.makeDirectory(base.appending("other"))
            let other = try #require(try disk.lock(base.appending("other")), "another folder is another matter")
            try write(disk, base.appending("file"), [1])
            let waiting = WorkerThread(name: "waits") {
                guard let lock = try? disk.lock(base, waitingMilliseconds: 20_000) else { return }
                try? disk.unlink(base.appending("file"))
                lock.release()
            }
            first.release()
            first.release()
            waiting?.join()
            #expect(try disk.status(base.appending("file")) == nil)
            other.release()
            var second = try disk.lock(base)
            #expect(second != nil)
            second = nil
            #expect(try disk.lock(base) != nil, "what nobody holds any more is free")
            #expect(code { _ = try disk.lock(base.appending("missing")) } == .notFound)
        }
    }

    @Test("after a crash nothing is locked, and a lock of before frees nothing")
    func lockAfterCrash() throws {
        let disk = SimulatedDisk()
        let before = try #require(try disk.lock("/"))
        disk.restart(seed: 1)
        let after = try #require(try disk.lock("/"))
        before.release()
        #expect(try disk.lock("/") == nil)
        after.release()
    }

    @Test("large writes come back, aligned or not", arguments: Kind.allCases)
    func writesLarge(_ kind: Kind) throws {
        try withDisk(kind) { disk, base in
            let count = 1 << 20
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count + 4096, alignment: 4096)
            defer { memory.deallocate() }
            for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index &* 31 ^ index >> 8) }
            for shift in [0, 1] {
                let source = UnsafeRawBufferPointer(rebasing: memory[shift..<shift + count])
                let path = base.appending("large\(shift)")
                let file = try disk.createExclusively(path, expectedBytes: count)
                try file.write(at: 0, UnsafeRawBufferPointer(rebasing: source[..<(count / 2)]))
                try file.write(at: count / 2, UnsafeRawBufferPointer(rebasing: source[(count / 2)...]))
                try file.write(at: count, UnsafeRawBufferPointer(rebasing: source[..<777]))
                try file.sync()
                #expect(try bytes(disk, path) == Array(source) + Array(source[..<777]))
            }
        }
    }

    @Test("new files and folders are their owner's alone")
    func privateModes() throws {
        let folder = try TemporaryFolder()
        let disk = RealDisk()
        try disk.makeDirectory(folder.path.appending("d"))
        try write(disk, folder.path.appending("f"), [1])
        for (name, mode) in [("d", 0o700), ("f", 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.path.appending(name).description)
            #expect(attributes[.posixPermissions] as? Int == mode)
        }
    }
}

/// What the simulated disk adds: it must fail as real ones do.
@Suite("Simulated disk") struct SimulatedDiskTests {
    private func write(_ disk: SimulatedDisk, _ path: RawPath, _ bytes: [UInt8], sync: Bool) throws {
        let file = try disk.createExclusively(path, expectedBytes: 0)
        try file.write(at: 0, bytes)
        if sync { try file.sync() }
    }

    @Test("after a crash, only what was synced is sure to be there")
    func crash() throws {
        var seenName = 0
        var seenBytes = 0
        for seed in 0..<64 as Range<UInt64> {
            let disk = SimulatedDisk()
            try disk.makeDirectory("/d")
            try disk.syncDirectory("/")
            try write(disk, "/d/sure", [1], sync: true)
            try disk.syncDirectory("/d")
            try write(disk, "/d/nameless", [2], sync: true)
            try write(disk, "/d/empty", [3], sync: false)
            try disk.rename("/d/sure", to: "/d/renamed")
            disk.restart(seed: seed)
            let files = disk.files(under: "/d")
            let sure = files.filter { $0.path == "/d/sure" || $0.path == "/d/renamed" }
            #expect(sure.count == 1 && sure.first?.bytes == [1])
            seenName += files.filter { $0.path == "/d/nameless" }.count
            seenBytes += files.filter { $0.path == "/d/empty" && $0.bytes == [3] }.count
        }
        #expect(seenName > 0 && seenName < 64)
        #expect(seenBytes > 0 && seenBytes < 64)
    }

    @Test("stops at the operation it was told, and for good")
    func stops() throws {
        let disk = SimulatedDisk()
        disk.faults.crashAtOperation = 1
        try disk.makeDirectory("/a")
        #expect(throws: HostFilesError.self) { try disk.makeDirectory("/b") }
        #expect(throws: HostFilesError.self) { _ = try disk.list("/") }
        disk.restart(seed: 1)
        #expect(try disk.status("/b") == nil)
    }

    @Test("says when it is full, and takes no more than fits")
    func full() throws {
        let disk = SimulatedDisk()
        disk.faults.capacityBytes = 10
        let file = try disk.createExclusively("/f", expectedBytes: 0)
        try file.write(at: 0, [UInt8](repeating: 1, count: 8))
        do {
            try file.write(at: 8, [1, 2, 3])
            Issue.record("the disk was full")
        } catch { #expect(error.code == .noSpace) }
        #expect(try file.size() == 10)
        #expect(try disk.freeBytes("/") == 0)
    }
}
