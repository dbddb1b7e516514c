internal import BackupFormat

/// Collects the keys of a stream's chunks, in order. When they exceed ``ChunkWriter/listKeysMax`` the full lists are stored
/// as chunks themselves, one level up.
struct KeyListBuilder {
    /// Keys not yet in a stored list, by level.
    private var pending: [[ChunkKey]] = [[]]

    /// Appends the key of the next chunk.
    mutating func append(_ key: ChunkKey, _ writer: ChunkWriter) throws(ArchiveError) {
        try append(key, level: 0, writer)
    }

    private mutating func append(_ key: ChunkKey, level: Int, _ writer: ChunkWriter) throws(ArchiveError) {
        if level == pending.count { pending.append([]) }
        if pending[level].count == writer.listKeysMax {
            let list = try KeyListBuilder.store(pending[level], writer)
            pending[level].removeAll(keepingCapacity: true)
            try append(list, level: level + 1, writer)
        }
        pending[level].append(key)
    }

    /// Stores a list of keys as one chunk.
    static func store(_ keys: [ChunkKey], _ writer: ChunkWriter) throws(ArchiveError) -> ChunkKey {
        var bytes = ByteWriter(capacity: 1 + keys.count * Bytes32.count)
        bytes.byte(0)
        for key in keys { bytes.bytes32(key.value) }
        return try storeChunk(&bytes.bytes, writer)
    }

    /// The finished list.
    mutating func finish(_ writer: ChunkWriter) throws(ArchiveError) -> KeyList {
        var level = 0
        while level + 1 < pending.count {
            let list = try KeyListBuilder.store(pending[level], writer)
            level += 1
            try append(list, level: level, writer)
        }
        return try KeyList(keys: pending[level], levels: level)
    }
}

extension KeyList {
    /// Throws for what no reader accepts: more than any file system holds.
    init(keys: [ChunkKey], levels: Int) throws(ArchiveError) {
        guard levels <= Limits.keyListLevelsMax else { throw ArchiveError(.usage, "back up", "a file or folder is too large") }
        self.init(levels: UInt8(levels), keys: keys)
    }
}

/// Stores `bytes` after the first, which is room for the compression method, as a tree chunk.
func storeChunk(_ bytes: inout [UInt8], _ writer: ChunkWriter) throws(ArchiveError) -> ChunkKey {
    let result = bytes.withUnsafeMutableBytes { bytes in
        Result { () throws(ArchiveError) in
            try writer.store(UnsafeRawBufferPointer(rebasing: bytes[1...]), .tree)
        }
    }
    return try result.get()
}
