internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Glibc
internal import HostFiles

/// How progress is shown on standard error.
enum ProgressStyle: String, CaseIterable {
    /// One line that changes in place, if standard error is a terminal.
    case auto
    /// One JSON object a line, every second.
    case json
    case none
}

/// Shows the progress of one operation until it is ended, and lets other lines through in between.
final class ProgressDisplay: Sendable {
    private struct State {
        var isEnded = false
        /// A progress line stands on the terminal.
        var isShown = false
        var lastBytes = 0
        var lastSeconds = 0.0
        /// Bytes a second, smoothed.
        var rate = 0.0
    }

    private let style: ProgressStyle
    private let progress: Progress
    private let verb: String
    private let started = monotonicSeconds()
    private let state = ConditionLock(State())

    /// `verb` begins the line: "backing up".
    init(_ progress: Progress, style: ProgressStyle, verb: String) {
        self.progress = progress
        self.verb = verb
        self.style = style == .auto && !Standard.isTerminal(2) ? .none : style
    }

    /// Runs `body` with the progress shown meanwhile.
    func during<R>(_ body: () throws(NodeError) -> R) throws(NodeError) -> R {
        guard style != .none else { return try body() }
        let thread = WorkerThread(name: "progress") { [self] in
            let milliseconds = style == .json ? 1000 : 250
            while state.wait(milliseconds: milliseconds, for: { $0.isEnded ? true : nil }) == nil { show() }
        }
        defer {
            state.withLock { $0.isEnded = true }
            thread?.join()
            clear()
            if style == .json { show() }
        }
        return try body()
    }

    /// Writes a line on standard error, out of the way of the progress line.
    func line(_ text: String) {
        clear()
        Standard.error.line(text)
    }

    private func clear() {
        let wasShown = state.withLock { state in
            defer { state.isShown = false }
            return state.isShown
        }
        if wasShown { Standard.error.write("\r\u{1b}[K") }
    }

    private func show() {
        let seconds = monotonicSeconds() - started
        let bytes = progress.bytes.load(ordering: .relaxed)
        let rate = state.withLock { state in
            let elapsed = seconds - state.lastSeconds
            if elapsed > 0 {
                let now = Double(max(0, bytes - state.lastBytes)) / elapsed
                let weight = state.lastSeconds == 0 ? 1 : min(1, elapsed / 3)
                state.rate += (now - state.rate) * weight
            }
            state.lastBytes = bytes
            state.lastSeconds = seconds
            state.isShown = style == .auto
            return state.rate
        }
        let line = style == .json ? jsonLine(seconds, bytes, rate) + "\n" : "\r\(textLine(seconds, bytes, rate))\u{1b}[K"
        Standard.error.write(line)
    }

    /// Judged by bytes where their total is known, else by files; nil while neither is.
    private func secondsLeft(_ bytes: Int, _ seconds: Double) -> Double? {
        var (done, total) = (bytes, progress.totalBytes.load(ordering: .relaxed))
        if total == 0 { (done, total) = (progress.files.load(ordering: .relaxed), progress.totalFiles.load(ordering: .relaxed)) }
        guard total > 0, done > 0, seconds > 1 else { return nil }
        return Double(max(0, total - done)) * seconds / Double(done)
    }

    private func textLine(_ seconds: Double, _ bytes: Int, _ rate: Double) -> String {
        if progress.isStopping { return "stopping" }
        let files = progress.files.load(ordering: .relaxed)
        let total = progress.totalBytes.load(ordering: .relaxed)
        var parts = [clock(seconds), describeCount(files, "file"), describeBytes(bytes)]
        let totalFiles = progress.totalFiles.load(ordering: .relaxed)
        if total > 0 {
            parts[2] += " of \(describeBytes(total))"
        } else if totalFiles > 0 {
            parts[1] = "\(files) of \(describeCount(totalFiles, "file"))"
        }
        parts.append("\(describeBytes(Int(rate)))/s")
        if let left = secondsLeft(bytes, seconds) { parts.append("\(clock(left)) left") }
        let problems = progress.problems.load(ordering: .relaxed)
        if progress.isWaitingForPeers.load(ordering: .relaxed) { parts.append("waiting for peers to take what is here") }
        if problems > 0 { parts.append(describeCount(problems, "problem")) }
        return String("\(verb)  \(parts.joined(separator: "  "))".prefix(max(10, Standard.columns - 1)))
    }

    private func jsonLine(_ seconds: Double, _ bytes: Int, _ rate: Double) -> String {
        func known(_ total: Int) -> JSON { total > 0 ? .int(total) : .null }
        return JSON.object([
            "seconds": .number((seconds * 1000).rounded() / 1000),
            "files": .int(progress.files.load(ordering: .relaxed)),
            "dirs": .int(progress.directories.load(ordering: .relaxed)),
            "bytes": .int(bytes),
            "total_files": known(progress.totalFiles.load(ordering: .relaxed)),
            "total_bytes": known(progress.totalBytes.load(ordering: .relaxed)),
            "bytes_per_second": .int(Int(rate)),
            "seconds_left": secondsLeft(bytes, seconds).map { .number($0.rounded()) } ?? .null,
            "problems": .int(progress.problems.load(ordering: .relaxed)),
            "waiting_for_peers": .bool(progress.isWaitingForPeers.load(ordering: .relaxed)),
        ]).text
    }
}

/// `0:07`, `12:34`, `3:05:00`.
private func clock(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 1e9))
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return whole < 3600 ? "\(whole / 60):\(two(whole % 60))" : "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
}

private func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
