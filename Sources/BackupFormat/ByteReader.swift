/// Reads little-endian numbers, varints and byte strings from untrusted bytes, never past the end.
///
/// Must not outlive the buffer. Offsets and counts are in bytes.
package struct ByteReader {
    @usableFromInline let buffer: UnsafeRawBufferPointer
    package private(set) var offset: Int
    private let what: String

    /// `what` names the value being read, for errors.
    package init(_ buffer: UnsafeRawBufferPointer, _ what: String) {
        self.buffer = buffer
        self.offset = 0
        self.what = what
    }

    package var remaining: Int { buffer.count - offset }
    package var isAtEnd: Bool { offset == buffer.count }

    package func error(_ code: FormatError.Code) -> FormatError { FormatError(code, what, at: offset) }

    package mutating func byte() throws(FormatError) -> UInt8 {
        guard offset < buffer.count else { throw error(.truncated) }
        defer { offset += 1 }
        return buffer[offset]
    }

    package mutating func uint16() throws(FormatError) -> UInt16 { UInt16(littleEndian: try load()) }
    package mutating func uint32() throws(FormatError) -> UInt32 { UInt32(littleEndian: try load()) }
    package mutating func uint64() throws(FormatError) -> UInt64 { UInt64(littleEndian: try load()) }

    private mutating func load<T: FixedWidthInteger & BitwiseCopyable>() throws(FormatError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw error(.truncated) }
        defer { offset += MemoryLayout<T>.size }
        return buffer.loadUnaligned(fromByteOffset: offset, as: T.self)
    }

    /// An unsigned LEB128 number in its shortest form; longer forms are rejected, so that each value has one encoding.
    package mutating func varint() throws(FormatError) -> UInt64 {
        guard offset < buffer.count else { throw error(.truncated) }
        let first = buffer[offset]
        if first < 0x80 {
            offset += 1
            return UInt64(first)
        }
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard offset < buffer.count else { throw error(.truncated) }
            let byte = buffer[offset]
            offset += 1
            if shift == 63 && byte > 1 { throw error(.outOfRange) }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                if byte == 0 && shift > 0 { throw error(.inconsistent) }
                return value
            }
            shift += 7
            if shift > 63 { throw error(.outOfRange) }
        }
    }

    /// A zigzag-coded signed varint.
    package mutating func signedVarint() throws(FormatError) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    /// A varint no larger than `limit`.
    package mutating func count(limit: Int) throws(FormatError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else { throw error(.outOfRange) }
        return Int(value)
    }

    /// The next `count` bytes, in place.
    package mutating func bytes(_ count: Int) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw error(.truncated) }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count])
    }

    /// A varint length no larger than `limit`, and that many bytes, copied.
    package mutating func byteString(limit: Int) throws(FormatError) -> [UInt8] {
        let length = try count(limit: limit)
        return Array(try bytes(length))
    }

    package mutating func bytes32() throws(FormatError) -> Bytes32 { Bytes32(try bytes(32)) }

    /// Checks that nothing is left.
    package func end() throws(FormatError) {
        guard isAtEnd else { throw error(.trailing) }
    }
}
