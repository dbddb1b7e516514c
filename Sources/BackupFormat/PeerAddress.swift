/// Where a node may be reached: a numeric address or a name, and a port.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// `192.0.2.7`, `2001:db8::7`, `fe80::7%eth0`, or a name.
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Reads what ``description`` writes. Port 0 means any free one, where an address to listen on is wanted.
    package init(_ text: String, orAnyPort: Bool = false) throws(AddressError) {
        let parts: (host: Substring, port: Substring)?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]"), text[end...].hasPrefix("]:") {
            parts = (text[text.index(after: text.startIndex)..<end], text[end...].dropFirst(2))
        } else if let colon = text.lastIndex(of: ":"), !text[..<colon].contains(":") {
            parts = (text[..<colon], text[colon...].dropFirst())
        } else {
            parts = nil
        }
        guard let parts, !parts.host.isEmpty, parts.host.utf8.count <= 255, parts.port.utf8.allSatisfy({ $0 < 58 && $0 > 47 }),
            let port = UInt16(parts.port), port > 0 || orAnyPort
        else { throw AddressError(text: text) }
        self.init(host: String(parts.host), port: port)
    }
}

/// A text that is not an address and a port.
package struct AddressError: Error, Sendable, Hashable, CustomStringConvertible {
    package let text: String

    package var description: String {
        "\(text): not an address and a port, as in 192.0.2.7:4747, [2001:db8::7]:4747 or nas.example:4747"
    }
}
