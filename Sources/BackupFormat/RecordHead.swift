extension ByteWriter {
    /// The eight letters that name a kind of record, and the version of the formats.
    package mutating func head(_ magic: StaticString) {
        raw(UnsafeRawBufferPointer(start: magic.utf8Start, count: magic.utf8CodeUnitCount))
        byte(formatVersion)
    }

    mutating func signature(_ value: Signature) {
        bytes32(value.first)
        bytes32(value.second)
    }
}

extension ByteReader {
    /// Checks the letters and version that ``ByteWriter/head(_:)`` writes.
    package mutating func head(_ magic: StaticString) throws(FormatError) {
        let expected = UnsafeRawBufferPointer(start: magic.utf8Start, count: magic.utf8CodeUnitCount)
        guard try bytes(expected.count).elementsEqual(expected) else { throw error(.unknown) }
        guard try byte() == formatVersion else { throw error(.unknown) }
    }

    mutating func signature() throws(FormatError) -> Signature {
        let first = try bytes32()
        return Signature(first: first, second: try bytes32())
    }
}

/// An Ed25519 signature: 64 bytes. Holding one says nothing of whether it is valid.
package struct Signature: Hashable, Sendable {
    package var first: Bytes32
    package var second: Bytes32

    package init(first: Bytes32, second: Bytes32) {
        self.first = first
        self.second = second
    }

    package static let zero = Signature(first: .zero, second: .zero)
}
