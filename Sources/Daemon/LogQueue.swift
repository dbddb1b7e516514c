internal import HostFiles

/// Lines for people on their way out. Whoever says something never waits for whoever reads it: a terminal that was stopped by Ctrl-S, or a
/// pipe that nobody empties, must not stop an event loop.
package final class LogQueue: Sendable {
    private struct State {
        var lines: [String] = []
        var droppedCount = 0
        var isWriting = false
        var isOver = false
    }

    /// More are counted, and left out.
    private static let linesMax = 1000
    private static let flushMilliseconds = 1000

    private let state = ConditionLock(State())

    /// `write` is called on a thread of its own, a line at a time, and may wait.
    package init(_ write: @escaping @Sendable (String) -> Void) {
        let state = state
        let thread = WorkerThread(name: "log") { LogQueue.run(state, write) }
        // Without a thread nothing is told, and nothing is kept for it.
        if thread == nil { state.withLock { $0.isOver = true } }
    }

    package func say(_ line: String) {
        state.withLock { state in
            guard !state.isOver else { return }
            if state.lines.count < LogQueue.linesMax { state.lines.append(line) } else { state.droppedCount += 1 }
        }
    }

    /// Takes no more. Waits for what was said to go out, unless nobody takes it.
    package func end() {
        state.withLock { $0.isOver = true }
        _ = state.wait(milliseconds: LogQueue.flushMilliseconds) { state in
            state.lines.isEmpty && !state.isWriting ? true : nil
        }
    }

    private static func run(_ state: ConditionLock<State>, _ write: (String) -> Void) {
        while true {
            let next = state.wait { state -> [String]?? in
                state.isWriting = false
                guard !state.lines.isEmpty else { return state.isOver ? .some(nil) : nil }
                var lines = state.lines
                if state.droppedCount > 0 { lines.append("\(state.droppedCount) more lines were left out") }
                state.lines = []
                state.droppedCount = 0
                state.isWriting = true
                return lines
            }
            guard let next else { return }
            for line in next { write(line) }
        }
    }
}
