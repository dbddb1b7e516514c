internal import BackupFormat
internal import Cryptography

/// Looks paths up in a segment, with one block in memory: the cheaper, the more they rise.
final class NameLookup {
    private let segment: NameSegment
    private let nameBuffer: BlockBuffer
    private let stateBuffer: BlockBuffer
    private var block = -1
    private var names = NameReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var states: StatesReader?
    /// Where the names are: paths of the block that were read, and the last of them.
    private var read = 0
    private let path: UnsafeMutableRawPointer
    private var pathBytes = 0
    /// Paths of the block whose states were read or passed over.
    private var statesRead = 0
    private var changes: [NameChange] = []

    init(_ segment: NameSegment, _ cipher: NameIndexCipher) {
        self.segment = segment
        nameBuffer = BlockBuffer(PieceOpener(cipher))
        stateBuffer = BlockBuffer(PieceOpener(cipher))
        path = .allocate(byteCount: NameLimits.pathBytesMax, alignment: 16)
    }

    deinit { path.deallocate() }

    private var current: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: path, count: pathBytes) }

    /// Goes to the start of a block.
    private func seek(_ number: Int) throws(NameIndexError) {
        block = -1
        names = NameReader(try segment.names(number, nameBuffer))
        states = nil
        (read, pathBytes, statesRead) = (0, 0, 0)
        block = number
    }

    /// The changes of a path, if this segment has it.
    func find(_ wanted: UnsafeRawBufferPointer) throws(NameIndexError) -> [NameChange]? {
        guard !segment.table.blocks.isEmpty else { return nil }
        let number = segment.table.block(for: wanted)
        if block != number || pathBytes > 0 && comparePaths(current, wanted) > 0 { try seek(number) }
        do throws(FormatError) {
            guard try goForward(to: wanted) else { return nil }
        } catch { throw NameIndexError(error) }
        if states == nil {
            let bytes = try segment.states(number, stateBuffer)
            do { states = try StatesReader(bytes) } catch { throw NameIndexError(error) }
        }
        // The same path may be asked for twice.
        guard statesRead < read else { return changes }
        do throws(FormatError) {
            while statesRead < read - 1 {
                try states?.skip()
                statesRead += 1
            }
            try states?.next(&changes)
            statesRead += 1
        } catch { throw NameIndexError(error) }
        return changes
    }

    /// Reads names until one is `wanted`; false when one beyond it comes first, or the end.
    private func goForward(to wanted: UnsafeRawBufferPointer) throws(FormatError) -> Bool {
        // Bytes that the path at hand, which comes before `wanted`, has in common with it.
        var common = sharedBytes(current, wanted)
        if pathBytes > 0, common == wanted.count, common == pathBytes { return true }
        let entries = segment.table.blocks[block].entries
        while let name = try names.next() {
            guard read < entries, let source = name.suffix.baseAddress else {
                throw FormatError(.inconsistent, "names", at: read)
            }
            (path + name.shared).copyMemory(from: source, byteCount: name.suffix.count)
            pathBytes = name.shared + name.suffix.count
            read += 1
            // What comes before `wanted` still does as long as the byte that tells is the same.
            guard name.shared <= common else { continue }
            let rest = UnsafeRawBufferPointer(rebasing: wanted[name.shared...])
            common = name.shared + sharedBytes(name.suffix, rest)
            let order = comparePaths(name.suffix, rest)
            if order >= 0 { return order == 0 }
        }
        return false
    }
}
