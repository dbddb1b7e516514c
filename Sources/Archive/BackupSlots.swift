internal import Synchronization

/// What one entry of a folder comes to.
enum SlotValue: Sendable {
    /// The entry as it stands in the memo's only chunk, at this range of bytes.
    case unchanged(Range<Int>)
    /// A newly encoded entry.
    case encoded([UInt8])
    /// Nothing: it vanished, is left out, or cannot be read and was never backed up.
    case omitted
}

/// The entries of one folder in order, some of which wait for a subfolder or a large file that other workers are busy with.
///
/// Values leave in order, to one thread at a time.
final class BackupSlots: Sendable {
    private struct State {
        /// Entries not taken yet; nil where the value is not known.
        var queue: [SlotValue?] = []
        /// Index of the first of `queue` not taken, and the number of slots before `queue[0]`.
        var head = 0
        var base = 0
        var draining = false
        var suspended = false
        var scanned = false
        var ended = false

        var waiting: Int { queue.count - head }

        mutating func compact() {
            guard head > 256, head * 2 > queue.count else { return }
            queue.removeFirst(head)
            base += head
            head = 0
        }
    }

    /// What the caller of ``take()`` has to do next.
    enum Step {
        /// Apply these values, then call ``applied()`` and ``take()`` again.
        case apply([SlotValue])
        /// There is room again: the scan of the folder, which had stopped, goes on.
        case resume
        /// All entries are applied: close the folder.
        case end
        case nothing
    }

    private let state = Mutex(State())
    private static let waitingMax = 1024

    /// Adds a known value. True if it may be applied at once, by the caller, instead.
    func mayApplyNow(orQueue value: @autoclosure () -> SlotValue) -> Bool {
        state.withLock { state in
            if state.waiting == 0 && !state.draining { return true }
            state.queue.append(value())
            return false
        }
    }

    /// Adds an entry whose value comes later by ``resolve(_:_:)``; returns its slot.
    func reserve() -> Int {
        state.withLock { state in
            state.queue.append(nil)
            return state.base + state.queue.count - 1
        }
    }

    func resolve(_ slot: Int, _ value: SlotValue) { state.withLock { $0.queue[slot - $0.base] = value } }

    /// Whether the scan must stop, as too much waits; it is resumed by a later ``Step/resume``.
    func mustSuspend() -> Bool {
        state.withLock { state in
            guard state.waiting >= BackupSlots.waitingMax else { return false }
            state.suspended = true
            return true
        }
    }

    /// All entries have been added.
    func scanEnded() { state.withLock { $0.scanned = true } }

    func applied() { state.withLock { $0.draining = false } }

    func take() -> Step {
        state.withLock { state in
            if state.draining { return .nothing }
            var ready: [SlotValue] = []
            while state.head < state.queue.count, let value = state.queue[state.head] {
                ready.append(value)
                state.queue[state.head] = .some(.omitted)
                state.head += 1
            }
            state.compact()
            if !ready.isEmpty {
                state.draining = true
                return .apply(ready)
            }
            if state.suspended && state.waiting < BackupSlots.waitingMax / 2 {
                state.suspended = false
                return .resume
            }
            if state.scanned && state.waiting == 0 && !state.ended {
                state.ended = true
                return .end
            }
            return .nothing
        }
    }
}
