internal import BackupFormat
internal import Cryptography
internal import HostFiles

/// A chunk that some snapshot needs, by where it lies.
struct ChunkMark: Comparable, Sendable, BitwiseCopyable {
    /// Number of the pack in this process, in the upper half; offset in the pack, in bytes, in the lower.
    let place: UInt64
    let sealedBytes: UInt64

    init(_ pack: UInt32, offset: UInt32, sealedBytes: UInt32) {
        place = UInt64(pack) << 32 | UInt64(offset)
        self.sealedBytes = UInt64(sealedBytes)
    }

    var pack: UInt32 { UInt32(truncatingIfNeeded: place >> 32) }
    var offset: UInt32 { UInt32(truncatingIfNeeded: place) }

    static func < (a: ChunkMark, b: ChunkMark) -> Bool { a.place < b.place }
}

/// Collects marks in any order and gives them back sorted, each once, in bounded memory: sorted runs go to files.
final class ChunkMarks {
    private let disk: any Disk
    private let directory: RawPath
    private let capacity: Int
    private var buffer: [ChunkMark] = []
    private var runs: [(path: RawPath, file: any DiskFile, count: Int)] = []

    /// At most `memoryBytes` are held; runs are files in `directory`, removed at the end.
    init(disk: any Disk, directory: RawPath, memoryBytes: Int) {
        self.disk = disk
        self.directory = directory
        capacity = max(1 << 12, memoryBytes / MemoryLayout<ChunkMark>.stride)
    }

    deinit {
        for run in runs {
            run.file.close()
            try? disk.unlink(run.path)
        }
    }

    func add(_ mark: ChunkMark) throws(HostFilesError) {
        buffer.append(mark)
        if buffer.count >= capacity { try spill() }
    }

    private func sortBuffer() {
        buffer.sort()
        var kept = 0
        for mark in buffer where kept == 0 || buffer[kept - 1].place != mark.place {
            buffer[kept] = mark
            kept += 1
        }
        buffer.removeSubrange(kept...)
    }

    private func spill() throws(HostFilesError) {
        sortBuffer()
        // Marks that recur are common: only a buffer that stays full is worth a file.
        if buffer.count < capacity / 2 { return }
        let path = directory.appending("marks-\(Bytes32.random().hex.prefix(16))")
        let file = try disk.createExclusively(path, expectedBytes: 0)
        let result = buffer.withUnsafeBytes { bytes in Result { () throws(HostFilesError) in try file.write(at: 0, bytes) } }
        runs.append((path, file, buffer.count))
        try result.get()
        buffer.removeAll(keepingCapacity: true)
    }

    /// Calls `body` with every mark, in order, each once.
    func forEach(_ body: (ChunkMark) throws(ArchiveError) -> Void) throws(ArchiveError) {
        sortBuffer()
        var sources = runs.map { RunReader(file: $0.file, count: $0.count) }
        var inMemory = 0
        var last: UInt64?
        while true {
            var smallest: ChunkMark? = inMemory < buffer.count ? buffer[inMemory] : nil
            for index in sources.indices {
                do throws(HostFilesError) {
                    if let mark = try sources[index].peek(), smallest.map({ mark.place < $0.place }) ?? true { smallest = mark }
                } catch {
                    throw ArchiveError(.storage, "sort the chunks in use", "\(error)")
                }
            }
            guard let mark = smallest else { return }
            if inMemory < buffer.count, buffer[inMemory].place == mark.place { inMemory += 1 }
            for index in sources.indices { sources[index].skip(mark.place) }
            if mark.place != last { try body(mark) }
            last = mark.place
        }
    }
}

/// Reads one sorted run, a block at a time.
private struct RunReader {
    let file: any DiskFile
    var count: Int
    var position = 0
    var block: [ChunkMark] = []
    var inBlock = 0

    private static let blockCount = 4096

    init(file: any DiskFile, count: Int) {
        self.file = file
        self.count = count
    }

    mutating func peek() throws(HostFilesError) -> ChunkMark? {
        if inBlock < block.count { return block[inBlock] }
        guard position < count else { return nil }
        let wanted = min(RunReader.blockCount, count - position)
        var next = [ChunkMark](repeating: ChunkMark(0, offset: 0, sealedBytes: 0), count: wanted)
        let offset = position * MemoryLayout<ChunkMark>.stride
        let result = next.withUnsafeMutableBytes { buffer in
            Result { () throws(HostFilesError) in try file.read(at: offset, into: buffer) == buffer.count }
        }
        guard try result.get() else { throw HostFilesError(.io, "read back sorted chunks") }
        position += wanted
        block = next
        inBlock = 0
        return block.first
    }

    mutating func skip(_ place: UInt64) {
        if inBlock < block.count, block[inBlock].place == place { inBlock += 1 }
    }
}
