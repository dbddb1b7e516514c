package import BackupFormat
package import PeerProtocol

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
