internal import BackupFormat
internal import NIOCore
internal import NIOPosix
internal import PeerProtocol
internal import Synchronization

/// One connection that this node makes, from the first packet on.
final class DialAttempt: Sendable {
    private enum State {
        case connecting
        case connected(SessionDriver)
        case abandoned
    }

    private let state = Mutex(State.connecting)

    /// It is not needed any more; harmless at any time.
    func abandon() {
        let driver = state.withLock { state -> SessionDriver? in
            defer { state = .abandoned }
            guard case .connected(let driver) = state else { return nil }
            return driver
        }
        driver?.abandon()
    }

    /// False when nobody wants it any more.
    func connected(_ driver: SessionDriver) -> Bool {
        state.withLock { state in
            guard case .connecting = state else { return false }
            state = .connected(driver)
            return true
        }
    }
}

extension TransportShell {
    /// Connects to an address. `ready` is called at most once, `ended` exactly once, unless the attempt is abandoned before there
    /// is a connection; both on an event loop, `ended` never before this has returned.
    func dial(
        _ address: PeerAddress, peer: Bytes32?, token: Bytes32?, purpose: SessionDriver.Purpose,
        ready: @escaping @Sendable (PeerConnection) -> Void = { _ in },
        ended: @escaping @Sendable (DialAttempt, PeerProtocolError) -> Void
    ) -> DialAttempt {
        let attempt = DialAttempt()
        let loop = group.next()
        loop.execute { [self] in
            let bootstrap = options(ClientBootstrap(group: loop).connectTimeout(clock.timeAmount(bounds.connectMax)))
            let connecting =
                if let numeric = address.socketAddress { bootstrap.connect(to: numeric) } else {
                    bootstrap.connect(host: address.host, port: Int(address.port))
                }
            connecting.hop(to: loop).whenComplete { [self] result in
                switch result {
                case .success(let channel):
                    self.begin(
                        on: channel, attempt, peer: peer, token: token, purpose: purpose, ready: ready,
                        ended: { ended(attempt, $0) })
                case .failure(let error):
                    let error = dialFailure(address, error)
                    self.events.refused(error)
                    ended(attempt, error)
                }
            }
        }
        return attempt
    }

    private func begin(
        on channel: any Channel, _ attempt: DialAttempt, peer: Bytes32?, token: Bytes32?, purpose: SessionDriver.Purpose,
        ready: @escaping @Sendable (PeerConnection) -> Void, ended: @escaping @Sendable (PeerProtocolError) -> Void
    ) {
        let driver = SessionDriver(
            sessionSetup(.initiator(peer: peer, token: token)), id: table.makeID(), channel: channel, purpose: purpose,
            shell: self,
            ready: ready, ended: ended)
        guard attempt.connected(driver), install(driver, from: nil) else {
            channel.close(mode: .all, promise: nil)
            return ended(PeerProtocolError(.disconnected, "not needed any more"))
        }
    }
}
