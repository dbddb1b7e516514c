package import BackupFormat
package import Cryptography
package import HostFiles

/// An opened segment: its table is in memory.
package final class NameSegment: Sendable {
    package let id: SegmentID
    package let table: NameTable
    private let file: any DiskFile

    package init(_ disk: any Disk, _ path: RawPath, _ cipher: NameIndexCipher) throws(NameIndexError) {
        let fileBytes: Int
        do {
            file = try disk.openForReading(path)
            fileBytes = try file.size()
        } catch { throw NameIndexError(error) }
        guard fileBytes >= NameTable.headBytes + NameTable.trailerBytes else {
            throw NameIndexError(.damaged, "a file of the name index is too short")
        }
        let opener = PieceOpener(cipher)
        let head = try opener.read(file, 0..<NameTable.headBytes)
        do throws(FormatError) {
            var reader = ByteReader(head, "name segment")
            guard try reader.bytes(8).elementsEqual(NameTable.headMagic) else { throw reader.error(.unknown) }
            guard try reader.uint32() == NameTable.version, try reader.uint32() == 0 else { throw reader.error(.unknown) }
            id = try SegmentID(decoding: &reader)
        } catch { throw NameIndexError(.damaged, "\(error)") }
        let place: (offset: Int, sealedBytes: Int, plainBytes: Int)
        let trailer = try opener.read(file, fileBytes - NameTable.trailerBytes..<fileBytes)
        do { place = try NameSegment.tablePlace(trailer, fileBytes: fileBytes) } catch {
            throw NameIndexError(.damaged, "\(error)")
        }
        let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: place.plainBytes, alignment: 16)
        defer { plain.deallocate() }
        let sealed = try opener.read(file, place.offset..<place.offset + place.sealedBytes)
        let opened = try opener.open(sealed, id, .table, 0, into: plain)
        do { table = try NameTable(decoding: opened, end: place.offset) } catch {
            throw NameIndexError(error)
        }
    }

    /// Where a trailer says that the table is, which must fit the file.
    package static func tablePlace(
        _ trailer: UnsafeRawBufferPointer, fileBytes: Int
    ) throws(FormatError) -> (offset: Int, sealedBytes: Int, plainBytes: Int) {
        var reader = ByteReader(trailer, "name segment")
        let (offset, sealed, plain) = (try reader.uint64(), try reader.uint64(), try reader.uint64())
        guard try reader.bytes(8).elementsEqual(NameTable.trailerMagic) else { throw reader.error(.unknown) }
        try reader.end()
        guard plain <= UInt64(NameLimits.tablePlainBytesMax), sealed <= plain + UInt64(NameTable.pieceOverheadBytes),
            offset >= UInt64(NameTable.headBytes), offset <= UInt64(fileBytes),
            offset + sealed + UInt64(NameTable.trailerBytes) == UInt64(fileBytes)
        else { throw reader.error(.inconsistent) }
        return (Int(offset), Int(sealed), Int(plain))
    }

    /// Whether the runs of a sketch, of blocks with so many paths, can be read to their end.
    package static func areRuns(_ bytes: UnsafeRawBufferPointer, entries: [Int]) -> Bool {
        do throws(FormatError) {
            var reader = try SketchRuns(bytes, entries: entries)
            while try reader.next() != nil {}
            return true
        } catch { return false }
    }

    /// Reads the names of a block into `buffer`; valid until that is used again.
    func names(_ number: Int, _ buffer: BlockBuffer) throws(NameIndexError) -> UnsafeRawBufferPointer {
        let block = table.blocks[number]
        return try buffer.fill(
            file, block.offset..<block.offset + block.sealedNames, plainBytes: block.plainNames, id, .names, number)
    }

    /// Reads the states of a block into `buffer`; valid until that is used again.
    func states(_ number: Int, _ buffer: BlockBuffer) throws(NameIndexError) -> UnsafeRawBufferPointer {
        let block = table.blocks[number]
        let start = block.offset + block.sealedNames
        return try buffer.fill(file, start..<start + block.sealedStates, plainBytes: block.plainStates, id, .states, number)
    }

    /// Reads the runs of a group into `buffer`; valid until that is used again.
    func runs(_ number: Int, _ buffer: BlockBuffer) throws(NameIndexError) -> UnsafeRawBufferPointer {
        let place = table.groups[number].place(of: .runs)
        return try buffer.fill(
            file, place.offset..<place.offset + place.plainBytes + NameTable.pieceOverheadBytes, plainBytes: place.plainBytes, id,
            .sketch, sketchNumber(number, place.number))
    }

    /// Reads the lengths, a column or the folders of a group to `target`, which has a byte more in front.
    func part(
        _ number: Int, _ part: NameGroup.Part, _ opener: PieceOpener, into target: UnsafeMutableRawBufferPointer
    ) throws(NameIndexError) {
        let place = table.groups[number].place(of: part)
        let sealed = try opener.read(file, place.offset..<place.offset + place.plainBytes + NameTable.pieceOverheadBytes)
        try opener.openStored(sealed, id, .sketch, sketchNumber(number, place.number), into: target)
    }
}

/// Room for one opened piece; used by one thread.
final class BlockBuffer {
    private let opener: PieceOpener
    private var plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)

    init(_ opener: PieceOpener) { self.opener = opener }
    deinit { plain.deallocate() }

    func fill(
        _ file: any DiskFile, _ range: Range<Int>, plainBytes: Int, _ id: SegmentID, _ kind: PieceKind, _ number: Int
    ) throws(NameIndexError) -> UnsafeRawBufferPointer {
        // A search reads names 32 bytes at a time.
        if plain.count < plainBytes + 64 {
            plain.deallocate()
            plain = .allocate(byteCount: plainBytes + 64, alignment: 64)
        }
        let target = UnsafeMutableRawBufferPointer(rebasing: plain[..<plainBytes])
        return try opener.open(try opener.read(file, range), id, kind, number, into: target)
    }
}

/// Goes through a segment path by path, with one block in memory.
final class NameCursor {
    private let segment: NameSegment
    private let nameBuffer: BlockBuffer
    private let stateBuffer: BlockBuffer
    private var nextBlock = 0
    private var left = 0
    private var names = NameReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var states: StatesReader?
    /// The path and its changes after ``next()`` said true.
    private(set) var path: [UInt8] = []
    private(set) var changes: [NameChange] = []

    init(_ segment: NameSegment, _ cipher: NameIndexCipher) {
        self.segment = segment
        nameBuffer = BlockBuffer(PieceOpener(cipher))
        stateBuffer = BlockBuffer(PieceOpener(cipher))
    }

    /// Goes to the start of a block.
    func seek(block: Int) throws(NameIndexError) {
        nextBlock = block + 1
        left = segment.table.blocks[block].entries
        path.removeAll(keepingCapacity: true)
        names = NameReader(try segment.names(block, nameBuffer))
        do { states = try StatesReader(try segment.states(block, stateBuffer)) } catch let error as FormatError {
            throw NameIndexError(error)
        } catch let error as NameIndexError { throw error } catch { throw NameIndexError(.damaged, "\(error)") }
    }

    /// Goes to the next path; false at the end.
    func next() throws(NameIndexError) -> Bool {
        if left == 0 {
            guard nextBlock < segment.table.blocks.count else { return false }
            try seek(block: nextBlock)
        }
        let isFirst = path.isEmpty
        do throws(FormatError) {
            guard let name = try names.next() else { throw FormatError(.truncated, "names") }
            let rises = path.withUnsafeBytes { path in
                // From the first byte that differs on; the first path of a block was compared by the table.
                isFirst || comparePaths(UnsafeRawBufferPointer(rebasing: path[name.shared...]), name.suffix) < 0
            }
            guard rises, !isFirst || name.shared == 0 else { throw FormatError(.inconsistent, "names") }
            path.removeSubrange(name.shared...)
            path.append(contentsOf: name.suffix)
            try states?.next(&changes)
            left -= 1
            if left == 0 {
                guard names.isAtEnd else { throw FormatError(.trailing, "names") }
                try states?.end()
            }
        } catch { throw NameIndexError(error) }
        return true
    }
}
