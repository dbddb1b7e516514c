package import BackupFormat
package import PeerProtocol

/// A request of a peer.
package struct PeerRequest: Sendable, Hashable {
    package let id: RequestID
    package let request: Request
    package let bulk: [UInt8]
    /// Due to ``PeerConnection/consumed(creditBytes:)`` when the request is taken in hand, answered or not.
    package let creditBytes: Int

    package init(id: RequestID, request: Request, bulk: [UInt8], creditBytes: Int) {
        self.id = id
        self.request = request
        self.bulk = bulk
        self.creditBytes = creditBytes
    }
}

/// What a transport tells the layer above. Called on event loops, for each connection in order: must be short and must not block.
package protocol TransportEvents: Sendable {
    /// Both have said hello.
    func connected(_ connection: PeerConnection)
    /// At most ``Limits/requestsMax`` are open for each connection, and no more bytes wait than its window.
    func requested(_ connection: PeerConnection, _ request: PeerRequest)
    func offered(_ connection: PeerConnection, _ offer: Offer)
    /// Everybody who waited for an answer was told before.
    func disconnected(_ connection: PeerConnection, _ error: PeerProtocolError)
    /// A connection, of either side, that came to nothing: for a log.
    func refused(_ error: PeerProtocolError)
}
