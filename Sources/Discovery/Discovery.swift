// Finds other nodes on the local network: announces this node as `_bakare._tcp`, and browses for and resolves others, through the
// Avahi daemon. What answers mean is decided by `PeerSet`, a value; `DiscoveryLoop` and what it starts talk to the daemon.
//
// Everything found is a hint that anyone on the network can forge: this module must never let it grant anything, must never
// trap on it, and keeps no more of it than `DiscoveryLimits` allows. It must never take the node down where no daemon runs.

internal import BackupFormat
internal import HostFiles

/// Announces this node on the local network and tells of others, on a thread of its own, until it is stopped.
///
/// The daemon may be missing, or end and come back: then everything found is gone, the handler is told once why, and discovery
/// keeps trying quietly.
package final class Discovery: Sendable {
    private let orders: DiscoveryOrders
    private let thread: WorkerThread?

    /// `handler` is called on the thread of discovery, one event after the other, and never after ``stop()`` has returned.
    /// It must be quick, and must not call `stop`.
    package init(announcement: Announcement, handler: @escaping @Sendable (DiscoveryEvent) -> Void) {
        let orders = DiscoveryOrders(announcement)
        self.orders = orders
        thread = WorkerThread(name: "discovery") { DiscoveryLoop(orders, handler).run() }
        if thread == nil { handler(.unavailable(reason: "the system has no thread left for discovery")) }
    }

    deinit { stop() }

    /// Announces something else of this node; its id stays the same.
    package func update(_ announcement: Announcement) { orders.announce(announcement) }

    /// Takes the announcement back, frees everything and waits for the thread's end: a moment, or as long as one call to the daemon
    /// takes to time out (25 s) where that hangs. Harmless when repeated.
    package func stop() {
        orders.stop()
        thread?.join()
    }
}
