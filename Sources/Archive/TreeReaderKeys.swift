internal import BackupFormat

/// The chunk keys of a stored stream one after the other, however deeply its lists of keys are nested.
///
/// Holds one chunk of keys a level. Used by one thread at a time.
final class KeyStream {
    private let source: any ChunkSource
    private let direct: [ChunkKey]
    private var position = 0
    /// The keys of the chunks that hold this level's keys; nil where `direct` holds them.
    private let lists: KeyStream?
    private var bytes: [UInt8] = []

    convenience init(_ keys: KeyList, _ source: any ChunkSource) {
        self.init(keys.keys, levels: Int(keys.levels), source)
    }

    private init(_ keys: [ChunkKey], levels: Int, _ source: any ChunkSource) {
        self.source = source
        direct = levels == 0 ? keys : []
        lists = levels == 0 ? nil : KeyStream(keys, levels: levels - 1, source)
    }

    /// The next key, or nil at the end. Uses `scratch` only when a nested list has to be read.
    func next(_ scratch: ChunkScratch) throws(ArchiveError) -> ChunkKey? {
        guard let lists else {
            guard position < direct.count else { return nil }
            defer { position += 1 }
            return direct[position]
        }
        while bytes.count - position < Bytes32.count {
            guard let list = try lists.next(scratch) else {
                guard position == bytes.count else {
                    throw ArchiveError(.damaged, "read a list of chunks", "it ends within a key; run check --repair")
                }
                return nil
            }
            // A key may lie across two chunks: what is left of the last one comes first.
            bytes.removeSubrange(..<position)
            position = 0
            bytes.append(contentsOf: try source.read(list, scratch))
        }
        let key = bytes.withUnsafeBytes { Bytes32(UnsafeRawBufferPointer(rebasing: $0[position..<position + Bytes32.count])) }
        position += Bytes32.count
        return ChunkKey(key)
    }
}
