// The part of Protocol Buffers that messages use, in its one canonical form: fields in the order of their numbers, each at most
// once, none with its default value, varints as short as can be. Any protobuf library writes this form and reads it; this
// reader takes no other, so a message has one encoding, and there is nothing unknown, repeated or oversized to hold.

/// How a field's value is encoded.
private enum WireType: UInt64 {
    case varint = 0
    case bytes = 2
}

/// Writes fields, whose numbers must ascend. Default values leave no bytes.
package struct ProtobufWriter {
    private var writer = ByteWriter()
    private var last = 0

    package init() {}

    package var bytes: [UInt8] { writer.bytes }

    private mutating func tag(_ field: Int, _ type: WireType) {
        precondition(field > last, "fields are written in order")
        last = field
        writer.varint(UInt64(field) << 3 | type.rawValue)
    }

    package mutating func number(_ field: Int, _ value: UInt64) {
        guard value != 0 else { return }
        tag(field, .varint)
        writer.varint(value)
    }

    package mutating func count(_ field: Int, _ value: Int) { number(field, UInt64(value)) }
    package mutating func flag(_ field: Int, _ value: Bool) { number(field, value ? 1 : 0) }

    package mutating func bytes(_ field: Int, _ value: [UInt8]) {
        if !value.isEmpty { message(field, value) }
    }

    /// As much of `value` as ``ProtobufReader/text(_:limit:)`` takes: without control characters, cut to `limit` bytes.
    package mutating func text(_ field: Int, _ value: String, limit: Int) {
        var bytes: [UInt8] = []
        for scalar in value.unicodeScalars where !scalar.isControl {
            let encoded = Array(String(scalar).utf8)
            guard bytes.count + encoded.count <= limit else { break }
            bytes += encoded
        }
        self.bytes(field, bytes)
    }

    package mutating func bytes32(_ field: Int, _ value: Bytes32) { message(field, value.bytes) }
    package mutating func bytes32(_ field: Int, _ value: Bytes32?) { if let value { bytes32(field, value) } }

    package mutating func signature(_ field: Int, _ value: Signature) {
        message(field, value.first.bytes + value.second.bytes)
    }

    /// Identifiers, one after the other.
    package mutating func identifiers(_ field: Int, _ values: [some Identifier]) {
        guard !values.isEmpty else { return }
        tag(field, .bytes)
        writer.count(values.count * Bytes32.count)
        for value in values { writer.bytes32(value.value) }
    }

    /// A message within this one; it is written also when it has no fields.
    package mutating func message(_ field: Int, _ value: [UInt8]) {
        tag(field, .bytes)
        writer.byteString(value)
    }
}

/// Reads what ``ProtobufWriter`` writes and nothing else. Fields are asked for in the order of their numbers.
///
/// Must not outlive the buffer.
package struct ProtobufReader {
    private var reader: ByteReader
    private let what: String
    private var last = 0

    /// `what` names the message, for errors.
    package init(_ buffer: UnsafeRawBufferPointer, _ what: String) {
        reader = ByteReader(buffer, what)
        self.what = what
    }

    package func error(_ code: FormatError.Code) -> FormatError { reader.error(code) }

    /// Whether the field comes next; then its tag has been read.
    private mutating func take(_ field: Int, _ type: WireType) throws(FormatError) -> Bool {
        precondition(field > last, "fields are read in order")
        last = field
        guard !reader.isAtEnd else { return false }
        var ahead = reader
        guard try ahead.varint() == UInt64(field) << 3 | type.rawValue else { return false }
        reader = ahead
        return true
    }

    /// The next field's number, without reading it; nil at the end.
    package func nextField() throws(FormatError) -> Int? {
        guard !reader.isAtEnd else { return nil }
        var ahead = reader
        let tag = try ahead.varint()
        guard tag < 1 << 29 else { throw error(.outOfRange) }
        return Int(tag >> 3)
    }

    /// At most `max`; 0 when the field is not there.
    package mutating func number(_ field: Int, max: UInt64 = .max) throws(FormatError) -> UInt64 {
        guard try take(field, .varint) else { return 0 }
        let value = try reader.varint()
        guard value != 0 else { throw error(.inconsistent) }
        guard value <= max else { throw error(.outOfRange) }
        return value
    }

    package mutating func count(_ field: Int, max: Int) throws(FormatError) -> Int {
        Int(try number(field, max: UInt64(max)))
    }

    package mutating func flag(_ field: Int) throws(FormatError) -> Bool { try number(field, max: 1) == 1 }

    /// At most `limit` bytes; none when the field is not there.
    package mutating func bytes(_ field: Int, limit: Int) throws(FormatError) -> [UInt8] {
        guard let found = try message(field, limit: limit) else { return [] }
        guard !found.isEmpty else { throw error(.inconsistent) }
        return Array(found)
    }

    /// UTF-8 without control characters, which could change what a terminal shows.
    package mutating func text(_ field: Int, limit: Int) throws(FormatError) -> String {
        let bytes = try bytes(field, limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw error(.inconsistent) }
        guard !text.unicodeScalars.contains(where: \.isControl) else { throw error(.inconsistent) }
        return text
    }

    package mutating func optionalBytes32(_ field: Int) throws(FormatError) -> Bytes32? {
        guard let found = try message(field, limit: Bytes32.count) else { return nil }
        guard found.count == Bytes32.count else { throw error(.outOfRange) }
        return Bytes32(found)
    }

    package mutating func bytes32(_ field: Int) throws(FormatError) -> Bytes32 {
        guard let value = try optionalBytes32(field) else { throw error(.truncated) }
        return value
    }

    package mutating func signature(_ field: Int) throws(FormatError) -> Signature {
        guard let found = try message(field, limit: 2 * Bytes32.count) else { throw error(.truncated) }
        guard found.count == 2 * Bytes32.count else { throw error(.outOfRange) }
        return Signature(
            first: Bytes32(found), second: Bytes32(UnsafeRawBufferPointer(rebasing: found[Bytes32.count...])))
    }

    /// At most `max`; none when the field is not there.
    package mutating func identifiers<ID: Identifier>(_ field: Int, max: Int = Limits.idsMax) throws(FormatError) -> [ID] {
        guard let found = try message(field, limit: max * Bytes32.count) else { return [] }
        guard !found.isEmpty, found.count % Bytes32.count == 0 else { throw error(.inconsistent) }
        var ids: [ID] = []
        ids.reserveCapacity(found.count / Bytes32.count)
        for start in stride(from: 0, to: found.count, by: Bytes32.count) {
            ids.append(ID(Bytes32(UnsafeRawBufferPointer(rebasing: found[start..<start + Bytes32.count]))))
        }
        return ids
    }

    /// The bytes of a message within this one, in place; nil when the field is not there.
    package mutating func message(_ field: Int, limit: Int) throws(FormatError) -> UnsafeRawBufferPointer? {
        guard try take(field, .bytes) else { return nil }
        return try reader.bytes(try reader.count(limit: limit))
    }

    /// Checks that nothing is left: no field unknown, repeated or out of order.
    package func end() throws(FormatError) {
        guard reader.isAtEnd else { throw error(.unknown) }
    }
}

extension Unicode.Scalar {
    fileprivate var isControl: Bool { value < 0x20 || (0x7f...0x9f).contains(value) }
}
