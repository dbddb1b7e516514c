package import BackupFormat
internal import HostFiles
internal import NIOCore
internal import NIOPosix
package import PeerProtocol
internal import Synchronization

/// All sessions of a node: listens, dials, and keeps within bounds. Its calls are for threads that may block.
package final class PeerTransport: Sendable {
    private let shell: TransportShell
    private let listeners = Mutex<[any Channel]>([])
    private let isStopped = Mutex(false)

    /// `basis` is asked for each session on an event loop, and must not block.
    package init(
        events: any TransportEvents, bounds: TransportBounds = TransportBounds(), clock: ShellClock = ShellClock(),
        threads: Int = 2, basis: @escaping @Sendable () -> SessionBasis
    ) {
        shell = TransportShell(clock: clock, bounds: bounds, events: events, threads: threads, basis: basis)
        watchForSuspension()
    }

    /// Connections that are open, of any kind; closing ones included.
    package var openCount: Int { shell.table.openCount }
    /// Of those accepted, the ones whose peers are not known to be paired.
    package var unknownCount: Int { shell.table.unknownCount }

    /// Accepts connections at `address`; port 0 is any free one. Answers where.
    package func listen(on address: PeerAddress) throws(NodeRuntimeError) -> PeerAddress {
        guard let numeric = address.socketAddress else { throw NodeRuntimeError(.notAnAddress, "\(address)") }
        let shell = shell
        let bootstrap = shell.options(ServerBootstrap(group: shell.group))
            .serverChannelInitializer { channel in
                // The kernel has no descriptor left: wait a moment, not in a circle.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler(shouldForwardIOErrorCaught: false))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard shell.accept(channel) else { throw NodeRuntimeError(.stopped) }
                }
            }
        // Under the lock, so that nothing is bound on event loops that have been stopped.
        return try isStopped.withLock { isStopped throws(NodeRuntimeError) in
            guard !isStopped else { throw NodeRuntimeError(.stopped) }
            do {
                let listener = try bootstrap.bind(to: numeric).wait()
                listeners.withLock { $0.append(listener) }
                return listener.localAddress.flatMap(PeerAddress.init) ?? address
            } catch {
                let reason = (error as? IOError).map { HostFilesError(errno: $0.errnoCode, "listen").reason } ?? "\(error)"
                throw NodeRuntimeError(.cannotListen, "\(address): \(reason)")
            }
        }
    }

    /// From now on there shall be a session with the node of this agreement key, which may be at these addresses, the likeliest first.
    /// May be said again whenever the addresses change.
    package func keepSession(with peer: Bytes32, at addresses: [PeerAddress]) {
        shell.table.dialer(for: peer) { PeerDialer(peer: peer, shell: shell) }?.setCandidates(addresses)
    }

    /// It need not be kept any more. A session that stands goes on.
    package func forgetPeer(_ peer: Bytes32) { shell.table.removeDialer(peer)?.stop() }

    /// Connects once, to the first address that answers as it should, and waits for it: to pair, or to recover.
    ///
    /// Throws what the last address said.
    package func connect(
        to addresses: [PeerAddress], peer: Bytes32?, token: Bytes32?
    ) throws(PeerProtocolError) -> PeerConnection {
        var last = PeerProtocolError(.disconnected, "no address")
        for address in addresses {
            let outcome = ConditionLock<Result<PeerConnection, PeerProtocolError>?>(nil)
            _ = shell.dial(
                address, peer: peer, token: token, purpose: .once,
                ready: { connection in outcome.withLock { $0 = .success(connection) } },
                ended: { _, error in outcome.withLock { $0 = $0 ?? .failure(error) } })
            switch outcome.wait(for: { $0 }) {
            case .success(let connection): return connection
            case .failure(let error): last = error
            }
        }
        throw last
    }

    /// Ends every session with a farewell, and waits until all is closed. Harmless when repeated.
    package func stop() {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        guard isFirst else { return }
        for listener in listeners.withLock({ $0 }) { listener.close(promise: nil) }
        let (drivers, dialers) = shell.table.stop()
        for dialer in dialers { dialer.stop() }
        for driver in drivers { driver.end(.leaving, "") }
        let grace = shell.bounds.lingerMax.components.seconds * 1000 + 1000
        if !shell.table.waitUntilEmpty(milliseconds: Int(grace)) {
            for driver in shell.table.allDrivers { driver.cut() }
        }
        do { try shell.group.syncShutdownGracefully() } catch {
            // It was stopped before, and this is the only place that does so.
            preconditionFailure("\(error)")
        }
    }

    /// Sessions of before a suspension are of no use: the peers have given them up. Ends them at once, and dials anew.
    private func watchForSuspension() {
        let shell = shell
        let detector = Mutex(
            SuspensionDetector(bootTime: shell.clock.now(), awakeTime: shell.clock.nowAwake()))
        let second = shell.clock.timeAmount(.seconds(1))
        shell.group.next().scheduleRepeatedTask(initialDelay: second, delay: second) { _ in
            let (bootTime, awakeTime) = (shell.clock.now(), shell.clock.nowAwake())
            guard detector.withLock({ $0.wasSuspended(bootTime: bootTime, awakeTime: awakeTime) }) else { return }
            for driver in shell.table.allDrivers { driver.onLoop { $0.handle(.resumed) } }
            for dialer in shell.table.allDialers { dialer.wake() }
        }
    }
}
