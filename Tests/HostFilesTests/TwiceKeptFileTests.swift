import BackupFormat
import HostFiles
import Testing

@Suite("Files that are kept twice")
struct TwiceKeptFileTests {
    private let disk = SimulatedDisk()
    private var file: TwiceKeptFile { TwiceKeptFile(disk, "/f", limitBytes: 100) }

    /// Reads, and gives what was found wrong in words.
    private func read(mending: Bool = true) throws(HostFilesError) -> (content: [UInt8]?, faults: [String]) {
        var faults: [TwiceKeptFile.Fault] = []
        let content = try file.read(mending: mending, faults: &faults) { bytes throws(FormatError) in
            if bytes.first == 0 { throw FormatError(.inconsistent, "test") }
            return bytes
        }
        return (content, faults.map { "\($0.path) \($0.message)\($0.isMended ? ", mended" : "")" })
    }

    private func put(_ path: RawPath, _ content: [UInt8]) throws { try disk.replaceProtectedFile(path, with: content) }

    @Test("is nothing before it is written; then both are the same")
    func written() throws {
        #expect(try read().content == nil)
        #expect(try read().faults == [])
        try file.write([1, 2, 3])
        #expect(try read().content == [1, 2, 3])
        #expect(try read().faults == [])
        #expect(disk.files(under: "/").map(\.path) == ["/f", "/f.copy"])
        try file.write([4])
        #expect(try read().content == [4])
    }

    @Test("the first counts where both are whole and differ; the second where the first is of no use")
    func which() throws {
        try put("/f", [1])
        try put("/f.copy", [2])
        #expect(try read(mending: false).faults == ["/f.copy differs from the other copy"])
        #expect(try read().content == [1])
        #expect(try read().faults == [])
        // What the decoder refuses, and what is too long, is as good as damaged.
        for content in [[0], [UInt8](repeating: 1, count: 101)] {
            try put("/f", content)
            let found = try read()
            #expect(found.content == [1])
            #expect(found.faults == ["/f is damaged, mended"])
            #expect(try read().faults == [])
        }
    }

    @Test("nothing whole is an error, and stays as it is")
    func lost() throws {
        try put("/f", [0])
        #expect { try read() } throws: { ($0 as? HostFilesError)?.code == .damaged }
        try put("/f.copy", [0, 1])
        #expect { try read() } throws: { ($0 as? HostFilesError)?.code == .damaged }
        #expect(disk.files(under: "/").count == 2)
    }

    @Test("on a disk that takes no more, it is read and the fault is told")
    func unmendable() throws {
        try file.write([1])
        try disk.unlink("/f")
        disk.faults.fullFromOperation = 0
        let found = try read()
        #expect(found.content == [1])
        #expect(found.faults == ["/f is missing"])
    }

    @Test("what a writer left who was cut off is removed, and nothing else")
    func leftovers() throws {
        try file.write([1])
        let before = disk.files(under: "/").map(\.path)
        for name in ["/f.new-12ab", "/f.copy.new-0"] as [RawPath] { try put(name, [9]) }
        for name in ["/g.new-1", "/f.old"] as [RawPath] { try put(name, [9]) }
        try file.removeLeftovers()
        #expect(disk.files(under: "/").map(\.path) == (before + ["/g.new-1", "/f.old"]).sorted())
    }
}
