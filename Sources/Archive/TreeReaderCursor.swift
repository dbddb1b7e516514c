internal import BackupFormat

/// A place in a tree and the folders above it: goes down and up, and keeps the memory of deep trees bounded by giving up
/// the chunks of the folders farthest above.
final class TreeCursor {
    private struct Level {
        let reader: TreeReader
        /// Length of the path of the folder, in bytes.
        let pathBytes: Int
    }

    private let source: any ChunkSource
    private let scratch: ChunkScratch
    private var levels: [Level] = []
    /// Levels below this index hold no chunk.
    private var firstHeld = 0
    /// The path of the folder that ``next()`` reads, without a slash at its end.
    private(set) var path: [UInt8]

    /// Bytes of tree chunks that all levels together keep, besides the deepest one.
    private static let heldBytesMax = 12 << 20

    init(_ root: KeyList, path: RawPath, _ source: any ChunkSource, _ scratch: ChunkScratch) {
        self.source = source
        self.scratch = scratch
        self.path = path.bytes == [0x2f] ? [] : path.bytes
        levels.append(Level(reader: TreeReader(root, source, scratch), pathBytes: self.path.count))
    }

    /// How many folders are open: 1 in the root, 0 after it was left.
    var depth: Int { levels.count }

    /// The next entry of the deepest folder, or nil at its end. Valid until the next call of any method.
    func next() throws(ArchiveError) -> TreeEntryView? {
        guard let level = levels.last else { return nil }
        return try level.reader.next()
    }

    /// Makes ``next()`` give the last entry of the deepest folder once more.
    func putBack() { levels.last?.reader.putBack() }

    /// Goes down into a child of the deepest folder.
    func descend(_ name: [UInt8], _ keys: KeyList) {
        path.append(0x2f)
        path.append(contentsOf: name)
        levels.append(Level(reader: TreeReader(keys, source, scratch), pathBytes: path.count))
        var held = 0
        for index in stride(from: levels.count - 1, through: firstHeld, by: -1) {
            held += levels[index].reader.heldBytes
            if held > TreeCursor.heldBytesMax {
                for above in firstHeld...index { levels[above].reader.release() }
                firstHeld = index + 1
                break
            }
        }
    }

    /// Leaves the deepest folder.
    func ascend() {
        guard levels.popLast() != nil else { return }
        if let level = levels.last { path.removeSubrange(level.pathBytes...) }
        firstHeld = min(firstHeld, max(levels.count - 1, 0))
    }

    /// The path of an entry of the deepest folder.
    func path(of name: RawPath) -> RawPath { RawPath(bytes: path + [0x2f] + name.bytes) }

    /// The path of the deepest folder.
    var folder: RawPath { path.isEmpty ? "/" : RawPath(bytes: path) }
}
