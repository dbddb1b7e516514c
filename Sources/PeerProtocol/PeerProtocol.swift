// How two nodes speak: handshake, records, messages, requests and answers, credit, pings. docs/PROTOCOL.md has the bytes.
//
// Everything here is a value that is told what happened and says what to do. This module does no I/O, reads no clock and no
// random source, and starts no thread. It must never: hold more of what an unknown peer sends than one handshake message, or of a
// known one than its credit; trap on anything a peer sends; hand on a message that breaks a rule of the protocol; or go on
// after a peer has broken one.

/// The version of the protocol that this code speaks.
package let peerProtocolVersion: UInt8 = 1
