internal import BackupFormat

/// The first bytes of a connection, in the clear: `bakarePP`, version u8, mode u8; then an invitation's id for mode 1.
///
/// The whole preamble is part of the handshake's prologue: a change on the way makes the handshake fail.
struct Preamble: Hashable {
    enum Mode: Hashable {
        /// `XX`.
        case plain
        /// `XXpsk3` with the token of the invitation of that id.
        case invitation(Bytes32)
    }

    var mode: Mode

    static let magic: StaticString = "bakarePP"
    static let headBytes = 10

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 42)
        writer.raw(UnsafeRawBufferPointer(start: Preamble.magic.utf8Start, count: Preamble.magic.utf8CodeUnitCount))
        writer.byte(peerProtocolVersion)
        switch mode {
        case .plain: writer.byte(0)
        case .invitation(let id):
            writer.byte(1)
            writer.bytes32(id)
        }
        return writer.bytes
    }

    /// "bakare peer protocol v1" and the preamble.
    var prologue: [UInt8] { Array("bakare peer protocol v1".utf8) + bytes }

    /// How many bytes a preamble that begins so has; nil when that takes more of it. Rejects others at the first wrong byte.
    static func byteCount(beginning bytes: [UInt8]) throws(PeerProtocolError) -> Int? {
        try checkHead(bytes)
        guard bytes.count >= headBytes else { return nil }
        switch bytes[9] {
        case 0: return headBytes
        case 1: return headBytes + Bytes32.count
        default: throw PeerProtocolError(.otherVersion, "mode \(bytes[9])")
        }
    }

    /// From as many bytes as ``byteCount(beginning:)`` says.
    init(decoding bytes: [UInt8]) throws(PeerProtocolError) {
        guard try Preamble.byteCount(beginning: bytes) == bytes.count else { throw PeerProtocolError(.notThisProtocol) }
        if bytes.count == Preamble.headBytes {
            mode = .plain
        } else {
            mode = .invitation(bytes[Preamble.headBytes...].withUnsafeBytes { Bytes32($0) })
        }
    }

    init(_ mode: Mode) { self.mode = mode }

    /// Rejects bytes that are not the beginning of magic and version.
    static func checkHead(_ bytes: [UInt8]) throws(PeerProtocolError) {
        let expected = UnsafeRawBufferPointer(start: magic.utf8Start, count: magic.utf8CodeUnitCount)
        guard zip(bytes, expected).allSatisfy({ $0 == $1 }) else { throw PeerProtocolError(.notThisProtocol) }
        guard bytes.count <= expected.count || bytes[expected.count] == peerProtocolVersion else {
            #if MUTANTS
                if Mutant.takeAnyVersion.isOn { return }
            #endif
            throw PeerProtocolError(.otherVersion, "it speaks version \(bytes[expected.count]), this node \(peerProtocolVersion)")
        }
    }
}

/// The responder's first bytes, in the clear: `bakarePP`, version u8, reply u8. All but `goOn` are followed by the end.
///
/// Nobody vouches for a refusal: it may come from somebody in between, who could as well cut the line.
enum PreambleReply: UInt8 {
    case goOn = 0
    case otherVersion = 1
    case unknownInvitation = 2
    case busy = 3

    static let byteCount = 10

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: PreambleReply.byteCount)
        writer.raw(UnsafeRawBufferPointer(start: Preamble.magic.utf8Start, count: Preamble.magic.utf8CodeUnitCount))
        writer.byte(peerProtocolVersion)
        writer.byte(rawValue)
        return writer.bytes
    }

    /// What the responder tells of an error; nil when it says nothing.
    init?(_ error: PeerProtocolError) {
        switch error.code {
        case .otherVersion: self = .otherVersion
        case .unknownInvitation: self = .unknownInvitation
        case .busy: self = .busy
        default: return nil
        }
    }

    /// Checks what the responder said, as far as it has come; answers whether it has come wholly.
    static func check(_ bytes: [UInt8]) throws(PeerProtocolError) -> Bool {
        try Preamble.checkHead(bytes)
        guard bytes.count >= byteCount else { return false }
        switch PreambleReply(rawValue: bytes[byteCount - 1]) {
        case .goOn: return true
        case .otherVersion: throw PeerProtocolError(.otherVersion, isByPeer: true)
        case .unknownInvitation: throw PeerProtocolError(.unknownInvitation, isByPeer: true)
        case .busy: throw PeerProtocolError(.busy, isByPeer: true)
        case nil: throw PeerProtocolError(.notThisProtocol)
        }
    }
}
