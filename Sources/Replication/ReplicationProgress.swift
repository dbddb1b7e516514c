internal import Synchronization

/// How far one piece of work has come; may be asked and stopped from any thread.
package final class ReplicationProgress: Sendable {
    private let bytesSentCount = Atomic<Int>(0)
    private let bytesReceivedCount = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)

    private let isStoppedElsewhere: @Sendable () -> Bool
    private let onReceived: @Sendable (Int) -> Void

    /// `isStopping` is asked at each step; `onReceived` is told of bytes as they come, from any thread.
    package init(
        isStopping: @escaping @Sendable () -> Bool = { false }, onReceived: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        isStoppedElsewhere = isStopping
        self.onReceived = onReceived
    }

    package var bytesSent: Int { bytesSentCount.load(ordering: .relaxed) }
    package var bytesReceived: Int { bytesReceivedCount.load(ordering: .relaxed) }

    /// Ends the work at its next step; nothing that is half done counts.
    package func stop() { isStopped.store(true, ordering: .relaxed) }

    func sent(_ bytes: Int) { bytesSentCount.add(bytes, ordering: .relaxed) }
    func received(_ bytes: Int) {
        bytesReceivedCount.add(bytes, ordering: .relaxed)
        onReceived(bytes)
    }

    func requireGoing() throws(ReplicationError) {
        if isStopped.load(ordering: .relaxed) || isStoppedElsewhere() { throw ReplicationError(.stopped, "stopped") }
    }
}
