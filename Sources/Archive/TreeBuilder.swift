internal import BackupFormat

/// Writes a tree: encoded entries in order of their names, cut into chunks between entries.
///
/// Where to cut depends on a keyed hash of the last name alone, so that a change in a large folder costs one chunk.
struct TreeBuilder {
    /// The chunk being filled, after one byte of room for its compression method.
    private var chunk: [UInt8] = [0]
    private var keys = KeyListBuilder()

    private static let chunkBytesMin = 64 << 10
    private static let chunkBytesMax = 1 << 20
    /// One name in 512 may end a chunk.
    private static let cutMask: UInt64 = 511 << 40

    /// Appends encoded entries one after the other: the part of an older tree that is taken over unchanged.
    mutating func append(encodedRun run: UnsafeRawBufferPointer, _ gear: [UInt64], _ writer: ChunkWriter) throws(ArchiveError) {
        var reader = ByteReader(run, "tree")
        while !reader.isAtEnd {
            let view: TreeEntryView
            do { view = try TreeEntryView(parsing: &reader) } catch {
                throw ArchiveError(.damaged, "copy a folder's entries", "\(error)")
            }
            try append(view.encoded, name: view.name, gear, writer)
        }
    }

    /// Appends one encoded entry, whose name must come after the last one's.
    mutating func append(
        _ entry: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer, _ gear: [UInt64], _ writer: ChunkWriter
    ) throws(ArchiveError) {
        if chunk.count > 1, chunk.count + entry.count > TreeBuilder.chunkBytesMax { try cut(writer) }
        chunk.append(contentsOf: entry)
        guard chunk.count >= TreeBuilder.chunkBytesMin else { return }
        var hash: UInt64 = 0
        for byte in name { hash = (hash &<< 1) &+ gear[Int(byte)] }
        if hash & TreeBuilder.cutMask == 0 { try cut(writer) }
    }

    private mutating func cut(_ writer: ChunkWriter) throws(ArchiveError) {
        try keys.append(try storeChunk(&chunk, writer), writer)
        chunk.removeAll(keepingCapacity: true)
        chunk.append(0)
    }

    /// The finished tree.
    mutating func finish(_ writer: ChunkWriter) throws(ArchiveError) -> KeyList {
        if chunk.count > 1 { try cut(writer) }
        return try keys.finish(writer)
    }
}
