internal import BackupFormat
internal import Cryptography

extension Session {
    /// Makes a request. `bulk` is what follows it: a ``Put``'s bytes, or an encoded forget order.
    ///
    /// Answers the request's number, which its answer will bear, and what to write. Nothing has happened when it throws.
    package mutating func request(
        _ request: Request, bulk: ArraySlice<UInt8> = [], at now: Duration
    ) throws(SendRefusal) -> (id: RequestID, bytes: [UInt8]) {
        guard isReady else { throw .notReady }
        guard requests.hasRoom else { throw .tooManyRequests }
        let id = requests.nextID
        let bytes = try send(.request(id, request), bulk, at: now)
        requests.made(id, request)
        return (id, bytes)
    }

    /// Answers a request of the peer; answers what to write. Nothing has happened when it throws.
    package mutating func answer(
        _ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8> = [], at now: Duration
    ) throws(SendRefusal) -> [UInt8] {
        guard isReady else { throw .notReady }
        guard let request = requests.asked(id) else { throw .notAsked }
        precondition(request.accepts(answer, bulkBytes: bulk.count), "an answer that contradicts what was asked")
        let bytes = try send(.answer(id, answer), bulk, at: now)
        requests.answered(id)
        if case .recover = request, case .vault = answer { peer?.isRecovering = true }
        return bytes
    }

    private var isReady: Bool { end == nil && peer?.hello != nil }

    /// Sends what counts against credit.
    private mutating func send(
        _ message: Message, _ bulk: ArraySlice<UInt8>, at now: Duration
    ) throws(SendRefusal) -> [UInt8] {
        precondition(message.bulkBytes.contains(bulk.count), "a message followed by \(bulk.count) bytes")
        let control = message.encode()
        precondition(control.count <= Limits.controlBytesMax)
        let creditBytes = MessageHeader.byteCount + control.count + bulk.count
        guard creditBytes <= credit.toSend else { throw .noCredit }
        guard let bytes = try? seal(control, bulk) else { throw .notReady }
        credit.toSend -= creditBytes
        lastSent = now
        return bytes
    }

    /// Sends a notice, if there are keys to do so.
    mutating func send(_ notice: Notice, at now: Duration) throws(PeerProtocolError) {
        let control = Message.notice(notice).encode()
        precondition(control.count <= Limits.noticeBytesMax)
        if let bytes = try seal(control, []) { write(bytes, at: now) }
    }

    private mutating func seal(_ control: [UInt8], _ bulk: ArraySlice<UInt8>) throws(PeerProtocolError) -> [UInt8]? {
        guard var sender = sender.take() else { return nil }
        let bytes: [UInt8]
        do { bytes = try sender.seal(control: control, bulk: bulk) } catch {
            self.sender = consume sender
            throw error
        }
        self.sender = consume sender
        return bytes
    }
}
