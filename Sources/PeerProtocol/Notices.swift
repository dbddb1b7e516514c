package import BackupFormat

/// The first message of either side.
package struct Hello: Hashable, Sendable {
    /// What may be said beyond version 1 of the protocol, a bit each. Bits that are not known mean nothing.
    package var features: UInt64
    package var offer: Offer

    package init(features: UInt64 = 0, offer: Offer) {
        self.features = features
        self.offer = offer
    }
}

/// The last message of a side, and why.
package struct Goodbye: Hashable, Sendable {
    package var code: PeerProtocolError.Code
    package var reason: String

    /// `code` is one that may be sent.
    package init(_ code: PeerProtocolError.Code, reason: String = "") {
        precondition(code.isForFarewell)
        self.code = code
        self.reason = reason
    }
}

extension PeerProtocolError.Code {
    var isForFarewell: Bool { rawValue < 32 }
}

/// One number.
struct Number: Fields {
    var value: UInt64

    init(value: UInt64) { self.value = value }
    init(_ reader: inout ProtobufReader) throws(FormatError) { value = try reader.number(1) }
    func write(to writer: inout ProtobufWriter) { writer.number(1, value) }
}

extension Hello: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        features = try reader.number(1)
        guard let bytes = try reader.message(2, limit: Limits.noticeBytesMax) else { throw reader.error(.truncated) }
        var inner = ProtobufReader(bytes, "offer")
        offer = try Offer(&inner)
        try inner.end()
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, features)
        writer.message(2, offer.encoded)
    }
}

extension Offer: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        guard let role = Role(rawValue: UInt8(try reader.number(1, max: 255))) else { throw reader.error(.unknown) }
        self.init(
            role: role, free: try reader.number(2), reserve: try reader.number(3), quota: try reader.number(4),
            used: try reader.number(5), granted: try reader.number(6), wanted: try reader.number(7),
            generation: try reader.number(8))
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(role.rawValue))
        writer.number(2, free)
        writer.number(3, reserve)
        writer.number(4, quota)
        writer.number(5, used)
        writer.number(6, granted)
        writer.number(7, wanted)
        writer.number(8, generation)
    }
}

extension Goodbye: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        guard let code = PeerProtocolError.Code(rawValue: UInt8(try reader.number(1, max: 31))) else {
            throw reader.error(.unknown)
        }
        self.code = code
        reason = try reader.text(2, limit: Limits.reasonBytesMax)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(code.rawValue))
        writer.text(2, reason, limit: Limits.reasonBytesMax)
    }
}
