internal import BackupFormat

/// Goes through the entries of one segment in order, with a few blocks in memory.
final class SegmentCursor {
    private static let bufferedBlocks = 16

    let segment: Segment
    /// The entry it stands at, its pack numbered as in this process; nil at the end.
    private(set) var entry: IndexEntry?
    private let buffer: UnsafeMutableRawBufferPointer
    private var nextBlock = 0
    private var blocksBuffered = 0
    private var next = 0

    init(_ segment: Segment) throws(LedgerError) {
        self.segment = segment
        buffer = .allocate(byteCount: SegmentCursor.bufferedBlocks * SegmentLayout.blockBytes, alignment: 4096)
        try advance()
    }

    deinit { buffer.deallocate() }

    /// Goes to the next entry. Throws `damaged` if the segment is beyond repair.
    func advance() throws(LedgerError) {
        guard next < segment.layout.entryCount else {
            entry = nil
            return
        }
        let (block, place) = next.quotientAndRemainder(dividingBy: SegmentLayout.entriesPerBlock)
        if block == nextBlock {
            blocksBuffered = min(SegmentCursor.bufferedBlocks, segment.layout.blockCount - block)
            try segment.read(block..<block + blocksBuffered, into: buffer)
            nextBlock = block + blocksBuffered
        }
        let start = (block - (nextBlock - blocksBuffered)) * SegmentLayout.blockBytes + place * SegmentLayout.entryBytes
        var found = IndexEntry(UnsafeRawBufferPointer(buffer), at: start)
        found.pack = try segment.packNumber(found.pack)
        entry = found
        next += 1
    }
}
