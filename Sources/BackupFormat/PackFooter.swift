/// What a pack holds. Data and trees go to separate packs. Raw values are stored.
package enum PackKind: UInt8, Sendable {
    case data = 0
    case tree = 1
}

/// One chunk of a pack. Offset and lengths are in bytes.
package struct PackEntry: Hashable, Sendable {
    package var id: ChunkID
    package var offset: UInt32
    package var sealedBytes: UInt32
    package var plainBytes: UInt32
    package init(id: ChunkID, offset: UInt32, sealedBytes: UInt32, plainBytes: UInt32) {
        self.id = id
        self.offset = offset
        self.sealedBytes = sealedBytes
        self.plainBytes = plainBytes
    }
}

/// The outer frame of a pack: `header 16 | sealed chunks | padding | sealed footer | trailer 16`.
package enum PackFrame {
    /// `bakarePK`.
    package static let magic: [UInt8] = Array("bakarePK".utf8)
    /// `bakareKP`.
    package static let trailerMagic: [UInt8] = Array("bakareKP".utf8)
    package static let headerBytes = 16
    package static let trailerBytes = 16
    package static let footerEntryBytes = 40
    /// Nonce and tag around the footer.
    package static let footerOverheadBytes = 40

    /// How long a pack is that has `count` bytes to hold, so that its length tells little of a small file in it: a power of two of 4 KiB at
    /// least, from 32 KiB on a multiple of that. What is free between chunks and footer is random bytes.
    package static func paddedBytes(_ count: Int) -> Int {
        var length = paddedBytesMin
        while length < count, length < paddingMax { length *= 2 }
        return length >= count ? length : (count + paddingMax - 1) / paddingMax * paddingMax
    }

    private static let paddedBytesMin = 4 << 10
    /// The padding of a pack is shorter than this, in bytes.
    package static let paddingMax = 32 << 10

    /// Magic 8, version 1, kind 1, zero 6.
    package static func header(_ kind: PackKind) -> [UInt8] {
        var writer = ByteWriter(capacity: headerBytes)
        writer.raw(magic)
        writer.byte(formatVersion)
        writer.byte(kind.rawValue)
        writer.raw([0, 0, 0, 0, 0, 0])
        return writer.bytes
    }

    package static func kind(ofHeader bytes: UnsafeRawBufferPointer) throws(FormatError) -> PackKind {
        var reader = ByteReader(bytes, "pack header")
        let found = try reader.bytes(magic.count)
        guard found.elementsEqual(magic) else { throw reader.error(.unknown) }
        guard try reader.byte() == formatVersion, let kind = PackKind(rawValue: try reader.byte()) else {
            throw reader.error(.unknown)
        }
        guard try reader.bytes(6).allSatisfy({ $0 == 0 }) else { throw reader.error(.inconsistent) }
        return kind
    }

    /// Length of the sealed footer u32, zero u32, magic 8.
    package static func trailer(sealedFooterBytes: Int) -> [UInt8] {
        var writer = ByteWriter(capacity: trailerBytes)
        writer.uint32(UInt32(sealedFooterBytes))
        writer.uint32(0)
        writer.raw(trailerMagic)
        return writer.bytes
    }

    /// The sealed footer's length in bytes, for a pack of `packBytes`.
    package static func sealedFooterBytes(ofTrailer bytes: UnsafeRawBufferPointer, packBytes: Int) throws(FormatError) -> Int {
        var reader = ByteReader(bytes, "pack trailer")
        let length = Int(try reader.uint32())
        guard try reader.uint32() == 0 else { throw reader.error(.inconsistent) }
        guard try reader.bytes(8).elementsEqual(trailerMagic) else { throw reader.error(.unknown) }
        guard length >= footerOverheadBytes, length <= packBytes - headerBytes - trailerBytes else {
            throw reader.error(.outOfRange)
        }
        return length
    }

    /// The footer before sealing: kind u8, then per chunk id 32, sealed length u32, plain length u32. Offsets follow from the order.
    package static func encodeFooter(kind: PackKind, entries: [PackEntry]) -> [UInt8] {
        var writer = ByteWriter(capacity: 1 + entries.count * footerEntryBytes)
        writer.byte(kind.rawValue)
        for entry in entries {
            writer.bytes32(entry.id.value)
            writer.uint32(entry.sealedBytes)
            writer.uint32(entry.plainBytes)
        }
        return writer.bytes
    }

    /// The entries of a footer that has `chunkBytes` before it, from the header on: sealed chunks, and less than ``paddingMax`` after them.
    package static func decodeFooter(
        _ bytes: UnsafeRawBufferPointer, chunkBytes: Int
    ) throws(FormatError) -> (kind: PackKind, entries: [PackEntry]) {
        var reader = ByteReader(bytes, "pack footer")
        guard chunkBytes >= 0, chunkBytes <= Limits.packBytesMax else { throw reader.error(.outOfRange) }
        guard let kind = PackKind(rawValue: try reader.byte()) else { throw reader.error(.unknown) }
        guard reader.remaining % footerEntryBytes == 0 else { throw reader.error(.truncated) }
        let count = reader.remaining / footerEntryBytes
        guard count <= Limits.packChunksMax else { throw reader.error(.outOfRange) }
        var entries: [PackEntry] = []
        entries.reserveCapacity(count)
        var offset = headerBytes
        for _ in 0..<count {
            let id = ChunkID(try reader.bytes32())
            let sealed = try reader.uint32()
            let plain = try reader.uint32()
            guard sealed >= Limits.chunkOverheadBytes, plain <= Limits.chunkBytesMax,
                Int(sealed) <= Limits.chunkBytesMax + Limits.chunkOverheadBytes, Int(sealed) <= headerBytes + chunkBytes - offset
            else { throw reader.error(.outOfRange) }
            entries.append(PackEntry(id: id, offset: UInt32(offset), sealedBytes: sealed, plainBytes: plain))
            offset += Int(sealed)
        }
        guard headerBytes + chunkBytes - offset < paddingMax else { throw reader.error(.inconsistent) }
        return (kind, entries)
    }
}
