import Testing

@Suite("The harness itself") struct SelfTests {
    @Test("a tree compares equal to itself, and any change is seen")
    func comparer() throws {
        var random = Randomness.forTest("SelfTests.comparer")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        var maker = TreeMaker(Randomness(seed: random.next()))
        try maker.fill(source)
        let before = try TreeState(of: source)
        #expect(before.differences(from: try TreeState(of: source), comparingBlocks: true) == [])
        try source.write("new", "x")
        try source.setTime(Bytes("sizes".utf8), 7, 7)
        let lines = before.differences(from: try TreeState(of: source))
        #expect(lines.contains("extra: new"))
        #expect(lines.contains { $0.hasPrefix("differs: sizes:") })
        try source.folder("sizes").write(Bytes("4097".utf8), [1], at: 4096)
        #expect(before.differences(from: try TreeState(of: source)).contains { $0.hasPrefix("differs: sizes/4097: ") })
    }
}
