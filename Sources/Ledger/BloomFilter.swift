internal import BackupFormat

/// Says of most chunks that a segment lacks that it lacks them, at the cost of one cache line.
///
/// A split block Bloom filter (Putze, Sanders and Singler, 2007; the layout is that of Apache Parquet): blocks of eight
/// 32-bit words, one bit a word. The bits come from the id itself, which is a uniform hash: bytes 8–15 choose the block,
/// eight times five bits of bytes 16–23 the bits. At 10 bits a key about 1.3 % of absent ids pass.
struct BloomFilter: Sendable {
    static let bitsPerKey = 10
    static let blockBytes = 32

    /// Eight words a block.
    private(set) var words: [UInt32]
    private let blockCount: UInt64

    /// An empty filter for up to `keys` ids.
    init(keys: Int) { self.init(blockCount: BloomFilter.blockCount(keys: keys)) }

    /// An empty filter of that many blocks, at least one.
    init(blockCount: Int) {
        precondition(blockCount > 0)
        self.blockCount = UInt64(blockCount)
        words = Array(repeating: 0, count: blockCount * 8)
    }

    static func blockCount(keys: Int) -> Int { max(1, (keys * bitsPerKey + blockBytes * 8 - 1) / (blockBytes * 8)) }

    @inline(__always)
    private func firstWord(_ id: Bytes32) -> Int { Int(id.words.1.multipliedFullWidth(by: blockCount).high) * 8 }

    mutating func insert(_ id: Bytes32) {
        let first = firstWord(id)
        var bits = id.words.2
        for word in first..<first + 8 {
            words[word] |= 1 << UInt32(truncatingIfNeeded: bits & 31)
            bits >>= 5
        }
    }

    /// False: the id was never inserted. True: it may have been.
    func mayContain(_ id: Bytes32) -> Bool {
        let first = firstWord(id)
        var bits = id.words.2
        var found: UInt32 = 1
        for word in first..<first + 8 {
            found &= words[word] >> UInt32(truncatingIfNeeded: bits & 31)
            bits >>= 5
        }
        return found == 1
    }

    /// Fills the words from their little-endian bytes, beginning at byte `offset` of the filter; both multiples of 4.
    mutating func load(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        for index in 0..<bytes.count / 4 {
            words[offset / 4 + index] = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
        }
    }
}
