/// How much of everything a transport holds, and how long it waits.
package struct TransportBounds: Sendable {
    /// Sessions with peers that are paired: one for each peer.
    package var pairedMax = 64
    /// Accepted connections of peers that are not known to be paired, those in their handshake included.
    package var unknownMax = 64
    /// Of those, from one source: an IPv4 address, or an IPv6 network of 64 bits.
    package var unknownPerSourceMax = 16
    /// A caller waits once so many bytes of its session's requests, or of its answers, wait to be sent.
    package var queuedBytesMax = 1 << 20
    /// Sealed bytes of one session that the kernel has not taken yet: nothing more is sealed from here on.
    package var unsentBytesMax = 1 << 20
    /// A peer that takes nothing of what is due to it for so long is cut off.
    package var stalledMax = Duration.seconds(30)
    /// For a connection to be made.
    package var connectMax = Duration.seconds(5)
    /// For the last words of a session to go out, and the peer's.
    package var lingerMax = Duration.seconds(1)

    package init() {}
}
