internal import Glibc
internal import Synchronization

/// The terminal in raw mode, on its second screen; as it was again when this object goes, and when a signal ends the process.
final class Screen {
    private struct Before: Sendable {
        var settings: termios
    }

    private static let before = Mutex<Before?>(nil)
    private static let leave = "\u{1b}[?25h\u{1b}[?1049l"

    /// Nil when standard input or output is no terminal, or cannot be set.
    init?() {
        var settings = termios()
        guard Standard.isTerminal(0), Standard.isTerminal(1), tcgetattr(0, &settings) == 0 else { return nil }
        Screen.before.withLock { $0 = Before(settings: settings) }
        cfmakeraw(&settings)
        guard tcsetattr(0, TCSADRAIN, &settings) == 0 else {
            Screen.before.withLock { $0 = nil }
            return nil
        }
        Standard.output.write("\u{1b}[?1049h")
        Standard.output.flush()
    }

    deinit { Screen.restore() }

    /// Does nothing where no terminal was changed.
    static func restore() {
        guard
            let before = before.withLock({ before in
                defer { before = nil }; return before
            })
        else { return }
        Standard.output.write(leave)
        Standard.output.flush()
        var settings = before.settings
        tcsetattr(0, TCSADRAIN, &settings)
    }

    /// Columns and rows, as they are now.
    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows these lines from the top; the cursor stands behind the first `cursor` columns of line `row`.
    func show(_ lines: [String], cursor: (row: Int, column: Int)) {
        var text = "\u{1b}[?25l\u{1b}[H"
        text += lines.joined(separator: "\u{1b}[K\r\n")
        text += "\u{1b}[K\u{1b}[J\u{1b}[\(cursor.row + 1);\(cursor.column + 1)H\u{1b}[?25h"
        Standard.output.write(text)
        Standard.output.flush()
    }

    /// The next bytes that were typed; empty when none came in time, nil when the terminal is gone.
    func read(milliseconds: Int32) -> [UInt8]? {
        var wait = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        let count = poll(&wait, 1, milliseconds)
        if count < 0 { return errno == EINTR ? [] : nil }
        if count == 0 { return [] }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = buffer.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress, $0.count) }
        if length < 0 { return errno == EINTR || errno == EAGAIN ? [] : nil }
        return length == 0 ? nil : Array(buffer[..<length])
    }
}
