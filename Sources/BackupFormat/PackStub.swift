/// What a publisher keeps of a pack that only its peers have: which it is, how long, and what it holds.
package struct PackStub: Hashable, Sendable {
    /// Of the pack, 16 MiB at most.
    package let packBytes: Int
    /// The pack's first 16 bytes.
    package let header: [UInt8]
    /// Its end: the sealed footer and the trailer.
    package let tail: [UInt8]
    /// It was cut from bytes that are what the pack's id names. One that is not was shown by a peer: what it says is a hint for reading,
    /// and nothing may be left out of a backup because of it.
    package let isProven: Bool

    /// Throws for what is no frame of a pack.
    package init(packBytes: Int, header: [UInt8], tail: [UInt8], isProven: Bool) throws(FormatError) {
        guard packBytes <= Limits.packBytesMax, header.count == PackFrame.headerBytes,
            tail.count >= PackFrame.trailerBytes + PackFrame.footerOverheadBytes,
            tail.count <= min(packBytes - PackFrame.headerBytes, PackStub.tailBytesMax)
        else { throw FormatError(.outOfRange, "stub of a pack") }
        let kind = header.withUnsafeBytes { bytes in Result { () throws(FormatError) in try PackFrame.kind(ofHeader: bytes) } }
        _ = try kind.get()
        let sealed = tail.suffix(PackFrame.trailerBytes).withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try PackFrame.sealedFooterBytes(ofTrailer: bytes, packBytes: packBytes) }
        }
        guard try sealed.get() + PackFrame.trailerBytes == tail.count else {
            throw FormatError(.inconsistent, "stub of a pack")
        }
        self.packBytes = packBytes
        self.header = header
        self.tail = tail
        self.isProven = isProven
    }

    /// Cut from a whole pack whose bytes are what its id names.
    package init(cutFrom pack: [UInt8]) throws(FormatError) {
        let trailer = pack.suffix(PackFrame.trailerBytes).withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try PackFrame.sealedFooterBytes(ofTrailer: bytes, packBytes: pack.count) }
        }
        let tailBytes = try trailer.get() + PackFrame.trailerBytes
        try self.init(
            packBytes: pack.count, header: Array(pack.prefix(PackFrame.headerBytes)), tail: Array(pack.suffix(tailBytes)),
            isProven: true)
    }

    package var sealedFooter: ArraySlice<UInt8> { tail.dropLast(PackFrame.trailerBytes) }

    /// From the header to the footer: of all chunks together, and the padding.
    package var chunkBytes: Int { packBytes - PackFrame.headerBytes - tail.count }

    /// The longest that a stub can be.
    package static let encodedBytesMax = headBytes + PackFrame.headerBytes + tailBytesMax
    private static let tailBytesMax =
        PackFrame.trailerBytes + PackFrame.footerOverheadBytes + 1 + Limits.packChunksMax * PackFrame.footerEntryBytes
    private static let headBytes = 14

    /// `bakareST`, version u8; 1 if it is proven, else 0; length of the pack u32; header 16; tail.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: PackStub.headBytes + header.count + tail.count)
        writer.head("bakareST")
        writer.byte(isProven ? 1 : 0)
        writer.uint32(UInt32(packBytes))
        writer.raw(header)
        writer.raw(tail)
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "stub of a pack")
        try reader.head("bakareST")
        let mark = try reader.byte()
        guard mark <= 1 else { throw reader.error(.unknown) }
        let packBytes = Int(try reader.uint32())
        let header = Array(try reader.bytes(PackFrame.headerBytes))
        let tail = Array(try reader.bytes(reader.remaining))
        try self.init(packBytes: packBytes, header: header, tail: tail, isProven: mark == 1)
    }
}
