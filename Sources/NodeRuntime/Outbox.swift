internal import HostFiles
internal import PeerProtocol

/// What threads have handed to a session to be sent. They wait here; the event loop never does.
final class Outbox: Sendable {
    private struct State {
        var queue: SendQueue
        var ended: PeerProtocolError?
        /// The event loop has been told, and has not looked yet.
        var isLoopCalled = false
    }

    private let state: ConditionLock<State>

    init(queuedBytesMax: Int) { state = ConditionLock(State(queue: SendQueue(queuedBytesMax: queuedBytesMax))) }

    /// Why nothing is sent any more; nil while it is.
    var ended: PeerProtocolError? { state.read { $0.ended } }

    /// Waits for room, then adds. True when the event loop has to be told.
    func add(_ item: Outgoing) throws(PeerProtocolError) -> Bool {
        let added = state.wait { state -> Result<Bool, PeerProtocolError>? in
            if let ended = state.ended { return .failure(ended) }
            guard state.queue.add(item) else { return nil }
            defer { state.isLoopCalled = true }
            return .success(!state.isLoopCalled)
        }
        return try added.get()
    }

    /// On the event loop: what goes out next.
    func next(creditBytes: Int, hasRequestRoom: Bool) -> Outgoing? {
        state.withLock { state in
            state.isLoopCalled = false
            return state.queue.next(creditBytes: creditBytes, hasRequestRoom: hasRequestRoom)
        }
    }

    /// On the event loop: puts back what could not be sent after all.
    func putBack(_ item: Outgoing) { state.withLock { $0.queue.putBack(item) } }

    /// The session is over: nobody waits any more. Answers what was not sent.
    func end(_ error: PeerProtocolError) -> [Outgoing] {
        state.withLock { state in
            state.ended = error
            return state.queue.drain()
        }
    }
}
