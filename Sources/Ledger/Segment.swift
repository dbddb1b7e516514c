internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// An immutable, sorted file of the index, open: in memory its pack numbers, its Bloom filter and one fence a block.
///
/// A lookup costs one cache line if the chunk is absent, and one read of 4 KiB if it is there. Keeps its descriptor, so
/// it can be read after another process has merged it and unlinked it.
final class Segment: Sendable {
    private static let pieceBytes = 256 << 10

    let name: RawPath
    let layout: SegmentLayout
    /// For each row of the pack table, the pack's number in this process.
    let packNumbers: [UInt32]
    private let disk: any Disk
    private let path: RawPath
    private let file: ProtectedFile
    private let bloom: BloomFilter
    private let fences: [UInt64]
    private let hasBeenHealed = Atomic<Bool>(false)

    /// Opens the segment `name`, which for now may have another name. `numbers` gives packs their numbers in this process.
    init(
        _ disk: any Disk, _ directory: RawPath, _ name: RawPath, now temporary: RawPath? = nil,
        numbers: ([PackID]) -> [UInt32]
    ) throws(LedgerError) {
        self.disk = disk
        self.name = name
        path = directory.appending(name)
        do {
            file = try ProtectedFile.open(disk, directory.appending(temporary ?? name))
            let contentBytes = file.contentBytes
            guard contentBytes >= SegmentLayout.trailerBytes else {
                throw HostFilesError(.damaged, "read", path: path, detail: "too short")
            }
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Segment.pieceBytes, alignment: 16)
            defer { piece.deallocate() }
            var wasDamaged = try file.readChecked(contentBytes - SegmentLayout.trailerBytes..<contentBytes, into: piece)
            let layout = try Segment.layout(UnsafeRawBufferPointer(piece), contentBytes, path)
            var packNumbers: [UInt32] = []
            packNumbers.reserveCapacity(layout.packCount)
            var bloom = BloomFilter(blockCount: layout.bloomBlockCount)
            var fences: [UInt64] = []
            fences.reserveCapacity(layout.blockCount)
            for (section, range) in [
                layout.packsOffset..<layout.bloomOffset, layout.bloomOffset..<layout.fencesOffset,
                layout.fencesOffset..<layout.trailerOffset,
            ].enumerated() {
                for start in stride(from: range.lowerBound, to: range.upperBound, by: Segment.pieceBytes) {
                    let end = min(range.upperBound, start + Segment.pieceBytes)
                    if try file.readChecked(start..<end, into: piece) { wasDamaged = true }
                    let bytes = UnsafeRawBufferPointer(rebasing: piece[..<(end - start)])
                    switch section {
                    case 0: packNumbers += numbers(Segment.packIDs(bytes))
                    case 1: bloom.load(bytes, at: start - range.lowerBound)
                    default:
                        for offset in stride(from: 0, to: bytes.count, by: 8) {
                            fences.append(bytes.littleEndian(offset, UInt64.self))
                        }
                    }
                }
            }
            self.layout = layout
            self.packNumbers = packNumbers
            self.bloom = bloom
            self.fences = fences
            if wasDamaged { heal() }
        } catch {
            throw (error as? LedgerError) ?? Segment.error(error, path)
        }
    }

    private static func error(_ error: any Error, _ path: RawPath) -> LedgerError {
        if let error = error as? HostFilesError { return LedgerError(error, "read an index segment", path: path) }
        return LedgerError(.damaged, "read an index segment", path: path)
    }

    private static func layout(
        _ trailer: UnsafeRawBufferPointer, _ contentBytes: Int, _ path: RawPath
    ) throws(LedgerError) -> SegmentLayout {
        do {
            return try SegmentLayout(
                trailer: UnsafeRawBufferPointer(rebasing: trailer[..<SegmentLayout.trailerBytes]), contentBytes: contentBytes)
        } catch {
            throw LedgerError(
                error.code == .unknown ? .unknownVersion : .damaged, "read an index segment", path: path,
                detail: error.description)
        }
    }

    private static func packIDs(_ bytes: UnsafeRawBufferPointer) -> [PackID] {
        stride(from: 0, to: bytes.count, by: Bytes32.count).map {
            PackID(Bytes32(UnsafeRawBufferPointer(rebasing: bytes[$0..<$0 + Bytes32.count])))
        }
    }

    /// Whether the segment may hold the chunk; false is certain.
    func mayContain(_ id: ChunkID) -> Bool { bloom.mayContain(id.value) }

    /// Calls `body` with each entry of the chunk, its pack numbered as in this process, until it returns true.
    ///
    /// Throws `damaged` if the bytes are beyond repair.
    func visit(_ id: ChunkID, _ body: (IndexEntry) -> Bool) throws(LedgerError) {
        guard !fences.isEmpty, bloom.mayContain(id.value) else { return }
        let prefix = id.value.words.0
        let last = firstFence { $0 > prefix } - 1
        guard last >= 0 else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: SegmentLayout.blockBytes, alignment: 16)
        defer { buffer.deallocate() }
        var block = last
        while true {
            try read(block..<block + 1, into: buffer)
            var index = firstEntry(UnsafeRawBufferPointer(buffer), layout.entries(inBlock: block), id.value)
            while index < layout.entries(inBlock: block) {
                var entry = IndexEntry(UnsafeRawBufferPointer(buffer), at: index * SegmentLayout.entryBytes)
                guard entry.id == id.value else { break }
                entry.pack = try packNumber(entry.pack)
                if body(entry) { return }
                index += 1
            }
            // Copies of a chunk may begin in the block before.
            guard block > 0, fences[block] == prefix else { return }
            block -= 1
        }
    }

    /// The number in this process of the pack that an entry names.
    @inline(__always)
    func packNumber(_ row: UInt32) throws(LedgerError) -> UInt32 {
        guard Int(row) < packNumbers.count else {
            throw LedgerError(.damaged, "read an index segment", path: path, detail: "an entry names no pack of its table")
        }
        return packNumbers[Int(row)]
    }

    private func firstFence(_ isAfter: (UInt64) -> Bool) -> Int {
        var low = 0
        var high = fences.count
        while low < high {
            let middle = (low + high) / 2
            if isAfter(fences[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The first of `count` entries whose id is not below `id`.
    private func firstEntry(_ bytes: UnsafeRawBufferPointer, _ count: Int, _ id: Bytes32) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            let start = middle * SegmentLayout.entryBytes
            if Bytes32(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Bytes32.count])) < id {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Reads entry blocks, each checked, and rebuilt from parity if need be. Throws `damaged` if that cannot be.
    func read(_ blocks: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(LedgerError) {
        let range = blocks.lowerBound * SegmentLayout.blockBytes..<blocks.upperBound * SegmentLayout.blockBytes
        do {
            try file.read(range, into: buffer)
            if areGood(UnsafeRawBufferPointer(buffer), blocks) { return }
        } catch {
            guard error.code == .damaged || error.code == .io else {
                throw LedgerError(error, "read an index segment", path: path)
            }
        }
        do {
            _ = try file.readChecked(range, into: buffer)
        } catch {
            throw LedgerError(error, "read an index segment", path: path)
        }
        guard areGood(UnsafeRawBufferPointer(buffer), blocks) else {
            throw LedgerError(.damaged, "read an index segment", path: path, detail: "a block is not what it should be")
        }
        heal()
    }

    private func areGood(_ bytes: UnsafeRawBufferPointer, _ blocks: Range<Int>) -> Bool {
        for (place, block) in blocks.enumerated() {
            let start = place * SegmentLayout.blockBytes
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + SegmentLayout.blockBytes])
            guard layout.isGood(part, block: block) else { return false }
        }
        return true
    }

    /// Rewrites damaged blocks, at the first that is seen. If that fails they are rebuilt at each read.
    private func heal() {
        guard !hasBeenHealed.exchange(true, ordering: .relaxed) else { return }
        _ = try? ProtectedFile.openForRepair(disk, path).scrub(repair: true)
    }
}
