internal import BackupFormat
internal import HostFiles

/// Writes a segment from entries that come sorted by id, in one pass. Holds its Bloom filter, its fences and some blocks.
final class SegmentWriter {
    private static let bufferedBlocks = 16

    private let file: ProtectedFileWriter
    private let buffer: UnsafeMutableRawBufferPointer
    private var bloom: BloomFilter
    private var fences: [UInt64] = []
    private var blocksWritten = 0
    private var blocksBuffered = 0
    /// Entries in the block being filled.
    private var filled = 0
    private(set) var entryCount = 0

    /// Creates the file `path`, for at most `entriesMax` entries of `packsMax` packs.
    init(_ disk: any Disk, _ path: RawPath, entriesMax: Int, packsMax: Int) throws(HostFilesError) {
        let layout = SegmentLayout(
            entryCount: entriesMax, packCount: packsMax, bloomBlockCount: BloomFilter.blockCount(keys: entriesMax))
        file = try ProtectedFileWriter(disk, path, expectedBytes: layout.contentBytes)
        bloom = BloomFilter(keys: entriesMax)
        fences.reserveCapacity(layout.blockCount)
        buffer = .allocate(byteCount: SegmentWriter.bufferedBlocks * SegmentLayout.blockBytes, alignment: 4096)
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { buffer.deallocate() }

    /// Adds an entry whose pack is a row of the pack table, and whose id is not below that of the one before.
    func append(_ entry: IndexEntry) throws(HostFilesError) {
        if filled == SegmentLayout.entriesPerBlock { try endBlock() }
        if filled == 0 { fences.append(entry.id.words.0) }
        bloom.insert(entry.id)
        entry.store(to: buffer, at: blocksBuffered * SegmentLayout.blockBytes + filled * SegmentLayout.entryBytes)
        filled += 1
        entryCount += 1
    }

    private func endBlock() throws(HostFilesError) {
        let start = blocksBuffered * SegmentLayout.blockBytes
        let block = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + SegmentLayout.blockBytes])
        let number = UInt32(truncatingIfNeeded: blocksWritten + blocksBuffered)
        block.storeBytes(of: number.littleEndian, toByteOffset: SegmentLayout.blockNumberOffset, as: UInt32.self)
        block.storeBytes(
            of: UInt32(filled).littleEndian, toByteOffset: SegmentLayout.blockNumberOffset + 4, as: UInt32.self)
        block.storeBytes(
            of: blockChecksum(UnsafeRawBufferPointer(block)).littleEndian, toByteOffset: SegmentLayout.blockChecksumOffset,
            as: UInt64.self)
        blocksBuffered += 1
        filled = 0
        if blocksBuffered == SegmentWriter.bufferedBlocks { try writeBlocks() }
    }

    private func writeBlocks() throws(HostFilesError) {
        try file.append(UnsafeRawBufferPointer(rebasing: buffer[..<(blocksBuffered * SegmentLayout.blockBytes)]))
        blocksWritten += blocksBuffered
        blocksBuffered = 0
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Writes what is left and syncs the file; its name is not durable yet. `packIDs` yields rows of the pack table.
    func finish(packCount: Int, packIDs: (Range<Int>) -> [PackID]) throws(HostFilesError) {
        if filled > 0 { try endBlock() }
        try writeBlocks()
        let layout = SegmentLayout(
            entryCount: entryCount, packCount: packCount, bloomBlockCount: bloom.words.count * 4 / BloomFilter.blockBytes)
        for first in stride(from: 0, to: packCount, by: 4096) {
            var bytes = ByteWriter(capacity: 4096 * Bytes32.count)
            for pack in packIDs(first..<min(packCount, first + 4096)) { bytes.bytes32(pack.value) }
            try file.append(bytes.bytes)
        }
        for first in stride(from: 0, to: bloom.words.count, by: 32768) {
            var bytes = ByteWriter(capacity: 32768 * 4)
            for word in bloom.words[first..<min(bloom.words.count, first + 32768)] { bytes.uint32(word) }
            try file.append(bytes.bytes)
        }
        for first in stride(from: 0, to: fences.count, by: 16384) {
            var bytes = ByteWriter(capacity: 16384 * 8)
            for fence in fences[first..<min(fences.count, first + 16384)] { bytes.uint64(fence) }
            try file.append(bytes.bytes)
        }
        try file.append(layout.trailer)
        try file.finish()
    }
}
