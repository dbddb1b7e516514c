import BackupFormat
import HostFiles
import NIOCore
import NIOPosix
import NodeRuntime

/// Stands between two nodes, and can cut their connection, or swallow everything as a network does whose other end is gone.
final class Proxy: Sendable {
    private struct State {
        var channels: [any Channel] = []
        var listener: (any Channel)?
        var isSwallowing = false
    }

    private let state = ConditionLock(State())
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Answers where to connect to.
    func start(to target: PeerAddress) throws -> PeerAddress {
        let listener = try ServerBootstrap(group: group)
            .childChannelInitializer { [self] accepted in
                ClientBootstrap(group: accepted.eventLoop).connect(host: target.host, port: Int(target.port)).flatMapThrowing {
                    [self] other in
                    try accepted.pipeline.syncOperations.addHandler(Glue(other) { [self] in isSwallowing })
                    try other.pipeline.syncOperations.addHandler(Glue(accepted) { [self] in isSwallowing })
                    state.withLock { $0.channels += [accepted, other] }
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        state.withLock { $0.listener = listener }
        return PeerAddress(host: "127.0.0.1", port: UInt16(listener.localAddress?.port ?? 0))
    }

    private var isSwallowing: Bool { state.withLock { $0.isSwallowing } }

    func swallow() { state.withLock { $0.isSwallowing = true } }

    /// Closes every connection there is.
    func cut() {
        let channels = state.withLock { state in
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }

    func stop() throws { try group.syncShutdownGracefully() }
}

private final class Glue: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let isSwallowing: () -> Bool

    init(_ other: any Channel, isSwallowing: @escaping () -> Bool) {
        self.other = other
        self.isSwallowing = isSwallowing
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isSwallowing() { other.writeAndFlush(unwrapInboundIn(data), promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { if !isSwallowing() { other.close(promise: nil) } }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
