internal import BackupFormat
internal import NIOCore
internal import NIOPosix
internal import PeerProtocol

/// What all parts of one transport share.
final class TransportShell: Sendable {
    let clock: ShellClock
    let bounds: TransportBounds
    let events: any TransportEvents
    let table: ConnectionTable
    let group: MultiThreadedEventLoopGroup
    /// What this node brings to a session; asked for each.
    private let basis: @Sendable () -> SessionBasis

    init(
        clock: ShellClock, bounds: TransportBounds, events: any TransportEvents, threads: Int,
        basis: @escaping @Sendable () -> SessionBasis
    ) {
        self.clock = clock
        self.bounds = bounds
        self.events = events
        self.basis = basis
        table = ConnectionTable(bounds: bounds, ownKey: basis().handshake.key.agreementPublicKey)
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    }

    func sessionSetup(_ side: HandshakeSide) -> SessionSetup {
        basis().setup(side)
    }

    /// On the event loop of `channel`, which was accepted: gives it a session. False when it has to be closed.
    func accept(_ channel: any Channel) -> Bool {
        let driver = SessionDriver(
            sessionSetup(.responder(invitations: basis().invitations)), id: table.makeID(), channel: channel, purpose: .accepted,
            shell: self, ready: { _ in }, ended: { _ in })
        return install(driver, from: ConnectionSource(channel.remoteAddress))
    }

    /// On the event loop of its channel: sets a driver to work. False when the channel or the transport was closed meanwhile.
    func install(_ driver: SessionDriver, from source: ConnectionSource?) -> Bool {
        guard table.opened(driver, from: source) else { return false }
        do {
            try driver.channel.pipeline.syncOperations.addHandler(driver)
            return true
        } catch {
            table.ended(driver.id)
            table.closed(driver.id)
            return false
        }
    }
}

extension ChannelOption where Self == ChannelOptions.Types.SocketOption {
    /// Bytes that wait in the kernel, not sent, before it takes more: a ping does not queue behind megabytes.
    static var notSentLowWater: Self { .tcpOption(.init(rawValue: 25)) }
    /// Milliseconds after which the kernel gives up what is not acknowledged, for a closed socket too.
    static var userTimeout: Self { .tcpOption(.init(rawValue: 18)) }
}

extension TransportShell {
    static let notSentBytes = ChannelOptions.Types.SocketOption.Value(256 << 10)
    static let userTimeoutMilliseconds = ChannelOptions.Types.SocketOption.Value(30_000)

    var waterMark: ChannelOptions.Types.WriteBufferWaterMark {
        .init(low: bounds.unsentBytesMax / 4, high: bounds.unsentBytesMax)
    }
    /// What is read at once; grows as long as there is as much.
    static var readBuffers: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 4 << 10, initial: 16 << 10, maximum: 256 << 10)
    }

    func options(_ bootstrap: ClientBootstrap) -> ClientBootstrap {
        bootstrap
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.notSentLowWater, value: TransportShell.notSentBytes)
            .channelOption(.userTimeout, value: TransportShell.userTimeoutMilliseconds)
            .channelOption(.writeBufferWaterMark, value: waterMark)
            .channelOption(.recvAllocator, value: TransportShell.readBuffers)
    }

    func options(_ bootstrap: ServerBootstrap) -> ServerBootstrap {
        bootstrap
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.notSentLowWater, value: TransportShell.notSentBytes)
            .childChannelOption(.userTimeout, value: TransportShell.userTimeoutMilliseconds)
            .childChannelOption(.writeBufferWaterMark, value: waterMark)
            .childChannelOption(.recvAllocator, value: TransportShell.readBuffers)
    }
}
