internal import BackupFormat
internal import Glibc
internal import NIOCore

extension PeerAddress {
    /// For the system, without asking a name server; nil for a name.
    var socketAddress: SocketAddress? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_family = AF_UNSPEC
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let list else { return nil }
        defer { freeaddrinfo(list) }
        guard let address = list.pointee.ai_addr else { return nil }
        let bytes = UnsafeRawPointer(address)
        switch list.pointee.ai_family {
        case AF_INET: return SocketAddress(bytes.loadUnaligned(as: sockaddr_in.self))
        case AF_INET6: return SocketAddress(bytes.loadUnaligned(as: sockaddr_in6.self))
        default: return nil
        }
    }

    init?(_ address: SocketAddress) {
        guard let host = address.ipAddress, let port = address.port, let port = UInt16(exactly: port) else { return nil }
        self.init(host: host, port: port)
    }
}

/// Whom the limits of unknown connections count together: an IPv4 address, or an IPv6 network of 64 bits.
package struct ConnectionSource: Hashable, Sendable {
    private let high: UInt64
    private let isIPv4: Bool

    private init(high: UInt64, isIPv4: Bool) {
        self.high = high
        self.isIPv4 = isIPv4
    }

    package init(ipv4: UInt32) { self.init(high: UInt64(ipv4), isIPv4: true) }

    /// From 16 bytes. An IPv4 address within IPv6 counts as what it is.
    package init(ipv6 bytes: UnsafeRawBufferPointer) {
        let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        let middle = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let low = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        if high == 0, middle == 0xffff {
            self.init(ipv4: low)
        } else {
            self.init(high: high, isIPv4: false)
        }
    }

    init(_ address: SocketAddress?) {
        switch address {
        case .v4(let address): self.init(ipv4: UInt32(bigEndian: address.address.sin_addr.s_addr))
        case .v6(let address):
            var bytes = address.address.sin6_addr
            self = withUnsafeBytes(of: &bytes) { ConnectionSource(ipv6: $0) }
        default: self.init(ipv4: 0)
        }
    }
}
