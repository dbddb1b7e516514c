internal import CAvahi
internal import Glibc
internal import Synchronization

/// What other threads want of the thread of discovery, and a bell that wakes it.
final class DiscoveryOrders: Sendable {
    private struct State {
        var announcement: Announcement
        var isStopping = false
    }

    private let state: Mutex<State>
    /// Readable once something was ordered. Negative where the system has no descriptor left.
    let bell: Int32

    init(_ announcement: Announcement) {
        state = Mutex(State(announcement: announcement))
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }

    deinit {
        if bell >= 0 { close(bell) }
    }

    /// What to announce; nil when it is time to stop.
    var announcement: Announcement? { state.withLock { $0.isStopping ? nil : $0.announcement } }

    func announce(_ announcement: Announcement) {
        state.withLock {
            precondition($0.announcement.id == announcement.id, "a node keeps its id")
            $0.announcement = announcement
        }
        ring()
    }

    func stop() {
        state.withLock { $0.isStopping = true }
        ring()
    }

    private func ring() { eventfd_write(bell, 1) }

    func silence() {
        var count: eventfd_t = 0
        eventfd_read(bell, &count)
    }
}
