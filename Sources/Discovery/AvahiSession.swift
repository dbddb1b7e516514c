internal import BackupFormat
internal import CAvahi

/// One connection to the Avahi daemon, from the first attempt until it fails.
///
/// Callbacks note what happened; ``advance(_:now:)`` does what follows. Must be closed.
final class AvahiSession {
    private var client: OpaquePointer?
    private var state = AVAHI_CLIENT_CONNECTING
    /// The host has, or has had, no name of its own: what was registered under the old one is void.
    private var isHostRenamed = false
    private var registration: AvahiRegistration?
    private var browser: AvahiBrowser?
    private let ownID: DeviceID
    private let report: (DiscoveryEvent) -> Void
    /// Why it cannot go on.
    private(set) var failure: String?

    init(_ api: UnsafePointer<AvahiPoll>, ownID: DeviceID, report: @escaping (DiscoveryEvent) -> Void) {
        self.ownID = ownID
        self.report = report
        var error: Int32 = 0
        client = avahi_client_new(
            api, AVAHI_CLIENT_NO_FAIL,
            { client, state, context in
                guard let context else { return }
                Unmanaged<AvahiSession>.fromOpaque(context).takeUnretainedValue().note(state, of: client)
            }, Unmanaged.passUnretained(self).toOpaque(), &error)
        if client == nil { failure = avahiMessage(error) }
    }

    /// Whether the daemon answers.
    var isConnected: Bool { failure == nil && state != AVAHI_CLIENT_CONNECTING }

    /// When there is something to do although nothing has happened.
    var nextAt: UInt64 { min(registration?.nextAt ?? .max, browser?.browseAgainAt ?? .max) }

    private func note(_ state: AvahiClientState, of client: OpaquePointer?) {
        self.state = state
        switch state {
        case AVAHI_CLIENT_FAILURE: failure = avahiMessage(avahi_client_errno(client))
        case AVAHI_CLIENT_S_REGISTERING, AVAHI_CLIENT_S_COLLISION: isHostRenamed = true
        default: break
        }
    }

    func advance(_ announcement: Announcement, now: UInt64) {
        guard failure == nil, let client, isConnected else { return }
        let browser = self.browser ?? AvahiBrowser(client, ownID: ownID, report: report)
        self.browser = browser
        browser.advance(now: now)
        failure = failure ?? browser.failure
        guard announcement.port > 0 else { return }
        let registration = self.registration ?? AvahiRegistration(client)
        self.registration = registration
        if isHostRenamed { registration.withdraw() }
        isHostRenamed = false
        if state == AVAHI_CLIENT_S_RUNNING { registration.keep(announcement, now: now) }
        failure = failure ?? registration.failure
    }

    /// Frees everything, which makes the daemon take the announcement back; everyone found is gone.
    func close() {
        if let client { avahi_client_free(client) }
        client = nil
        registration = nil
        browser?.close()
        browser = nil
    }
}

/// What the library says of an error.
func avahiMessage(_ code: Int32) -> String { avahi_strerror(code).map { String(cString: $0) } ?? "error \(code)" }
