internal import CAvahi
internal import CLinux

/// What the thread of discovery does: one connection to the daemon after the other, each made anew after the last one failed.
///
/// Everything here, callbacks of the library included, runs on that one thread.
final class DiscoveryLoop {
    private let orders: DiscoveryOrders
    private let handler: (DiscoveryEvent) -> Void
    private var session: AvahiSession?
    private var isAvailable: Bool?
    private var retry = Backoff(firstMilliseconds: 500, longestMilliseconds: 60_000)
    /// When to connect, by the monotonic clock.
    private var connectAt: UInt64 = 0
    /// From when on a daemon that answers is taken to be well again: a failure after that is a first one.
    private var settledAt: UInt64 = .max

    init(_ orders: DiscoveryOrders, _ handler: @escaping (DiscoveryEvent) -> Void) {
        self.orders = orders
        self.handler = handler
    }

    func run() {
        if let reason = bakare_avahi_load() {
            handler(.unavailable(reason: String(cString: reason)))
            return
        }
        guard orders.bell >= 0, let poll = avahi_simple_poll_new() else {
            handler(.unavailable(reason: "too many open files for discovery"))
            return
        }
        defer { avahi_simple_poll_free(poll) }
        guard let api = avahi_simple_poll_get(poll), let watch = watchBell(api) else {
            handler(.unavailable(reason: "out of memory for discovery"))
            return
        }
        defer { api.pointee.watch_free(watch) }
        while let announcement = orders.announcement {
            let wakeAt = advance(announcement, api, now: linux_monotonic_nanoseconds())
            if avahi_simple_poll_iterate(poll, milliseconds(until: wakeAt)) != 0 {
                fail("poll failed", now: linux_monotonic_nanoseconds())
                linux_sleep_milliseconds(1000)
            }
        }
        session?.close()
        session = nil
    }

    private func watchBell(_ api: UnsafePointer<AvahiPoll>) -> OpaquePointer? {
        api.pointee.watch_new(
            api, orders.bell, AVAHI_WATCH_IN,
            { _, _, _, context in
                guard let context else { return }
                Unmanaged<DiscoveryOrders>.fromOpaque(context).takeUnretainedValue().silence()
            }, Unmanaged.passUnretained(orders).toOpaque())
    }

    /// Does all that can be done now, and gives the time at which there is more to do.
    private func advance(_ announcement: Announcement, _ api: UnsafePointer<AvahiPoll>, now: UInt64) -> UInt64 {
        if session == nil, now >= connectAt {
            session = AvahiSession(api, ownID: announcement.id, report: handler)
        }
        guard let session else { return connectAt }
        session.advance(announcement, now: now)
        if let failure = session.failure {
            fail(failure, now: now)
            return connectAt
        }
        if session.isConnected, settledAt == .max { settledAt = now + 10_000_000_000 }
        tell(isAvailable: session.isConnected, "Avahi is not running: start avahi-daemon to find nodes on the local network")
        return session.nextAt
    }

    private func fail(_ reason: String, now: UInt64) {
        session?.close()
        session = nil
        if now >= settledAt { retry.reset() }
        settledAt = .max
        connectAt = now + retry.next()
        tell(isAvailable: false, "Avahi does not answer (\(reason)): is avahi-daemon running?")
    }

    private func tell(isAvailable now: Bool, _ reason: String) {
        guard isAvailable != now else { return }
        isAvailable = now
        handler(now ? .available : .unavailable(reason: reason))
    }
}

/// How long to wait for a time by the monotonic clock, rounded up; -1 for ever.
private func milliseconds(until time: UInt64) -> Int32 {
    guard time < .max else { return -1 }
    let now = linux_monotonic_nanoseconds()
    return time <= now ? 0 : Int32(clamping: (time - now) / 1_000_000 + 1)
}
