import Foundation
internal import Glibc
import Testing

/// Runs the program on a pseudo-terminal of 80 columns and 24 rows: writes each text once the one before it has shown.
private let terminalDriver = """
    import fcntl, os, pty, select, struct, sys, termios, time
    steps = sys.argv[1].split("|")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.argv[2], sys.argv[2:])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, place, end = b"", 0, time.time() + 60
    while time.time() < end:
        while steps and steps[0].encode() in seen[place:]:
            place = len(seen)
            os.write(terminal, steps[1].encode().decode("unicode_escape").encode())
            steps = steps[2:]
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                break
            if not more:
                break
            seen += more
    if time.time() >= end:
        os.kill(child, 9)
    is_raw = not termios.tcgetattr(terminal)[3] & termios.ICANON
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.buffer.write(seen)
    sys.exit(99 if is_raw or steps else status)
    """

@Suite("Finding files on a terminal") struct FindTerminalTests {
    private func drive(_ home: Home, _ steps: String, in folder: String) throws -> Outcome {
        let words = ["/usr/bin/env", "-C", folder, "/usr/bin/python3", "-c", terminalDriver, steps, Home.program, "find"]
        return try Running(
            words.map { Bytes($0.utf8) }, environment: ["PATH": "/usr/bin:/bin", "HOME": home.path, "BAKARE_HOME": home.path]
        ).finish(timeoutSeconds: 90)
    }

    @Test("find without words shows results as you type, brings back what is chosen, and leaves the terminal as it was")
    func browse() throws {
        let scratch = try Scratch()
        let source = try scratch.makeFolder("source")
        try scratch.makeFolder("here")
        try source.write("annual-report.txt", "first")
        try source.write(Bytes("red\u{1b}[31m.txt".utf8), Bytes("x".utf8))
        let home = try Home.make(scratch.path("home"))
        try home.backup(scratch.path("source"))
        try source.remove("annual-report.txt")
        try home.backup(scratch.path("source"))

        // Help is the last line that is drawn: typed with a typo, chosen, and where to is left as it is proposed.
        let chosen = try drive(home, "Esc leave|reprot|(deleted)|\\r|restore to: |\\r", in: scratch.path("here"))
        #expect(chosen.code == 0, "\(chosen.summary)")
        let place = scratch.path("here/restored") + scratch.path("source/annual-report.txt")
        #expect(FileManager.default.contents(atPath: place) == Data("first".utf8))
        // What is there is never replaced.
        let again = try drive(home, "Esc leave|reprot|(deleted)|\\r|restore to: |\\r|already|\\x1b", in: scratch.path("here"))
        #expect(again.code == 0, "\(again.summary)")
        let left = try drive(home, "Esc leave|red|31m|\\x03", in: scratch.path("here"))
        #expect(left.code == 0 && left.text.contains("red\\x1b[31m.txt"), "\(left.summary)")
    }

    @Test("find without words is wrong usage where there is no terminal")
    func noTerminal() throws {
        let scratch = try Scratch()
        let home = try Home.make(scratch.path("home"))
        #expect(try home.expect(64, ["find"]).errorText.contains("say what to look for"))
    }
}
