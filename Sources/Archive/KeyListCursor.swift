internal import BackupFormat

/// Walks the chunk keys of a stream in order, opening lists of keys as it comes to them: at most one list a level is held.
///
/// After an error it goes on behind the list that could not be read.
struct KeyListCursor {
    private struct Level {
        var keys: [ChunkKey]
        var next = 0
        /// How many lists lie between these keys and content.
        var height: Int
    }

    private var stack: [Level]

    init(_ list: KeyList) { stack = [Level(keys: list.keys, height: Int(list.levels))] }

    /// The next key of content, or nil at the end. Uses `scratch` only when a list has to be read.
    mutating func next(_ source: any ChunkSource, _ scratch: ChunkScratch) throws(ArchiveError) -> ChunkKey? {
        try next { (key) throws(ArchiveError) in Array(try source.read(key, scratch)) }
    }

    /// The next key of content, or nil at the end. `read` gives the plaintext of a list's chunk.
    mutating func next(
        read: (ChunkKey) throws(ArchiveError) -> [UInt8]
    ) throws(ArchiveError) -> ChunkKey? {
        while let top = stack.last {
            guard top.next < top.keys.count else {
                stack.removeLast()
                continue
            }
            let key = top.keys[top.next]
            stack[stack.count - 1].next += 1
            if top.height == 0 { return key }
            let list = try read(key)
            guard list.count % Bytes32.count == 0, list.count / Bytes32.count <= Limits.directKeysMax else {
                throw ArchiveError(
                    .damaged, "read a list of chunks", "its length is wrong; the backup that wrote it was faulty")
            }
            let keys = list.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: Bytes32.count).map {
                    ChunkKey(Bytes32(UnsafeRawBufferPointer(rebasing: bytes[$0..<$0 + Bytes32.count])))
                }
            }
            stack.append(Level(keys: keys, height: top.height - 1))
        }
        return nil
    }
}
