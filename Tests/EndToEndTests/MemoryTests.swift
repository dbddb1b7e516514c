import Foundation
internal import Glibc
import Testing

/// A group of processes that the kernel kills when they take more memory than allowed, page cache and all.
final class MemoryGroup {
    private let folder: String

    private static var root: String? {
        ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].first {
            access($0 + ($0.hasSuffix("memory") ? "/memory.limit_in_bytes" : "/cgroup.controllers"), F_OK) == 0
                && access($0, W_OK) == 0
        }
    }

    static var isPossible: Bool { (try? MemoryGroup(bytes: 1 << 28)) != nil }

    init(bytes: Int) throws {
        guard geteuid() == 0, let root = MemoryGroup.root else { throw TestFailure("no memory cgroup that can be used here") }
        folder = root + "/bakare-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let isFirstVersion = root.hasSuffix("memory")
        try write("\(bytes)", to: isFirstVersion ? "memory.limit_in_bytes" : "memory.max")
        // No swapping out of it either.
        try? write(isFirstVersion ? "\(bytes)" : "0", to: isFirstVersion ? "memory.memsw.limit_in_bytes" : "memory.swap.max")
    }

    private func write(_ text: String, to name: String) throws {
        guard let file = FileHandle(forWritingAtPath: folder + "/" + name) else { throw TestFailure("no \(folder)/\(name)") }
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    /// What to put before a command so that it runs in the group.
    var prefix: [String] { ["/bin/sh", "-c", "echo $$ > \(folder)/cgroup.procs && exec \"$@\"", "sh"] }

    /// The most that was taken at once, for messages.
    var bytesMax: String {
        let names = ["memory.max_usage_in_bytes", "memory.peak"]
        return names.compactMap { try? String(contentsOfFile: folder + "/" + $0, encoding: .utf8) }.joined()
    }

    deinit { rmdir(folder) }
}

@Suite("Memory limit", .serialized, .enabled(if: MemoryGroup.isPossible, "needs root and a memory cgroup"))
struct MemoryTests {
    @Test("backup and restore of much data and many files stay within the limit that is set", arguments: ["64MiB", "256MiB"])
    func limit(_ limit: String) throws {
        var random = Randomness.forTest("Memory.limit(\(limit))")
        let scratch = try Scratch(.disk)
        let source = try scratch.makeFolder("source")
        let megabytes = (testScale > 1 ? 600 : 160) / 16
        for index in 0..<megabytes { try source.write("large \(index)", random.bytes(16 << 20)) }
        let files = testScale > 1 ? 100_000 : 30_000
        for folder in 0..<(files / 1000) {
            let inner = try source.makeFolder("folder \(folder)")
            for file in 0..<1000 { try inner.write("file \(file)", random.bytes(random.below(700))) }
        }
        let state = try TreeState(of: source)
        sync()

        var home = try Home.make(scratch.path("home"), settings: limit == "256MiB" ? "" : "memory = \"\(limit)\"\n")
        let group = try MemoryGroup(bytes: (limit == "64MiB" ? 64 : 256) << 20)
        home.prefix = group.prefix
        let source1 = scratch.path("source")
        for arguments in [
            ["backup", "--json", source1], ["backup", "--json", source1],
            ["restore", "latest", "--target", scratch.path("target")],
            ["restore", "latest", "--verify", "--target", scratch.path("target")], ["check", "--read-data"], ["sweep"],
        ] {
            let outcome = try home.run(arguments, timeoutSeconds: 300)
            #expect(outcome.code == 0, "\(arguments) within \(limit), group had \(group.bytesMax): \(outcome.summary)")
            print("\(limit): \(arguments[0]) \(outcome.seconds) s")
        }
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + source1)) == [])
    }

    @Test("one folder with very many entries fits into 64 MiB")
    func wideFolder() throws {
        let scratch = try Scratch(.disk)
        let source = try scratch.makeFolder("source")
        let count = testScale > 1 ? 1_000_000 : 120_000
        for index in 0..<count {
            try source.makeLink(Bytes("a link with a long name, number \(index)".utf8), to: Bytes("\(index)".utf8))
        }
        var home = try Home.make(scratch.path("home"), settings: "memory = \"64MiB\"\n")
        let group = try MemoryGroup(bytes: 64 << 20)
        home.prefix = group.prefix
        for arguments in [
            ["backup", scratch.path("source")], ["backup", scratch.path("source")],
            ["restore", "latest", "--target", scratch.path("target")], ["ls", "latest", "--recursive"], ["check"],
        ] {
            let outcome = try home.run(arguments, timeoutSeconds: 300)
            #expect(
                outcome.code == 0,
                "\(arguments), group had \(group.bytesMax): \(outcome.errorText.suffix(2000)), exit \(outcome.code)")
            print("wide: \(arguments[0]) \(outcome.seconds) s")
        }
        #expect(try Folder(scratch.path("target") + scratch.path("source")).names().count == count)
    }
}
