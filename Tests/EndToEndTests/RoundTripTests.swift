internal import Glibc
import Testing

@Suite("Round trip") struct RoundTripTests {
    @Test("any tree in memory comes back as it was, content and metadata", arguments: 0..<3 * testScale)
    func inMemory(_ turn: Int) throws {
        var shape = TreeMaker.Shape()
        shape.withLargeFiles = turn == 0
        try roundTrip("RoundTrip.inMemory(\(turn))", .memory, shape)
    }

    @Test("any tree on the disk's file system comes back as it was", arguments: 0..<2 * testScale)
    func onDisk(_ turn: Int) throws {
        try roundTrip("RoundTrip.onDisk(\(turn))", .disk, TreeMaker.Shape())
    }

    private func roundTrip(_ name: String, _ place: Scratch.Place, _ shape: TreeMaker.Shape) throws {
        var random = Randomness.forTest(name)
        let scratch = try Scratch(place)
        let source = try scratch.makeFolder("source")
        var maker = TreeMaker(Randomness(seed: random.next()), shape)
        try maker.fill(source)
        let before = try TreeState(of: source)

        let home = try Home.make(scratch.path("home"), settings: random.chance(1, in: 2) ? "memory = \"64MiB\"\n" : "")
        let snapshot = try home.backup(scratch.path("source"))
        #expect(try TreeState(of: source).differences(from: before) == [], "the backup changed its source")
        try home.restore(snapshot, to: scratch.path("target"), options: random.chance(1, in: 2) ? ["--verify"] : [])
        let after = try TreeState(of: scratch.path("target") + scratch.path("source"))
        #expect(before.differences(from: after, comparingBlocks: true) == [])

        // The second backup finds nothing new but the times of folders above, the second restore nothing to write.
        let second = try home.succeed("backup", "--json", scratch.path("source")).object()
        #expect((second["new_bytes"] as? Int ?? .max) < 2000)
        try home.restore("latest", to: scratch.path("target"))
        let again = try TreeState(of: scratch.path("target") + scratch.path("source"))
        #expect(before.differences(from: again, comparingBlocks: true) == [])
        #expect(try home.succeed("check", "--read-data").code == 0)
    }

    @Test("a single file, a link and a FIFO named on the command line come back")
    func singleFiles() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try source.write("one", "content of one")
        try source.write("not named", "stays out")
        try source.makeLink(Bytes("link".utf8), to: Bytes("one".utf8))
        try source.makeNode(Bytes("pipe".utf8), mode: UInt32(S_IFIFO) | 0o640)
        let home = try Home.make(scratch.path("home"))
        let snapshot = try home.backup(scratch.path("source/one"), scratch.path("source/link"), scratch.path("source/pipe"))
        try home.restore(snapshot, to: scratch.path("target"))
        var expected = try TreeState(of: source)
        expected.files[Bytes("not named".utf8)] = nil
        let got = try TreeState(of: scratch.path("target") + scratch.path("source"))
        #expect(expected.differences(from: got, ignoring: [[]]) == [])
    }

    @Test("a folder of 60,000 entries comes back, and costs little when nothing changed")
    func wideFolder() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<60_000 { try source.write("entry-\(index)", "\(index % 100)") }
        let before = try TreeState(of: source)
        let home = try Home.make(scratch.path("home"))
        let snapshot = try home.backup(scratch.path("source"))
        try home.restore(snapshot, to: scratch.path("target"))
        #expect(before.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
        // What changed within moments before a backup is read again by the next, in case it changed just after, too.
        sleep(3)
        try home.backup(scratch.path("source"))
        let third = try home.succeed("backup", "--json", scratch.path("source")).object()
        #expect(third["unchanged_files"] as? Int == 60_000)
        #expect((third["new_bytes"] as? Int ?? .max) < 2000)
    }
}
