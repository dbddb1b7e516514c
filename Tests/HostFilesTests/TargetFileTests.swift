import BackupFormat
import CLinux
import HostFiles
import Testing

private func isOnExt4(_ folder: TestFolder) -> Bool {
    var space = linux_space()
    return linux_fstatfs(folder.fd, &space) == 0 && space.type == 0xef53
}

@Suite("Writing files of a restore")
struct TargetFileTests {
    @Test(
        "what is written past the page cache, in pieces of any length, reads back the same",
        arguments: [997, 4095, 4096, 4097, 10_000, 65_536, 1_048_573])
    func uncached(pieceBytes: Int) throws {
        let folder = try TestFolder()
        let content = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let file = try folder.handle.createFile("file")
        // The last piece first, so that the file has its length and a hole.
        for start in stride(from: 0, to: content.count, by: pieceBytes).reversed() {
            let piece = Array(content[start..<min(content.count, start + pieceBytes)])
            try piece.withUnsafeBytes { bytes in try file.writeUncached(bytes, at: UInt64(start)) }
        }
        var found = [UInt8](repeating: 0, count: content.count + 1)
        let count = try found.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        #expect(count == content.count && found.prefix(count).elementsEqual(content))
    }

    @Test("to have room reserved changes neither what is written nor the file's length; more than is free is not asked for")
    func reserved() throws {
        let folder = try TestFolder()
        for bytes in [UInt64(300_000), 1 << 62, .max] {
            let file = try folder.handle.createFile(RawPath("file \(bytes)"))
            try file.setSize(300_000)
            file.reserve(bytes)
            try [UInt8](repeating: 7, count: 100_000).withUnsafeBytes { try file.writeUncached($0, at: 50_000) }
            file.beginWriteback()
            #expect(try file.status().size == 300_000)
            #expect(try file.status().blocks * 512 < 1 << 20)
            if bytes == 300_000, isOnExt4(folder) { #expect(try file.status().blocks * 512 >= 300_000) }
            var found = [UInt8](repeating: 1, count: 300_001)
            let count = try found.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
            #expect(count == 300_000)
            #expect(found[..<50_000].allSatisfy { $0 == 0 } && found[150_000..<count].allSatisfy { $0 == 0 })
            #expect(found[50_000..<150_000].allSatisfy { $0 == 7 })
        }
    }

    @Test("an offset beyond what a file can be is refused")
    func tooFar() throws {
        let folder = try TestFolder()
        let file = try folder.handle.createFile("file")
        for offset in [UInt64.max, UInt64.max - 4096, UInt64(Int64.max) + 1] {
            #expect(throws: HostFilesError.self) {
                try [UInt8](repeating: 1, count: 8192).withUnsafeBytes { try file.writeUncached($0, at: offset) }
            }
        }
    }
}
