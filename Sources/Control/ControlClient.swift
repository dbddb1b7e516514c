package import BackupFormat
internal import HostFiles

/// A connection to the node that runs on a home.
package struct ControlClient: Sendable {
    private let socket: LocalSocket

    /// Nil when no node runs there.
    package static func connect(home: RawPath) throws(ControlError) -> ControlClient? {
        do throws(HostFilesError) {
            return try LocalSocket.connect(to: home.appending(ControlServer.socketName)).map { ControlClient(socket: $0) }
        } catch { throw ControlError(error) }
    }

    /// Asks once, and waits for the result. A second request needs another connection.
    package func ask(_ request: ControlRequest, progress: ([UInt8]) -> Void = { _ in }) throws(ControlError) -> ControlReply {
        do {
            try socket.send(ControlFrame.encode(request))
            while let bytes = try socket.receiveFrame() {
                let reply = try ControlFrame.decodeReply(bytes)
                guard case .progress(let news) = reply else { return reply }
                progress(news)
            }
        } catch is FormatError {
            throw ControlError.otherVersion
        } catch let error as HostFilesError {
            throw ControlError(.lost, "the running node does not answer: \(error.reason)")
        } catch {
            throw ControlError(.lost, "the running node does not answer: \(error)")
        }
        throw ControlError(.lost, "the running node ended; start it again with `bakare-node start`")
    }

    /// Gives up: the node stops what it does for this caller, and ``ask(_:progress:)`` throws.
    package func cancel() { socket.shutDown() }
}

extension LocalSocket {
    /// What follows the length of the next message; nil at the end.
    func receiveFrame() throws -> [UInt8]? {
        guard let head = try receive(4) else { return nil }
        let length = head.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length >= 2, length <= ControlFrame.bytesMax else { throw FormatError(.outOfRange, "control message") }
        guard let bytes = try receive(length) else { throw FormatError(.truncated, "control message") }
        return bytes
    }
}
