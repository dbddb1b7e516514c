internal import BackupFormat
internal import Cryptography

extension Session {
    /// Makes a request. `bulk` is what follows it: a ``Put``'s bytes, or an encoded forget order.
    ///
    /// Appends what is to be written to `output`; answers the request's number, which its answer will bear. Nothing has happened
    /// when it throws.
    package mutating func request(
        _ request: Request, bulk: ArraySlice<UInt8> = [], at now: Duration, into output: inout some WireOutput
    ) throws(SendRefusal) -> RequestID {
        guard isReady else { throw .notReady }
        guard requests.hasRoom else { throw .tooManyRequests }
        let id = requests.nextID
        try send(.request(id, request), bulk, at: now, into: &output)
        if !requests.isWaiting { waitingSince = now }
        requests.made(id, request)
        return id
    }

    /// Answers a request of the peer; appends what is to be written to `output`. Nothing has happened when it throws.
    package mutating func answer(
        _ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8> = [], at now: Duration,
        into output: inout some WireOutput
    ) throws(SendRefusal) {
        guard isReady else { throw .notReady }
        guard let request = requests.asked(id) else { throw .notAsked }
        precondition(request.accepts(answer, bulkBytes: bulk.count), "an answer that contradicts what was asked")
        try send(.answer(id, answer), bulk, at: now, into: &output)
        requests.answered(id)
        if case .recover = request, case .vault = answer { peer?.isRecovering = true }
    }

    /// As ``request(_:bulk:at:into:)``, for callers that want bytes.
    package mutating func request(
        _ request: Request, bulk: ArraySlice<UInt8> = [], at now: Duration
    ) throws(SendRefusal) -> (id: RequestID, bytes: [UInt8]) {
        var bytes: [UInt8] = []
        let id = try self.request(request, bulk: bulk, at: now, into: &bytes)
        return (id, bytes)
    }

    /// As ``answer(_:with:bulk:at:into:)``, for callers that want bytes.
    package mutating func answer(
        _ id: RequestID, with answer: Answer, bulk: ArraySlice<UInt8> = [], at now: Duration
    ) throws(SendRefusal) -> [UInt8] {
        var bytes: [UInt8] = []
        try self.answer(id, with: answer, bulk: bulk, at: now, into: &bytes)
        return bytes
    }

    private var isReady: Bool { end == nil && peer?.hello != nil }

    /// Sends what counts against credit.
    private mutating func send(
        _ message: Message, _ bulk: ArraySlice<UInt8>, at now: Duration, into output: inout some WireOutput
    ) throws(SendRefusal) {
        precondition(message.bulkBytes.contains(bulk.count), "a message followed by \(bulk.count) bytes")
        let control = message.encode()
        precondition(control.count <= Limits.controlBytesMax)
        let creditBytes = MessageHeader.byteCount + control.count + bulk.count
        guard creditBytes <= credit.toSend else { throw .noCredit }
        guard (try? seal(control, bulk, into: &output)) == true else { throw .notReady }
        credit.toSend -= creditBytes
        lastSent = now
    }

    /// Sends a notice, if there are keys to do so.
    mutating func send(_ notice: Notice, at now: Duration) throws(PeerProtocolError) {
        let control = Message.notice(notice).encode()
        precondition(control.count <= Limits.noticeBytesMax)
        var bytes: [UInt8] = []
        if try seal(control, [], into: &bytes) { write(bytes, at: now) }
    }

    /// False when there are no keys.
    private mutating func seal(
        _ control: [UInt8], _ bulk: ArraySlice<UInt8>, into output: inout some WireOutput
    ) throws(PeerProtocolError) -> Bool {
        guard var sender = sender.take() else { return false }
        do { try sender.seal(control: control, bulk: bulk, into: &output) } catch {
            self.sender = consume sender
            throw error
        }
        self.sender = consume sender
        return true
    }
}
