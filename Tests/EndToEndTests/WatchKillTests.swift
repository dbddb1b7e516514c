import Foundation
internal import Glibc
import Testing

@Suite("Killed while it watches") struct WatchKillTests {
    /// Processes that the node has started and that still run.
    private func children(of node: RunningNode) -> [pid_t] {
        let tasks = "/proc/\(node.process.pid)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.flatMap { thread in
            ((try? String(contentsOfFile: "\(tasks)/\(thread)/children", encoding: .utf8)) ?? "").split(separator: " ")
                .compactMap { pid_t($0) }
        }
    }

    /// Some files made, written, renamed and removed, in some folders.
    private func edit(_ source: String, _ random: inout Randomness) throws {
        for _ in 0..<(1 + random.below(12)) {
            let folder = "\(source)/\(random.below(6))"
            mkdir(folder, 0o755)
            let (file, other) = ("\(folder)/\(random.below(9))", "\(source)/\(random.below(6))/\(random.below(9))")
            switch random.below(5) {
            case 0: rename(file, other)
            case 1: unlink(file)
            case 2: rename(folder, "\(source)/\(random.below(6))")
            default: try Data(random.bytes(random.below(60_000))).write(to: URL(fileURLWithPath: file))
            }
        }
    }

    @Test(
        "whatever of it is killed, its backup, the node or both at once: what was noticed before is in a snapshot soon after",
        .enabled(if: access("/proc/self/task/\(getpid())/children", R_OK) == 0, "the kernel does not tell of child processes"))
    func killed() throws {
        var random = Randomness.forTest("WatchKill.killed")
        let scratch = try Scratch()
        let source = scratch.path("source")
        try scratch.makeFolder("source")
        let home = try Home.make(
            scratch.path("home"), settings: "[sources]\npaths = [\"\(source)\"]\nevery = \"continuous\"\n")
        for _ in 0..<10 { try edit(source, &random) }
        let node = try RunningNode(home)
        try wait("the first walk is a backup") { try home.snapshots().count == 1 }
        var kills = (backups: 0, nodes: 0)
        func requireBackedUp(_ moment: String) throws {
            let wanted = try TreeState(of: source)
            try wait("\(moment): what was saved is backed up", seconds: 90) {
                if FileManager.default.fileExists(atPath: scratch.path("check")) { try scratch.folder.remove("check") }
                try home.restore("latest", to: scratch.path("check"))
                let found = try TreeState(of: scratch.path("check") + source)
                if wanted.differences(from: found).isEmpty { return true }
                usleep(300_000)
                return false
            }
        }
        for turn in 0..<6 * testScale {
            try edit(source, &random)
            let begun = Date()
            var backup: pid_t?
            // Most turns wait for the backup that this leads to; the others do not.
            while turn % 3 != 2 || random.chance(1, in: 2), backup == nil, Date().timeIntervalSince(begun) < 4 {
                backup = children(of: node).first
                usleep(2000)
            }
            usleep(UInt32(random.below(turn % 3 == 2 ? 1_500_000 : 20_000)))
            if turn % 3 != 1, let backup, children(of: node).contains(backup), kill(backup, SIGKILL) == 0 { kills.backups += 1 }
            if turn % 3 != 0 {
                try node.stop(SIGKILL)
                kills.nodes += 1
                // Of this nobody can have been told.
                if random.chance(1, in: 2) { try edit(source, &random) }
                try node.restart()
            }
            try requireBackedUp("turn \(turn)")
        }
        #expect(try node.stop().code == 0)
        try home.succeed("check", "--read-data")
        print("killed \(kills.backups) backups and \(kills.nodes) nodes")
    }
}
