internal import BackupFormat
internal import HostFiles
internal import NIOCore
internal import NIOPosix
internal import PeerProtocol

/// Why no connection to an address came about, in words for people.
func dialFailure(_ address: PeerAddress, _ error: any Error) -> PeerProtocolError {
    PeerProtocolError(.unreached, "\(address): \(reason(error))")
}

private func reason(_ error: any Error) -> String {
    switch error {
    case let error as IOError:
        return HostFilesError(errno: error.errnoCode, "connect").reason
    case let error as NIOConnectionError:
        // By its name: what came of the addresses says more than that there may be none of one kind.
        if let failure = error.connectionErrors.last { return reason(failure.error) }
        return error.dnsAError == nil && error.dnsAAAAError == nil ? "no answer" : "there is no host of that name"
    case let error as ChannelError:
        if case .connectTimeout = error { return "no answer" }
        return "\(error)"
    case is SocketAddressError.UnknownHost: return "there is no host of that name"
    default: return "\(error)"
    }
}
