/// What the shell could not do.
package struct NodeRuntimeError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// An address to listen on cannot be had.
        case cannotListen
        /// What stands there is not an address and a port.
        case notAnAddress
        /// The transport has been stopped.
        case stopped
    }

    package let code: Code
    /// The address, and what the system says; may be empty.
    package let detail: String

    init(_ code: Code, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }

    package var description: String {
        let what =
            switch code {
            case .cannotListen: "cannot listen; is another bakare-node running, or the address not this machine's?"
            case .notAnAddress: "not an address and a port, as in 192.0.2.7:4747, [2001:db8::7]:4747 or nas.example:4747"
            case .stopped: "the node is stopping"
            }
        return detail.isEmpty ? what : "\(detail): \(what)"
    }
}
