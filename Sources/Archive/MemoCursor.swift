internal import BackupFormat

/// The plaintext of one chunk of an older tree, at a fixed address while it lives.
final class MemoChunk: @unchecked Sendable {
    // SAFETY: written once, before it is shared.
    let bytes: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawBufferPointer

    init(_ plain: [UInt8]) {
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, plain.count), alignment: 8)
        memory.copyBytes(from: plain)
        bytes = UnsafeRawBufferPointer(rebasing: memory[..<plain.count])
    }

    deinit { memory.deallocate() }
}

/// Reads the last backup's tree of a folder in step with the walk of that folder: both come in order of names.
///
/// A tree that cannot be read is a memo that is not there: everything counts as new, and nothing is lost.
struct MemoCursor {
    private var keys: KeyListCursor
    private var chunk: MemoChunk?
    private var offset = 0
    private var peeked: TreeEntryView?
    /// Entries, encoded, that were the tops of other file systems and that nobody asked for.
    private(set) var skippedMounts: [[UInt8]] = []
    /// Whether entries that were not asked for are kept for ``takeGone()``.
    var keepsGone = false
    private var gone = Gone()
    /// Set once the memo could not be read to its end.
    private(set) var failed = false

    init(_ tree: KeyList) { keys = KeyListCursor(tree) }

    /// Over a tree that is this one chunk.
    init(chunk: MemoChunk) {
        keys = KeyListCursor(.empty)
        self.chunk = chunk
    }

    /// The entry of that name, if the memo holds one. Names must be asked for in increasing order.
    mutating func find(
        _ name: UnsafeRawBufferPointer, read: (ChunkKey) throws(ArchiveError) -> [UInt8]
    ) -> TreeEntryView? {
        while !failed {
            guard let view = peek(read: read) else { return nil }
            switch compareNames(view.name, name) {
            case 0:
                peeked = nil
                return view
            case ..<0: skip(view)
            default: return nil
            }
        }
        return nil
    }

    /// The next entry, whatever its name.
    mutating func next(read: (ChunkKey) throws(ArchiveError) -> [UInt8]) -> TreeEntryView? {
        if failed { return nil }
        defer { peeked = nil }
        return peek(read: read)
    }

    /// Skips all that is left.
    mutating func skipRest(read: (ChunkKey) throws(ArchiveError) -> [UInt8]) {
        while !failed, let view = peek(read: read) { skip(view) }
    }

    mutating func takeSkippedMounts() -> [[UInt8]] {
        defer { skippedMounts = [] }
        return skippedMounts
    }

    /// What the memo has and the folder has not.
    struct Gone {
        /// Encoded.
        var entries: [[UInt8]] = []
        var bytes = 0
        /// There were more than are kept.
        var isIncomplete = false
    }

    private static let goneBytesMax = 4 << 20

    /// The entries that were passed over since this was asked last, nil if there was none.
    mutating func takeGone() -> Gone? {
        guard !gone.entries.isEmpty else { return nil }
        defer { gone = Gone() }
        return gone
    }

    private mutating func skip(_ view: TreeEntryView) {
        if keepsGone {
            if gone.bytes + view.encoded.count <= MemoCursor.goneBytesMax {
                gone.entries.append(Array(view.encoded))
                gone.bytes += view.encoded.count + 32
            } else {
                gone.isIncomplete = true
            }
        }
        if view.marks.contains(.mountPoint) { skippedMounts.append(Array(view.encoded)) }
        peeked = nil
    }

    private mutating func peek(read: (ChunkKey) throws(ArchiveError) -> [UInt8]) -> TreeEntryView? {
        if let peeked { return peeked }
        do {
            while true {
                if let chunk, offset < chunk.bytes.count {
                    var reader = ByteReader(UnsafeRawBufferPointer(rebasing: chunk.bytes[offset...]), "tree")
                    let view = try TreeEntryView(parsing: &reader)
                    offset += view.encoded.count
                    peeked = view
                    return view
                }
                guard let key = try keys.next(read: read) else { return nil }
                chunk = MemoChunk(try read(key))
                offset = 0
            }
        } catch {
            failed = true
            return nil
        }
    }
}
