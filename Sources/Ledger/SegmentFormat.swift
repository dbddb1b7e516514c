package import BackupFormat

// The content of a segment, inside its protected file:
//
//     entry blocks, 4096 bytes each | pack table, 32 bytes a pack | Bloom filter, 32 bytes a block | fences | trailer
//
//     entry block:  up to 85 entries of 48 bytes, sorted by id; unused ones zero
//                   4080  number of the block, u32     4084  entries in it, u32
//                   4088  checksum of the 4088 bytes before it, u64 (`blockChecksum`)
//     entry:        0  chunk id, 32     32  index into the pack table, u32     36  offset, u32
//                   40  sealed bytes, u32     44  plain bytes, u32
//     fence:        bytes 0–7 of the block's first id, read as a big-endian number; u64
//     trailer:      0  magic "bakareI1"     8  version (1), u32     12  zero, u32     16  entries, u64     24  blocks, u64
//                   32  packs, u64     40  Bloom filter blocks, u64
//
// Numbers are little-endian. What a stream cannot know at its start comes at its end, so that merging needs one pass.

/// How many of each thing a segment holds, and where they lie in its content. Offsets and lengths are in bytes.
package struct SegmentLayout: Equatable, Sendable {
    static let magic = Array("bakareI1".utf8)
    static let version: UInt32 = 1
    static let blockBytes = 4096
    static let entryBytes = 48
    static let entriesPerBlock = 85
    static let blockNumberOffset = entriesPerBlock * entryBytes
    static let blockChecksumOffset = blockBytes - 8
    static let trailerBytes = 48
    /// More than any vault holds; keeps every product far from overflow.
    private static let countMax: UInt64 = 1 << 40

    package let entryCount: Int
    package let packCount: Int
    package let bloomBlockCount: Int

    package var blockCount: Int { (entryCount + SegmentLayout.entriesPerBlock - 1) / SegmentLayout.entriesPerBlock }
    package var packsOffset: Int { blockCount * SegmentLayout.blockBytes }
    package var bloomOffset: Int { packsOffset + packCount * Bytes32.count }
    package var fencesOffset: Int { bloomOffset + bloomBlockCount * BloomFilter.blockBytes }
    package var trailerOffset: Int { fencesOffset + blockCount * 8 }
    package var contentBytes: Int { trailerOffset + SegmentLayout.trailerBytes }

    package init(entryCount: Int, packCount: Int, bloomBlockCount: Int) {
        self.entryCount = entryCount
        self.packCount = packCount
        self.bloomBlockCount = bloomBlockCount
    }

    /// Reads a trailer, which must fit the length of the content.
    package init(trailer: UnsafeRawBufferPointer, contentBytes: Int) throws(FormatError) {
        var reader = ByteReader(trailer, "index segment")
        guard try reader.bytes(8).elementsEqual(SegmentLayout.magic) else { throw reader.error(.inconsistent) }
        guard try reader.uint32() == SegmentLayout.version else { throw reader.error(.unknown) }
        _ = try reader.uint32()
        let counts = (try reader.uint64(), try reader.uint64(), try reader.uint64(), try reader.uint64())
        guard max(max(counts.0, counts.1), max(counts.2, counts.3)) <= SegmentLayout.countMax, counts.3 > 0 else {
            throw reader.error(.outOfRange)
        }
        self.init(entryCount: Int(counts.0), packCount: Int(counts.2), bloomBlockCount: Int(counts.3))
        guard blockCount == Int(counts.1), self.contentBytes == contentBytes, packCount > 0 || entryCount == 0 else {
            throw reader.error(.inconsistent)
        }
    }

    /// The encoded trailer.
    package var trailer: [UInt8] {
        var writer = ByteWriter(capacity: SegmentLayout.trailerBytes)
        writer.raw(SegmentLayout.magic)
        writer.uint32(SegmentLayout.version)
        writer.uint32(0)
        for count in [entryCount, blockCount, packCount, bloomBlockCount] { writer.uint64(UInt64(count)) }
        return writer.bytes
    }

    /// Entries in the block of that number.
    package func entries(inBlock block: Int) -> Int {
        min(SegmentLayout.entriesPerBlock, entryCount - block * SegmentLayout.entriesPerBlock)
    }

    /// Whether `bytes` are that block, unchanged.
    func isGood(_ bytes: UnsafeRawBufferPointer, block: Int) -> Bool {
        bytes.littleEndian(SegmentLayout.blockNumberOffset, UInt32.self) == UInt32(truncatingIfNeeded: block)
            && bytes.littleEndian(SegmentLayout.blockNumberOffset + 4, UInt32.self) == UInt32(entries(inBlock: block))
            && bytes.littleEndian(SegmentLayout.blockChecksumOffset, UInt64.self) == blockChecksum(bytes)
    }
}

extension IndexEntry {
    /// Reads the entry at `offset`.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        id = Bytes32(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Bytes32.count]))
        pack = bytes.littleEndian(offset + 32, UInt32.self)
        self.offset = bytes.littleEndian(offset + 36, UInt32.self)
        sealedBytes = bytes.littleEndian(offset + 40, UInt32.self)
        plainBytes = bytes.littleEndian(offset + 44, UInt32.self)
    }

    /// Writes the entry at `offset`.
    @inline(__always)
    func store(to bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
        id.store(to: UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + Bytes32.count]))
        bytes.storeBytes(of: pack.littleEndian, toByteOffset: offset + 32, as: UInt32.self)
        bytes.storeBytes(of: self.offset.littleEndian, toByteOffset: offset + 36, as: UInt32.self)
        bytes.storeBytes(of: sealedBytes.littleEndian, toByteOffset: offset + 40, as: UInt32.self)
        bytes.storeBytes(of: plainBytes.littleEndian, toByteOffset: offset + 44, as: UInt32.self)
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ type: T.Type) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

/// The checksum of an entry block: of its first 4088 bytes, as 511 little-endian words, against accidents.
///
/// Four lanes take the words in turn: `h = rotl(h ^ word, 29) · P`, with P = 0x9e3779b97f4a7c15, from h = lane number; then
/// lanes 1 to 3 are taken into lane 0 likewise. Every step can be undone, so a change of one word always shows.
/// About 0.15 µs; it lets a lookup do without the container's table of checksums, which would be a second read.
package func blockChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    precondition(bytes.count >= SegmentLayout.blockBytes)
    var lanes = SIMD4<UInt64>(0, 1, 2, 3)
    for offset in stride(from: 0, to: SegmentLayout.blockChecksumOffset - 24, by: 32) {
        lanes.x = mixed(lanes.x, bytes.littleEndian(offset, UInt64.self))
        lanes.y = mixed(lanes.y, bytes.littleEndian(offset + 8, UInt64.self))
        lanes.z = mixed(lanes.z, bytes.littleEndian(offset + 16, UInt64.self))
        lanes.w = mixed(lanes.w, bytes.littleEndian(offset + 24, UInt64.self))
    }
    let rest = SegmentLayout.blockChecksumOffset - 24
    lanes.x = mixed(lanes.x, bytes.littleEndian(rest, UInt64.self))
    lanes.y = mixed(lanes.y, bytes.littleEndian(rest + 8, UInt64.self))
    lanes.z = mixed(lanes.z, bytes.littleEndian(rest + 16, UInt64.self))
    return mixed(mixed(mixed(lanes.x, lanes.y), lanes.z), lanes.w)
}

@inline(__always)
private func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let value = hash ^ word
    return (value << 29 | value >> 35) &* 0x9e37_79b9_7f4a_7c15
}
