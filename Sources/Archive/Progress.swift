package import Synchronization

/// Running counts of one operation, written by the workers and read by whoever shows progress. Also carries the wish to stop.
package final class Progress: Sendable {
    package let files = Atomic<Int>(0)
    package let directories = Atomic<Int>(0)
    /// Bytes of content dealt with so far.
    package let bytes = Atomic<Int>(0)
    /// What is to be done in all, 0 while unknown.
    package let totalFiles = Atomic<Int>(0)
    package let totalBytes = Atomic<Int>(0)
    package let problems = Atomic<Int>(0)
    /// Nothing goes on before peers have taken something.
    package let isWaitingForPeers = Atomic<Bool>(false)
    private let stopRequested = Atomic<Bool>(false)

    package init() {}

    /// Counts from nothing again, for another try.
    package func reset() {
        files.store(0, ordering: .relaxed)
        directories.store(0, ordering: .relaxed)
        bytes.store(0, ordering: .relaxed)
        problems.store(0, ordering: .relaxed)
    }

    /// Asks the operation to end soon: it throws ``ArchiveError`` with the code `interrupted` and leaves nothing half-done.
    /// Safe to call from a signal handler.
    package func stop() { stopRequested.store(true, ordering: .relaxed) }
    package var isStopping: Bool { stopRequested.load(ordering: .relaxed) }
}
