import BackupFormat
import Cryptography
import FuzzTargets
import HostFiles
import Testing

@Suite("Vectors: protected files")
struct ProtectedVectorTests {
    @Test(
        "the container of each length is the one that an independent program computed, byte for byte, and gives the content back")
    func files() throws {
        let lines = try Vectors.text("Vectors/protected-files.txt").split(separator: "\n")
        #expect(lines.count >= 16)
        for line in lines {
            let fields = line.split(separator: " ").map(String.init)
            try #require(fields.count == 4)
            let content = pattern(try #require(Int(fields[0])), 5)
            try #require(sha256(content).hex == fields[1])
            let disk = SimulatedDisk()
            let bytes = try ProtectedFile.write(content, disk, "/f")
            let file = try #require(disk.files(under: "/").first).bytes
            #expect(String(bytes) == fields[2] && file.count == bytes, "\(fields[0])")
            #expect(sha256(file).hex == fields[3], "\(fields[0])")
            #expect(ProtectedFile.fileBytes(contentBytes: content.count) == bytes)
            #expect(try ProtectedFile.content(disk, "/f", limit: content.count) == content)
        }
    }
}
