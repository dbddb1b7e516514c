package import BackupFormat
internal import Glibc

/// Where a node may be reached by TCP, as the daemon tells it.
package struct ServiceAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// 4 of IPv4 or 16 of IPv6, in network order.
    package let bytes: [UInt8]
    package let port: UInt16
    /// The index of the interface, without which a link-local IPv6 address means nothing; 0 for any other address.
    package let interface: UInt32

    /// Nil for what no other node can have: unspecified, loopback, multicast, reserved or IPv4-in-IPv6 addresses, port 0, and a
    /// link-local IPv6 address without an interface.
    ///
    /// So an answer cannot send this node to a service of its own machine.
    package init?(bytes: [UInt8], port: UInt16, interface: UInt32) {
        guard port > 0 else { return nil }
        switch bytes.count {
        case 4:
            guard bytes[0] != 0, bytes[0] != 127, bytes[0] < 224 else { return nil }
            self.interface = 0
        case 16:
            // ::/80 holds the unspecified and the loopback address, and IPv4 in two notations.
            guard bytes[0] != 0xff, bytes[..<10].contains(where: { $0 != 0 }) else { return nil }
            let isLinkLocal = bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
            guard !isLinkLocal || interface > 0 else { return nil }
            self.interface = isLinkLocal ? interface : 0
        default: return nil
        }
        self.bytes = bytes
        self.port = port
    }

    /// Those that need no interface first, then IPv4 first, then by value.
    package static func < (a: ServiceAddress, b: ServiceAddress) -> Bool {
        if (a.interface == 0) != (b.interface == 0) { return a.interface == 0 }
        if a.bytes.count != b.bytes.count { return a.bytes.count < b.bytes.count }
        if a.bytes != b.bytes { return a.bytes.lexicographicallyPrecedes(b.bytes) }
        return (a.port, a.interface) < (b.port, b.interface)
    }

    /// For dialling; an interface is named by its number.
    package var peerAddress: PeerAddress {
        PeerAddress(host: interface == 0 ? host : "\(host)%\(interface)", port: port)
    }

    /// `192.0.2.1:7000`, `[2001:db8::1]:7000` or `[fe80::1%2]:7000`.
    package var description: String { peerAddress.description }

    private var host: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
