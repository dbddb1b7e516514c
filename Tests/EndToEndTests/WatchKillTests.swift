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

    /// Kills a process that runs; false if it had ended by then.
    private func killIfRunning(_ process: pid_t) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        // `1234 (name) S …`; a zombie has ended, and only nobody has asked for its exit code.
        guard let state = status.split(separator: ")").last?.split(separator: " ").first, state != "Z" else { return false }
        return kill(process, SIGKILL) == 0
    }

    /// Edits, and gives the backup that this leads to, some moments after its start; nil if none was seen.
    private func nextBackup(of node: RunningNode, editing source: String, _ random: inout Randomness) throws -> pid_t? {
        try edit(source, &random)
        let deadline = Date().addingTimeInterval(5)
        while Date() < deadline {
            if let backup = children(of: node).first {
                usleep(UInt32(random.below(20_000)))
                return backup
            }
            usleep(2000)
        }
        return nil
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
        // When the node was killed.
        var backupsSeen = 0
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
            switch turn % 3 {
            case 0:
                // Again where it had ended by then.
                for _ in 0..<5 {
                    guard let backup = try nextBackup(of: node, editing: source, &random), killIfRunning(backup) else { continue }
                    do { try wait("it says so", seconds: 10) { node.process.errorsSoFar.contains("ended with 137") } } catch {
                        print("\(error): \(node.process.errorsSoFar)")
                        continue
                    }
                    kills.backups += 1
                    break
                }
            case 1:
                if try nextBackup(of: node, editing: source, &random) != nil { backupsSeen += 1 }
            default:
                // Whatever of them there is then.
                try edit(source, &random)
                usleep(UInt32(random.below(1_500_000)))
                if let backup = children(of: node).first { _ = killIfRunning(backup) }
            }
            if turn % 3 != 0 {
                #expect(try node.stop(SIGKILL).code == 1000 + Int(SIGKILL))
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
        #expect(kills.backups >= testScale, "in \(2 * testScale) turns \(kills.backups) backups were killed")
        #expect(backupsSeen >= testScale, "in \(2 * testScale) turns \(backupsSeen) nodes were killed beside their backup")
        #expect(kills.nodes == 4 * testScale)
    }
}
