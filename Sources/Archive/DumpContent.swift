internal import BackupFormat

/// A file's bytes from start to end, holes included, piece by piece.
final class DumpContent {
    enum Piece {
        /// Valid until the next piece is asked for.
        case bytes(UnsafeRawBufferPointer)
        case zeros(Int)
        /// So many bytes that cannot be brought back.
        case lost(Int, ArchiveError)
    }

    private let source: any ChunkSource
    private let scratch: ChunkScratch
    private let path: RawPath
    private let inline: [UInt8]?
    private var keys: KeyListCursor?
    private let extents: [Extent]
    private var extent = 0
    private let size: Int
    /// Bytes handed out so far.
    private(set) var position = 0
    private var pending: Pending = .nothing
    private var inlineGiven = false

    /// Stored bytes that are read but not handed out yet.
    private enum Pending {
        case nothing
        case bytes(UnsafeRawBufferPointer)
        case lost(Int, ArchiveError)
    }

    init(_ entry: TreeEntry, _ path: RawPath, _ source: any ChunkSource, _ scratch: ChunkScratch) {
        self.source = source
        self.scratch = scratch
        self.path = path
        size = Int(clamping: entry.size)
        extents = entry.extents ?? (entry.size > 0 ? [Extent(offset: 0, length: entry.size)] : [])
        switch entry.content {
        case .none:
            inline = nil
            keys = nil
        case .inline(let bytes):
            inline = bytes
            keys = nil
        case .stored(let list):
            inline = nil
            keys = KeyListCursor(list)
        }
    }

    /// The next piece; nil at the end. All pieces together are as long as the file. Throws when the list of chunks is lost.
    func next() throws(ArchiveError) -> Piece? {
        guard position < size else { return nil }
        guard extent < extents.count else { return give(.zeros(size - position), size - position) }
        let start = Int(extents[extent].offset)
        if position < start { return give(.zeros(start - position), start - position) }
        let room = start + Int(extents[extent].length) - position
        if room == 0 {
            extent += 1
            return try next()
        }
        switch try stored(room) {
        case .bytes(let bytes):
            if bytes.count > room {
                pending = .bytes(UnsafeRawBufferPointer(rebasing: bytes[room...]))
                return give(.bytes(UnsafeRawBufferPointer(rebasing: bytes[..<room])), room)
            }
            return give(.bytes(bytes), bytes.count)
        case .lost(let count, let error):
            if count > room { pending = .lost(count - room, error) }
            return give(.lost(min(count, room), error), min(count, room))
        case .nothing:
            let error = ArchiveError(.damaged, "read the file", "it is stored shorter than its size says", path: path)
            return give(.lost(room, error), room)
        }
    }

    private func give(_ piece: Piece, _ count: Int) -> Piece {
        position += count
        return piece
    }

    private func stored(_ room: Int) throws(ArchiveError) -> Pending {
        defer { pending = .nothing }
        if case .nothing = pending {} else { return pending }
        if let inline {
            if inlineGiven { return .nothing }
            inlineGiven = true
            return .bytes(scratch.hold(inline))
        }
        while let key = try keys?.next(source, scratch) {
            do {
                let bytes = try source.read(key, scratch)
                if !bytes.isEmpty { return .bytes(bytes) }
            } catch {
                if error.endsReading { throw error }
                return .lost(source.plainBytesHint(key) ?? room, error)
            }
        }
        return .nothing
    }
}
