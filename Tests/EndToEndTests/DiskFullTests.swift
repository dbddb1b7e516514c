import Foundation
internal import Glibc
import Testing

@Suite("Disk full", .enabled(if: Mount.isPossible, "needs root, to mount small file systems")) struct DiskFullTests {
    @Test(
        "a home without space left: exit 1, a clear error, nothing lost, and it works once there is space",
        arguments: [18, 20, 24, 33, 36, 40, 52, 60])
    func home(_ megabytes: Int) throws {
        var random = Randomness.forTest("DiskFull.home(\(megabytes))")
        let scratch = try Scratch()
        let mount = try scratch.mountMemory(at: "disk", size: "200m")
        let source = try scratch.makeFolder("source")
        for index in 0..<30 { try source.write("first \(index)", random.bytes(random.below(400_000))) }
        let home = try Home.make(scratch.path("disk/home"), settings: "[vault]\ntrash_days = 0\n")
        let firstState = try TreeState(of: source)
        let first = try home.backup(scratch.path("source"))
        for index in 0..<10 { try source.write("second \(index)", random.bytes(5_000_000 + random.below(1_000_000))) }
        for index in 0..<500 { try source.write("small \(index)", random.bytes(random.below(3000))) }
        let state = try TreeState(of: source)

        // A little more than a size at which a pack ends is as likely to hit the trees, the pages or the commit.
        try mount.resize("\(megabytes * 1024 + random.below(1024))k")
        let outcome = try home.run("backup", "--json", scratch.path("source"))
        if megabytes < 50 { #expect(outcome.code == 1) }
        #expect(outcome.code == 1 || outcome.code == 0, "\(outcome.summary)")
        if outcome.code == 1 {
            #expect(outcome.errorText.lowercased().contains("space"), "\(outcome.errorText)")
            #expect(try home.snapshots() == [first])
        }
        try home.restore(first, to: scratch.path("target"))
        #expect(firstState.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
        try scratch.folder.remove("target")
        // Room is made by a sweep first, as a user would.
        try home.sweep()
        try mount.resize("300m")
        let second = try home.backup(scratch.path("source"))
        try home.restore(second, to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
        let check = try home.run("check", "--read-data")
        #expect(check.code == 0, "\(check.summary)")
        // Where the disk was just large enough there is a third one.
        try home.expect(0, ["forget"] + home.snapshots())
        try home.sweep()
        for folder in ["packs", "pages", "pending", "tmp", "trash"] { #expect(try home.vaultFiles(folder) == [], "\(folder)") }
    }

    @Test("forget and sweep work on a disk with no byte left")
    func sweepWhenFull() throws {
        var random = Randomness.forTest("DiskFull.sweepWhenFull")
        let scratch = try Scratch()
        _ = try scratch.mountMemory(at: "disk", size: "100m")
        let source = try scratch.makeFolder("source")
        let home = try Home.make(scratch.path("disk/home"), settings: "[vault]\ntrash_days = 0\n")
        try source.write("one", random.bytes(20_000_000))
        let first = try home.backup(scratch.path("source"))
        try source.write("one", random.bytes(20_000_000))
        let second = try home.backup(scratch.path("source"))
        let filler = try Folder(scratch.path("disk"))
        var size = 0
        while (try? filler.write(Bytes("filler".utf8), Bytes(repeating: 1, count: 4096), at: size)) != nil { size += 4096 }
        let state = try TreeState(of: source)

        try home.succeed("forget", first)
        try home.sweep()
        #expect(try home.vaultFiles("packs").reduce(0) { try $0 + Data(contentsOf: URL(fileURLWithPath: $1)).count } < 25_000_000)
        try home.restore(second, to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
    }

    @Test("a full target: the restore fails clearly, leaves no half file, and goes on once there is space")
    func target() throws {
        var random = Randomness.forTest("DiskFull.target")
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        for index in 0..<12 { try source.write("file \(index)", random.bytes(3_000_000)) }
        for index in 0..<200 { try source.write("small \(index)", random.bytes(random.below(5000))) }
        let state = try TreeState(of: source)
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        let mount = try scratch.mountMemory(at: "target", size: "16m")
        let outcome = try home.run("restore", "latest", "--target", scratch.path("target"))
        #expect(outcome.code == 1 || outcome.code == 3, "\(outcome.summary)")
        #expect(outcome.errorText.lowercased().contains("space"), "\(outcome.errorText)")
        if let found = try? TreeState(of: scratch.path("target") + scratch.path("source")) {
            for (path, file) in found.files where file.mode & UInt32(S_IFMT) == UInt32(S_IFREG) {
                #expect(
                    state.files[path]?.contentHash == file.contentHash && state.files[path]?.size == file.size, "\(shown(path))")
            }
        }
        try mount.resize("100m")
        try home.restore("latest", to: scratch.path("target"))
        #expect(state.differences(from: try TreeState(of: scratch.path("target") + scratch.path("source"))) == [])
    }
}
