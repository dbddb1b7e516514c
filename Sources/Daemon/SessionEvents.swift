internal import BackupFormat
internal import NodeRuntime
internal import PeerProtocol

/// What the transport tells, handed on to threads that may wait.
struct SessionEvents: TransportEvents {
    private let core: DaemonCore

    init(_ core: DaemonCore) { self.core = core }

    func connected(_ connection: PeerConnection) { PeerSession(connection, core).begin() }
    func requested(_ connection: PeerConnection, _ request: PeerRequest) { core.session(connection)?.take(request) }
    func offered(_ connection: PeerConnection, _ offer: Offer) { core.session(connection)?.take(offer) }
    func disconnected(_ connection: PeerConnection, _ error: PeerProtocolError) { core.session(connection)?.end(error) }
    func refused(_ error: PeerProtocolError) {}
}
