internal import BackupFormat
internal import Cryptography
internal import HostFiles

/// Writes a segment from paths in order (`comparePaths`), in one pass. Holds one block, the sketch of its group, and the table.
package final class NameSegmentWriter {
    let id = SegmentID.random()
    private let file: any DiskFile
    private let sealer: PieceSealer
    private var offset = NameTable.headBytes
    private var groups: [NameGroup] = []
    private var blocks: [NameBlock] = []
    /// The first of the group at hand.
    private var firstBlock = 0
    private var names = ByteWriter(capacity: NameLimits.blockTargetBytes + 4096)
    private var states = StatesWriter()
    private var sketch = SketchWriter()
    private var entries = 0
    private var firstPath: [UInt8] = []
    private var last: [UInt8] = []
    /// What is not written yet.
    private var pending: [UInt8] = []
    private(set) var entryCount = 0

    private static let pendingBytesMax = 1 << 20

    /// Creates the file `path`.
    init(_ disk: any Disk, _ path: RawPath, _ cipher: NameIndexCipher) throws(NameIndexError) {
        do { file = try disk.createExclusively(path, expectedBytes: 0) } catch { throw NameIndexError(error) }
        sealer = try PieceSealer(cipher)
        var head = ByteWriter(capacity: NameTable.headBytes)
        head.raw(NameTable.headMagic)
        head.uint32(NameTable.version)
        head.uint32(0)
        id.encode(into: &head)
        pending = head.bytes
    }

    /// Adds a path, which comes after the one before, with its changes by rising ordinals. One that is too long is left out.
    package func append(_ path: UnsafeRawBufferPointer, _ changes: [NameChange]) throws(NameIndexError) {
        guard path.count <= NameLimits.pathBytesMax, path.first == 0x2f, path.count > 1, !changes.isEmpty else { return }
        guard changes.count <= NameLimits.changesMax else {
            throw NameIndexError(.tooLarge, "a path changed more often than the name index takes")
        }
        if names.count >= NameLimits.blockTargetBytes || states.count >= NameLimits.statesTargetBytes { try endBlock() }
        var shared = 0
        if entries == 0 {
            firstPath = Array(path)
        } else {
            shared = last.withUnsafeBytes { last in
                var shared = sharedBytes(last, path)
                // Whole characters, so that each part can be folded by itself.
                func isInside(_ text: UnsafeRawBufferPointer) -> Bool { shared < text.count && text[shared] & 0xc0 == 0x80 }
                while shared > 0, isInside(last) || isInside(path) { shared -= 1 }
                return shared
            }
        }
        names.count(shared)
        names.count(path.count - shared)
        names.raw(UnsafeRawBufferPointer(rebasing: path[shared...]))
        states.add(changes)
        sketch.add(path)
        last.removeSubrange(shared...)
        last.append(contentsOf: path[shared...])
        entries += 1
        entryCount += 1
    }

    private func endBlock() throws(NameIndexError) {
        guard entries > 0 else { return }
        guard blocks.count < NameLimits.blocksMax else { throw NameIndexError(.tooLarge, "more names than the name index takes") }
        let plainStates = states.finish()
        sketch.endBlock()
        let sealedNames = sealer.seal(names.bytes, id, .names, blocks.count)
        let sealedStates = sealer.seal(plainStates, id, .states, blocks.count)
        blocks.append(
            NameBlock(
                offset: offset, sealedNames: sealedNames.count, sealedStates: sealedStates.count, plainNames: names.count,
                plainStates: plainStates.count, entries: entries, firstPath: RawPath(bytes: firstPath)))
        add(sealedNames)
        add(sealedStates)
        names.bytes.removeAll(keepingCapacity: true)
        last.removeAll(keepingCapacity: true)
        entries = 0
        if sketch.isFull { endGroup() }
        if pending.count >= NameSegmentWriter.pendingBytesMax { try write() }
    }

    private func endGroup() {
        guard firstBlock < blocks.count else { return }
        let pieces = sketch.finish()
        let group = NameGroup(
            blocks: firstBlock..<blocks.count, offset: offset, plainRuns: pieces.runs.count, words: pieces.words)
        for (number, piece) in ([pieces.runs, pieces.lengths] + pieces.columns + [pieces.folders]).enumerated() {
            add(sealer.seal(piece, id, .sketch, sketchNumber(groups.count, number)))
        }
        groups.append(group)
        firstBlock = blocks.count
    }

    private func add(_ piece: [UInt8]) {
        offset += piece.count
        pending += piece
    }

    private var written = 0

    private func write() throws(NameIndexError) {
        do { try file.write(at: written, pending) } catch { throw NameIndexError(error) }
        written += pending.count
        pending.removeAll(keepingCapacity: true)
    }

    /// Writes the rest and syncs the file; its name is not durable yet. Answers its size in bytes.
    func finish() throws(NameIndexError) -> Int {
        try endBlock()
        endGroup()
        let plain = NameTable(groups: groups, blocks: blocks).encode()
        guard plain.count <= NameLimits.tablePlainBytesMax else {
            throw NameIndexError(.tooLarge, "more names than the name index takes")
        }
        let table = sealer.seal(plain, id, .table, 0)
        var trailer = ByteWriter(capacity: NameTable.trailerBytes)
        for number in [offset, table.count, plain.count] { trailer.uint64(UInt64(number)) }
        trailer.raw(NameTable.trailerMagic)
        pending += table
        pending += trailer.bytes
        try write()
        do { try file.sync() } catch { throw NameIndexError(error) }
        return written
    }

    func close() { file.close() }
}
