import Foundation
internal import Glibc
import Testing

@Suite("The walk") struct WalkTests {
    @Test("folders with thousands of folders in them are listed in full, by however many threads", .timeLimit(.minutes(5)))
    func manyFolders() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let suffix = String(repeating: "-long", count: 20)
        for top in 0..<4 {
            let folder = try source.makeFolder("\(top)")
            for middle in 0..<1200 {
                let inner = try folder.makeFolder("\(middle)")
                for file in 0..<30 { try inner.makeLink(Bytes("\(file)\(suffix)".utf8), to: Bytes("x".utf8)) }
            }
        }
        let home = try Home.make(scratch.path("home"))
        for turn in 0..<4 {
            let report = try home.expect(0, ["backup", "--json", scratch.path("source")]).object()
            #expect(report["files"] as? Int == 4 * 1200 * 30, "turn \(turn)")
            #expect(report["dirs"] as? Int ?? 0 >= 4 * 1201)
        }
        #expect(try home.succeed("diff", "latest~3", "latest", "--json").array().isEmpty)
    }

    @Test("a file with holes that grows while it is backed up is stored as it was at one moment, and harms no other")
    func growingHoles() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let path = scratch.path("source")
        let files = 96
        // Some too large to be read again, some not.
        @Sendable func firstSize(_ index: Int) -> Int { index % 12 == 0 ? 1 << 30 : 8 << 20 }
        for index in 0..<files { try source.truncate(Bytes("image \(index)".utf8), to: firstSize(index)) }
        try source.write("the last", "calm")
        let churn = Background { round in
            let folder = try Folder(path)
            let name = Bytes("image \(round % files)".utf8)
            let size = Int(try folder.status(name).size)
            let isSmallEnough = size < firstSize(round % files) + (200 << 20)
            if isSmallEnough { try folder.write(name, Bytes(repeating: 7, count: 4096), at: size + (1 << 20) - 4096) }
        }
        let home = try Home.make(scratch.path("home"))
        for turn in 0..<6 {
            let outcome = try home.run("backup", "--json", path)
            #expect(outcome.code == 0 || outcome.code == 3, "\(outcome.summary)")
            let listed = try home.run("ls", "latest", "--recursive", "--json")
            #expect(listed.code == 0, "turn \(turn): \(listed.summary)")
            #expect(try listed.array().count >= files + 1, "turn \(turn)")
        }
        churn.stop()
        // At rest, it is stored as it is.
        try home.backup(path)
        try home.restore("latest", to: scratch.path("target"))
        let before = try TreeState(of: source)
        let after = try TreeState(of: try Folder(scratch.path("target") + path))
        #expect(before.differences(from: after) == [])
        // The snapshots in between restore without trouble.
        for id in try home.snapshots().prefix(3) { try home.restore(id, to: scratch.path("target")) }
    }

    @Test("a file with several names is read once")
    func severalNames() throws {
        var random = Randomness.forTest("Walk.severalNames")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let size = 48 << 20
        try source.write("a", random.bytes(size))
        try source.hardLink(Bytes("a".utf8), as: Bytes("b".utf8), in: source)
        try source.hardLink(Bytes("a".utf8), as: Bytes("c".utf8), in: try source.makeFolder("folder"))
        try source.write("small", random.bytes(2000))
        try source.hardLink(Bytes("small".utf8), as: Bytes("tiny".utf8), in: source)
        var home = try Home.make(scratch.path("home"))
        home.prefix = ["/bin/sh", "-c", "\"$@\"; code=$?; cat /proc/$$/io >&2; exit $code", "sh"]
        let outcome = try home.expect(0, ["backup", scratch.path("source")])
        let line = outcome.errorText.split(separator: "\n").last { $0.hasPrefix("rchar: ") }
        let read = try #require(line.flatMap { Int($0.dropFirst(7)) })
        #expect(read > size && read < size * 3 / 2, "\(read) bytes read")
        try home.restore("latest", to: scratch.path("target"))
        let restored = try TreeState(of: try Folder(scratch.path("target") + scratch.path("source")))
        #expect(try TreeState(of: source).differences(from: restored) == [])
    }

    @Test("thousands of folders one in the other need few open files and little memory")
    func deep() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        let name = Bytes("d".utf8) + Bytes(repeating: 0x61, count: 200)
        let depth = 3000
        var inner = source
        for level in 0..<depth {
            inner = try inner.makeFolder(name)
            if level % 500 == 0 { try inner.write("file", "at \(level)") }
        }
        try inner.write("leaf", "at the bottom")
        var home = try Home.make(scratch.path("home"))
        home.prefix = ["/bin/sh", "-c", "ulimit -n 250; exec \"$@\"", "sh"]
        try home.backup(scratch.path("source"))
        #expect(try memoryPeak(home, ["backup", scratch.path("source")]) < 200 << 20)
        try home.restore("latest", to: scratch.path("target"))
        var found = try Folder(scratch.path("target") + scratch.path("source"))
        for _ in 0..<depth { found = try found.folder(name) }
        #expect(try found.read("leaf") == Bytes("at the bottom".utf8))
        #expect(try home.succeed("check").code == 0)
        // Deeper than the test's own way to remove folders.
        for name in ["source", "target"] {
            let removal = try Running(["/bin/rm", "-rf", scratch.path(name)].map { Bytes($0.utf8) }, environment: [:])
            #expect(try removal.finish().code == 0)
        }
    }

    /// The most memory that a run takes, in bytes, as time(1) tells; 0 where there is none.
    private func memoryPeak(_ home: Home, _ arguments: [String]) throws -> Int {
        guard access("/usr/bin/time", X_OK) == 0 else { return 0 }
        var timed = home
        timed.prefix = home.prefix + ["/usr/bin/time", "-f", "peak %M"]
        let outcome = try timed.run(arguments)
        #expect(outcome.code == 0, "\(outcome.summary)")
        let kibibytes = outcome.errorText.split(separator: "\n").last { $0.hasPrefix("peak ") }?.dropFirst(5)
        return (kibibytes.flatMap { Int($0) } ?? 0) << 10
    }
}
