import BackupFormat
import Cryptography
import Glibc
import NodeRuntime
import PeerProtocol

/// Nobody answers.
struct Refused: Error {}

/// A plain blocking socket, for peers that do not keep to anything.
final class RawSocket {
    private let descriptor: Int32

    /// Connects from `source`, an IPv4 address of this machine.
    /// Throws when nobody takes it.
    init(_ address: PeerAddress, from source: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Refused() }
        func name(_ host: String, _ port: UInt16) -> sockaddr_in {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &name.sin_addr)
            return name
        }
        func call(_ name: sockaddr_in, _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            withUnsafePointer(to: name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard call(name(source, 0), bind) == 0, call(name(address.host, address.port), connect) == 0 else { throw Refused() }
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// False when the other side takes nothing any more.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool { send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count }

    /// Some bytes; empty at the end, nil when nothing came for long.
    func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 { return errno == EAGAIN ? nil : [] }
        return Array(buffer[..<count])
    }

    /// Everything up to the end; nil when it does not come.
    func readToEnd() -> [UInt8]? {
        var all: [UInt8] = []
        while let bytes = read() {
            if bytes.isEmpty { return all }
            all += bytes
        }
        return nil
    }
}

/// A session over a plain socket, up to the peer's hello: for peers that know how to begin.
func beginSession(_ socket: RawSocket, _ setup: SessionSetup) throws -> Session {
    var session = Session(setup, ephemeral: .random32())
    var effects = session.handle(.connected, at: .zero)
    while true {
        for effect in effects {
            switch effect {
            case .write(let bytes): socket.write(bytes)
            case .ready: return session
            case .closed(let error): throw error
            default: break
            }
        }
        guard let bytes = socket.read(), !bytes.isEmpty else { throw Refused() }
        effects = bytes.withUnsafeBytes { session.handle(.received($0), at: .zero) }
    }
}
