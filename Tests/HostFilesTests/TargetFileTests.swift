import BackupFormat
import HostFiles
import Testing

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
