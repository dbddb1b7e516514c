internal import Glibc
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

    private func run(_ arguments: String...) throws -> Running {
        try Running(arguments.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin"])
    }

    @Test("a child's exit code, output, errors and signals are seen")
    func children() throws {
        let outcome = try run("/bin/sh", "-c", "echo out; echo err >&2; exit 7").finish()
        #expect(outcome.code == 7 && outcome.text == "out\n" && outcome.errorText == "err\n")
        let sleeper = try run("/bin/sleep", "60")
        #expect(!sleeper.endsWithin(seconds: 0.01))
        #expect(sleeper.residentBytesMax > 0 && sleeper.residentBytesMax < 20 << 20, "\(sleeper.residentBytesMax)")
        sleeper.signal(SIGKILL)
        #expect(try sleeper.finish().code == 1009)
        #expect(throws: TestFailure.self) { try run("/bin/sleep", "60").finish(timeoutSeconds: 0.05) }
    }

    @Test("the memory group kills what takes too much", .enabled(if: MemoryGroup.isPossible, "needs root and a memory cgroup"))
    func memoryGroup() throws {
        let group = try MemoryGroup(bytes: 32 << 20)
        func tail(_ megabytes: Int) throws -> Outcome {
            let words = group.prefix + ["/bin/sh", "-c", "head -c \(megabytes)m /dev/zero | tail -n 1 > /dev/null || kill -9 $$"]
            return try Running(words.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin"]).finish()
        }
        #expect(try tail(4).code == 0)
        #expect(try tail(200).code == 1009)
    }

    @Test(
        "the hung file system hangs whoever looks at it",
        .enabled(if: Mount.isPossible && access("/dev/fuse", R_OK | W_OK) == 0, "needs root and FUSE"))
    func hungFileSystem() throws {
        let scratch = try Scratch()
        try scratch.makeFolder("hung")
        let server = try HungFileSystem(at: scratch.path("hung"))
        let look = try run("/usr/bin/stat", scratch.path("hung/x"))
        #expect(!look.endsWithin(seconds: 0.3))
        server.end()
        #expect(look.endsWithin(seconds: 5))
        _ = try look.finish()
    }
}
