import BackupFormat
import BackupNode
import Testing

/// What a hook says, and how it ends.
@Suite("Commands before and after a backup") struct BackupHookTests {
    private func set(_ script: String, seconds: Int = 60) -> SourceSet {
        var set = SourceSet()
        set.name = "documents"
        set.before = ["sh", "-c", script]
        set.hookSeconds = seconds
        return set
    }

    private func run(_ set: SourceSet, _ isStopping: () -> Bool = { false }) throws -> [String] {
        var lines: [String] = []
        let hook = try #require(BackupHook(.before, of: set))
        try hook.run(result: "done", snapshot: "abc", isStopping: isStopping) { lines.append($0) }
        return lines
    }

    @Test("both outputs are passed on line by line, safe to show, and the environment tells what it is about")
    func output() throws {
        let lines = try run(
            set(
                "echo $BAKARE_HOOK $BAKARE_SOURCE $BAKARE_RESULT $BAKARE_SNAPSHOT; printf 'a\\033[31m\\n' >&2; printf 'no end'; read x || echo no input"
            ))
        #expect(lines == ["before documents done abc", "a\\x1b[31m", "no endno input"])
    }

    @Test("much that is said is cut off, and does not hold the command up")
    func muchOutput() throws {
        let lines = try run(set("yes 0123456789012345678901234567890123456789 | head -c 8000000; echo end"))
        #expect(lines.last == "(and more, which is left out)")
        #expect(lines.reduce(0) { $0 + $1.utf8.count } < 2 << 20)
    }

    @Test("one that fails, is not there, or takes too long is an error that says so")
    func failures() throws {
        func message(_ set: SourceSet) -> String {
            do {
                _ = try run(set)
                return ""
            } catch { return "\(error)" }
        }
        #expect(message(set("exit 3")).contains("the command `before` of documents ended with 3"))
        var missing = SourceSet()
        missing.before = ["/nowhere/at/all"]
        #expect(message(missing).contains("cannot be started"))
        #expect(message(set("sleep 60", seconds: 1)).contains("took longer than hook_timeout"))
        // One that does not want to end, with a child of its own.
        #expect(message(set("trap '' TERM; sleep 60 & while :; do sleep 1; done", seconds: 1)).contains("hook_timeout"))
    }

    @Test("Ctrl-C ends it")
    func interruption() throws {
        var looks = 0
        #expect(throws: NodeError.self) {
            try run(set("sleep 60")) {
                looks += 1
                return looks > 3
            }
        }
    }

    @Test("without one, there is nothing to run")
    func none() { #expect(BackupHook(.after, of: set("true")) == nil) }
}
