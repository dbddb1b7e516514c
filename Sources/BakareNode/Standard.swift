internal import BackupFormat
internal import Glibc
internal import HostFiles

/// The process's output: standard output gathered into larger writes, standard error at once.
enum Standard {
    static let output = OutputStream(descriptor: 1, bufferBytes: 64 << 10)
    static let error = OutputStream(descriptor: 2, bufferBytes: 0)

    /// Whether the descriptor is a terminal.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal on standard error, 80 if that is not known.
    static var columns: Int {
        var size = winsize()
        return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Whether to colour what goes to the descriptor: on a terminal, unless NO_COLOR is set to anything.
    static func isColoured(_ descriptor: Int32) -> Bool {
        if let noColour = getenv("NO_COLOR"), noColour.pointee != 0 { return false }
        if let terminal = getenv("TERM"), strcmp(terminal, "dumb") == 0 { return false }
        return isTerminal(descriptor)
    }
}

/// A descriptor to write text to, from any thread.
final class OutputStream: Sendable {
    private let descriptor: Int32
    private let bufferBytes: Int
    private let buffer = ConditionLock<[UInt8]>([])

    init(descriptor: Int32, bufferBytes: Int) {
        self.descriptor = descriptor
        self.bufferBytes = bufferBytes
    }

    func write(_ text: String) {
        buffer.withLock { buffer in
            buffer += text.utf8
            if buffer.count > bufferBytes { flush(&buffer) }
        }
    }

    func write(_ bytes: [UInt8]) { buffer.withLock { $0 += bytes } }

    func line(_ text: String) { write(text + "\n") }

    func flush() { buffer.withLock { flush(&$0) } }

    private func flush(_ buffer: inout [UInt8]) {
        defer { buffer.removeAll(keepingCapacity: true) }
        var done = 0
        while done < buffer.count {
            let count = buffer.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 {
                if descriptor == 1 { endWithoutReader() }
                return
            }
            done += count
        }
    }

    /// Nobody reads the output, or it cannot be written: ends as any filter does, by SIGPIPE, or says why.
    private func endWithoutReader() {
        if errno == EPIPE { endByBrokenPipe() }
        let reason = HostFilesError(errno: errno, "write to standard output")
        Standard.error.write("bakare-node: \(reason)\n")
        _exit(ExitStatus.failed.rawValue)
    }
}

/// A reader that goes away must not kill a backup whose progress it read.
func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

/// Takes the numbers of standard streams that are closed: a file that is opened later must not get one, since what is said
/// there would be written into that file. The root folder can be neither read nor written.
func holdClosedStreams() {
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 { _ = open("/", O_RDONLY | O_CLOEXEC) }
}

/// Ends the process as a filter ends whose reader has gone.
func endByBrokenPipe() -> Never {
    signal(SIGPIPE, SIG_DFL)
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    raise(SIGPIPE)
    _exit(128 + SIGPIPE)
}

/// Writes out what is gathered, and ends the process.
func finish(_ status: ExitStatus) -> Never {
    Standard.output.flush()
    exit(status.rawValue)
}

/// All of standard input or of a file, at most `limit` bytes; nil if it cannot be read or is longer.
func readAll(_ path: RawPath, limit: Int) -> [UInt8]? {
    let descriptor: Int32 =
        path == "-"
        ? 0
        : (path.bytes + [0]).withUnsafeBytes { path in
            path.bindMemory(to: CChar.self).baseAddress.map { open($0, O_RDONLY | O_CLOEXEC) } ?? -1
        }
    guard descriptor >= 0 else { return nil }
    defer { if descriptor > 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        if count < 0 { return nil }
        if count == 0 { return bytes }
        bytes += buffer.prefix(count)
        if bytes.count > limit { return nil }
    }
}
