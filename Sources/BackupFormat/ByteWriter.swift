/// Builds what ``ByteReader`` reads.
package struct ByteWriter {
    package var bytes: [UInt8]

    package init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func byte(_ value: UInt8) { bytes.append(value) }
    package mutating func uint16(_ value: UInt16) { append(value.littleEndian) }
    package mutating func uint32(_ value: UInt32) { append(value.littleEndian) }
    package mutating func uint64(_ value: UInt64) { append(value.littleEndian) }

    private mutating func append<T: BitwiseCopyable>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func signedVarint(_ value: Int64) {
        varint(UInt64(bitPattern: value << 1) ^ UInt64(bitPattern: value >> 63))
    }

    package mutating func count(_ value: Int) { varint(UInt64(value)) }

    package mutating func raw(_ value: UnsafeRawBufferPointer) { bytes.append(contentsOf: value) }
    package mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    /// A varint length and the bytes.
    package mutating func byteString(_ value: [UInt8]) {
        count(value.count)
        bytes.append(contentsOf: value)
    }

    package mutating func bytes32(_ value: Bytes32) { value.withBytes { bytes.append(contentsOf: $0) } }
}
