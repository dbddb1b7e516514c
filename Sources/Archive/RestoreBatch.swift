internal import BackupFormat

/// Small entries of one folder, encoded one after the other. Holds a use of the folder.
struct RestoreBatch: Sendable {
    let directory: RestoreDirectory
    var encoded: [UInt8] = []
    var count = 0
    /// Content that they have together, in bytes.
    var contentBytes = 0

    static let countMax = 64
    static let contentBytesMax = 4 << 20
    static let encodedBytesMax = 64 << 10

    init(_ directory: RestoreDirectory) { self.directory = directory }

    mutating func append(_ view: TreeEntryView) {
        encoded.append(contentsOf: view.encoded)
        count += 1
        contentBytes += view.type == .file ? Int(clamping: view.size) : 0
    }

    var isFull: Bool {
        count >= RestoreBatch.countMax || contentBytes >= RestoreBatch.contentBytesMax
            || encoded.count >= RestoreBatch.encodedBytesMax
    }
}

/// Where a file's stored bytes lie in the file: extent by extent.
struct RestoreLayout {
    private let extents: [Extent]
    /// Where each extent starts among the stored bytes.
    private let starts: [UInt64]
    /// Length of the file, in bytes.
    let size: UInt64
    /// Bytes that are stored.
    let storedBytes: UInt64

    /// Without holes, and so large that the page cache is better kept for other things.
    var isLarge: Bool { storedBytes >= RestoreLayout.largeBytesMin && storedBytes == size }
    private static let largeBytesMin: UInt64 = 4 << 20

    /// There is no stored byte at the file's end.
    var endsWithHole: Bool { (extents.last.map { $0.offset + $0.length } ?? 0) < size }

    /// Nil when the lengths make no sense.
    init?(_ entry: TreeEntry) {
        size = entry.size
        guard size <= UInt64(Int64.max) else { return nil }
        extents = entry.extents ?? (size > 0 ? [Extent(offset: 0, length: size)] : [])
        var starts: [UInt64] = []
        var total: UInt64 = 0
        for extent in extents {
            starts.append(total)
            total += extent.length
        }
        self.starts = starts
        storedBytes = total
    }

    /// Calls `body` with each run of stored bytes from `stored` on, `count` long, and where in the file it lies.
    func forEachRun(
        _ stored: UInt64, _ count: Int, _ body: (_ piece: Range<Int>, _ fileOffset: UInt64) throws(RestoreFailure) -> Void
    ) throws(RestoreFailure) {
        guard count > 0, !extents.isEmpty else { return }
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= stored { low = middle } else { high = middle }
        }
        var done = 0
        while done < count, low < extents.count {
            let inside = stored + UInt64(done) - starts[low]
            let length = min(count - done, Int(extents[low].length - inside))
            try body(done..<done + length, extents[low].offset + inside)
            done += length
            low += 1
        }
    }

    /// Calls `body` with each hole until it returns false; whether it never did.
    func allHoles(_ body: (_ offset: UInt64, _ length: UInt64) throws(RestoreFailure) -> Bool) throws(RestoreFailure) -> Bool {
        var position: UInt64 = 0
        for extent in extents {
            if extent.offset > position, !(try body(position, extent.offset - position)) { return false }
            position = extent.offset + extent.length
        }
        return position >= size ? true : try body(position, size - position)
    }
}
