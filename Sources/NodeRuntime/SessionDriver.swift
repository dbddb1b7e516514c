internal import BackupFormat
internal import Cryptography
internal import NIOCore
internal import PeerProtocol

/// Drives one session over one channel: bytes in, bytes out, time. Everything happens on the channel's event loop.
final class SessionDriver: ChannelInboundHandler, @unchecked Sendable {
    // SAFETY: all that changes is touched on `eventLoop` alone, which ``onLoop(_:)`` and NIO see to; the rest is constant.
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Why there is this connection.
    enum Purpose {
        case accepted
        /// Dialled to have a lasting session with a paired peer.
        case keep
        /// Dialled once, to pair or to recover.
        case once
    }

    private static let writeBytesMin = 64 << 10

    let id: ConnectionID
    let outbox: Outbox
    private let purpose: Purpose
    private let shell: TransportShell
    private let eventLoop: any EventLoop
    let channel: any Channel
    private let ready: @Sendable (PeerConnection) -> Void
    /// Called once.
    private let ended: @Sendable (PeerProtocolError) -> Void

    private var session: Session
    private var connection: PeerConnection?
    /// Requests of this node that are not answered.
    private var waiting: [RequestID: ReplyHandler] = [:]
    private var timer: Scheduled<Void>?
    private var sentBytes = 0
    /// How many bytes the kernel had taken when it took some last, and when that was.
    private var takenBytes = 0
    private var takenAt = Duration.zero
    private var isUnflushed = false
    private var isPumping = false
    private var hasBegun = false
    private var isOver = false

    init(
        _ setup: SessionSetup, id: ConnectionID, channel: any Channel, purpose: Purpose, shell: TransportShell,
        ready: @escaping @Sendable (PeerConnection) -> Void, ended: @escaping @Sendable (PeerProtocolError) -> Void
    ) {
        self.id = id
        self.channel = channel
        self.purpose = purpose
        self.shell = shell
        self.ready = ready
        self.ended = ended
        eventLoop = channel.eventLoop
        outbox = Outbox(queuedBytesMax: shell.bounds.queuedBytesMax)
        session = Session(setup, ephemeral: .random32())
    }

    var isOnLoop: Bool { eventLoop.inEventLoop }

    /// Runs `body` on the event loop, unless the session is over: the loop may have been stopped since.
    func onLoop(_ body: @escaping @Sendable (SessionDriver) -> Void) {
        if isOnLoop { return body(self) }
        if outbox.ended == nil { eventLoop.execute { body(self) } }
    }

    /// Ends the session, from any thread.
    func end(_ code: PeerProtocolError.Code, _ reason: String) { onLoop { $0.handle(.close(code, reason: reason)) } }

    /// Ends an attempt to connect that is not needed any more, unless keys are agreed on: then both sides have to decide alike.
    func abandon() { onLoop { if $0.session.handshakeHash == nil { $0.handle(.close(.duplicate, reason: "")) } } }

    /// Closes at once, whatever has not gone out.
    func cut() { channel.close(mode: .all, promise: nil) }

    // MARK: What the channel tells

    func handlerAdded(context: ChannelHandlerContext) {
        channel.closeFuture.whenComplete { [self] _ in
            handle(.disconnected)
            shell.table.closed(id)
        }
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) { begin() }

    private func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        takenAt = shell.clock.now()
        handle(.connected)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        let now = shell.clock.now()
        perform(unwrapInboundIn(data).withUnsafeReadableBytes { session.handle(.received($0), at: now) })
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { if channel.isWritable { pump() } }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What the system says of a broken connection adds nothing to that it is broken.
        handle(.disconnected)
    }

    // MARK: What the session says

    func handle(_ event: SessionEvent) {
        eventLoop.preconditionInEventLoop()
        perform(session.handle(event, at: shell.clock.now()))
    }

    private func perform(_ effects: [SessionEffect]) {
        var answeredBytes = 0
        for effect in effects {
            switch effect {
            case .write(let bytes): write(ByteBuffer(bytes: bytes))
            case .ready(let peer, let trust, let hello): becameReady(peer, trust, hello)
            case .offered(let offer): if let connection { shell.events.offered(connection, offer) }
            case .requested(let id, let request, let bulk, let creditBytes):
                if let connection {
                    shell.events.requested(
                        connection, PeerRequest(id: id, request: request, bulk: bulk, creditBytes: creditBytes))
                }
            case .answered(let id, let answer, let bulk, let creditBytes):
                waiting.removeValue(forKey: id)?(.success(PeerReply(answer, bulk: bulk)))
                // Whoever asks has room for the answer: credit need not wait for him.
                answeredBytes += creditBytes
            case .creditGrew: break
            case .closed(let error): finish(error)
            }
        }
        guard !isOver else { return }
        if answeredBytes > 0 { return handle(.consumed(creditBytes: answeredBytes)) }
        pump()
        flush()
        if timer == nil, !isOver { setTimer() }
    }

    private func becameReady(_ peer: PeerIdentity, _ trust: Trust, _ hello: Hello) {
        let isPaired = trust == .own || trust == .friend
        if isPaired, !shell.table.becamePaired(id, peer: peer.agreementKey) { return handle(.close(.busy, reason: "")) }
        if !isPaired, purpose == .keep { return handle(.close(.notWelcome, reason: "")) }
        let connection = PeerConnection(
            peer: peer, trust: trust, hello: hello, handshakeHash: session.handshakeHash ?? [], isDialled: purpose != .accepted,
            invitationToken: session.invitationToken, driver: self)
        self.connection = connection
        // From now on the session wants to be called earlier.
        timer?.cancel()
        timer = nil
        shell.events.connected(connection)
        ready(connection)
    }

    /// Sends what is queued, as far as credit and the kernel take it.
    func pump() {
        // The channel says that it takes more while it is written to: then the loop here goes on.
        guard connection != nil, !isOver, !isPumping else { return }
        isPumping = true
        repeat {
            sealQueued()
            guard isUnflushed else { break }
            flush()
        } while channel.isWritable && !isOver
        isPumping = false
    }

    private func sealQueued() {
        let now = shell.clock.now()
        var sealed = SealedBytes(channel.allocator)
        while channel.isWritable,
            let item = outbox.next(creditBytes: session.creditBytes, hasRequestRoom: waiting.count < Limits.requestsMax)
        {
            do throws(SendRefusal) {
                switch item {
                case .request(let request, let bulk, let then):
                    waiting[try session.request(request, bulk: bulk, at: now, into: &sealed)] = then
                case .answer(let id, let answer, let bulk):
                    try session.answer(id, with: answer, bulk: bulk, at: now, into: &sealed)
                }
            } catch {
                precondition(error != .notAsked, "an answer to what was not asked, or was answered")
                outbox.putBack(item)
                break
            }
            // Short messages share a write.
            if sealed.buffer.readableBytes >= SessionDriver.writeBytesMin {
                write(sealed.buffer)
                sealed = SealedBytes(channel.allocator)
            }
        }
        if sealed.buffer.readableBytes > 0 { write(sealed.buffer) }
    }

    private func write(_ bytes: ByteBuffer) {
        sentBytes += bytes.readableBytes
        isUnflushed = true
        channel.write(bytes, promise: nil)
    }

    private func flush() {
        guard isUnflushed else { return }
        isUnflushed = false
        channel.flush()
    }

    // MARK: Time

    private func setTimer() {
        let due = session.deadline - shell.clock.now()
        timer = eventLoop.scheduleTask(in: shell.clock.timeAmount(due)) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        timer = nil
        guard !isOver else { return }
        let now = shell.clock.now()
        if isStalled(now) { return handle(.close(.silent, reason: "the peer takes nothing of what is due to it")) }
        perform(now >= session.deadline ? session.handle(.tick, at: now) : [])
    }

    /// Whether the kernel has had bytes for the peer for long, and got rid of none.
    private func isStalled(_ now: Duration) -> Bool {
        let buffered = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if buffered == 0 || sentBytes - buffered != takenBytes {
            takenBytes = sentBytes - buffered
            takenAt = now
        }
        return now - takenAt > shell.bounds.stalledMax
    }

    // MARK: The end

    private func finish(_ error: PeerProtocolError) {
        isOver = true
        timer?.cancel()
        timer = nil
        let unsent = outbox.end(error)
        let unanswered = waiting.sorted { $0.key < $1.key }
        waiting = [:]
        for (_, then) in unanswered { then(.failure(error)) }
        for case .request(_, _, let then) in unsent { then(.failure(error)) }
        shell.table.ended(id)
        if let connection { shell.events.disconnected(connection, error) } else { shell.events.refused(error) }
        ended(error)
        close(afterLastWords: isUnflushed)
        connection = nil
    }

    /// A side that closes with bytes unread resets the connection, and the peer may never read the last words: so the peer closes
    /// first. Nothing is kept for somebody unknown: he gets his refusal if it goes out at once.
    private func close(afterLastWords: Bool) {
        flush()
        guard afterLastWords, session.handshakeHash != nil, channel.isActive else {
            return channel.close(mode: .all, promise: nil)
        }
        channel.close(mode: .output, promise: nil)
        let channel = channel
        eventLoop.scheduleTask(in: shell.clock.timeAmount(shell.bounds.lingerMax)) { channel.close(mode: .all, promise: nil) }
    }
}
