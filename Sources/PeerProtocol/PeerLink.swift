/// An answer of a peer, with the raw bytes that came with it.
package struct PeerReply: Sendable, Hashable {
    package var answer: Answer
    package var bulk: [UInt8]

    package init(_ answer: Answer, bulk: [UInt8] = []) {
        self.answer = answer
        self.bulk = bulk
    }
}

/// Called once, with the answer or the reason why none will come, from any thread: must be short and must not wait.
package typealias ReplyHandler = @Sendable (Result<PeerReply, PeerProtocolError>) -> Void

/// A session with a peer, for threads that may wait.
package protocol PeerLink: Sendable {
    /// Sends a request, after those that were submitted before; waits while too much is queued.
    ///
    /// `then` is called once, from any thread, and must not wait; it is not called when this throws.
    func submit(
        _ request: Request, bulk: ArraySlice<UInt8>,
        then: @escaping ReplyHandler
    ) throws(PeerProtocolError)
}
