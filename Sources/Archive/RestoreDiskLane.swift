internal import Synchronization

/// The way past the page cache, which only a few workers may take at a time.
///
/// A write on it takes as long as the disk does, and costs no memory; a write through the page cache waits for nothing, but
/// has to find new memory for every page, which can take more processor time than the copy itself. With some workers on
/// the lane and the others beside it, neither the disk nor the processors are ever idle: a fast disk takes nearly all.
final class RestoreDiskLane: Sendable {
    private let width: Int
    private let inside = Atomic<Int>(0)

    /// `width` workers may be on it at once.
    init(width: Int) { self.width = width }

    /// Whether there was room; then ``leave()`` follows.
    func enter() -> Bool {
        if inside.add(1, ordering: .relaxed).newValue <= width { return true }
        inside.subtract(1, ordering: .relaxed)
        return false
    }

    func leave() { inside.subtract(1, ordering: .relaxed) }
}
