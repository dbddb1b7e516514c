#if MUTANTS
    internal import BackupFormat
#endif
/// The content of a protected file in the small form, put together from both copies of its frame and from parity.
struct ProtectedSmallForm: Sendable {
    static let fileBytesMax = ProtectedFile.fileBytes(contentBytes: ProtectedLayout.smallContentBytesMax)

    /// The content; what is lost reads as zeros.
    let content: [UInt8]
    /// Content bytes that cannot be rebuilt.
    let lost: [Range<Int>]

    /// Reads the file, or nil if no copy of a table is left. Where tables say different things, another file's frame was written over one:
    /// the content is the whole one that `isRight`. Where nothing tells which that is, it is lost, so that nothing is written over.
    init?(_ file: any DiskFile, fileBytes: Int, isRight: ProtectedFile.ContentCheck?) {
        let bytes = ProtectedSmallForm.bytes(file, fileBytes)
        guard let first = ProtectedSmallForm.tables(bytes, atMost: 1).first else { return nil }
        let reading = ProtectedSmallForm.read(bytes, first)
        let others = ProtectedSmallForm.isUsual(bytes, first) ? [] : ProtectedSmallForm.tables(bytes).filter { $0 != first }
        guard !others.isEmpty else {
            (content, lost) = reading
            return
        }
        let readings = [reading] + others.map { ProtectedSmallForm.read(bytes, $0) }
        let whole = readings.filter(\.lost.isEmpty)
        // Without a name, one that is whole beside one that is not is believed.
        if let right = isRight.map({ isRight in whole.first { isRight($0.content) } }) ?? (whole.count == 1 ? whole[0] : nil) {
            (content, lost) = right
        } else {
            content = readings.map(\.content).max { $0.count < $1.count } ?? []
            lost = content.isEmpty ? [] : [0..<content.count]
        }
    }

    /// What a copy of the table says.
    private struct Table: Equatable {
        var layout: ProtectedLayout
        var checksums: [UInt32]
    }

    /// The content by one table, put together from both frames and their parity.
    private static func read(_ bytes: [UInt8], _ table: Table) -> (content: [UInt8], lost: [Range<Int>]) {
        let layout = table.layout
        var blocks: [UInt8] = []
        var bad: [Int] = []
        for index in 0..<layout.blocks {
            var found: [UInt8]?
            for copy in 0..<2 where found == nil {
                #if MUTANTS
                    if Mutant.skipParity.isOn, copy > 0 { continue }
                #endif
                let offset = copy * layout.frameBytes + layout.offset(ofBlock: index)
                let block = Array(bytes[offset..<offset + layout.blockBytes])
                if block.withUnsafeBytes({ crc32c($0) }) == table.checksums[index] { found = block }
            }
            if found == nil { bad.append(index) }
            blocks += found ?? [UInt8](repeating: 0, count: layout.blockBytes)
        }
        bad = rebuild(&blocks, layout, table.checksums, bad)
        return (
            Array(blocks[..<layout.contentBytes]),
            ProtectedFile.ranges(ofBlocks: bad.filter { $0 < layout.dataBlocks }, layout, from: 0)
        )
    }

    /// Bytes of the file as far as the small form reaches; what cannot be read is zero.
    static func bytes(_ file: any DiskFile, _ fileBytes: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: fileBytesMax)
        bytes.withUnsafeMutableBytes { ProtectedFile.readAll(file, at: 0, into: $0) }
        return bytes
    }

    private static func page(_ bytes: [UInt8], _ offset: Int) -> ProtectedPage? {
        bytes.withUnsafeBytes { ProtectedPage(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    }

    /// The table at `offset`, if it is that of a content of so many blocks.
    private static func table(_ bytes: [UInt8], _ offset: Int, _ dataBlocks: Int) -> Table? {
        guard let layout = page(bytes, offset)?.layout, layout.isSmall, layout.dataBlocks == dataBlocks else { return nil }
        let checksums = bytes.withUnsafeBytes { raw in
            (0..<layout.blocks).map { raw.u32(offset + ProtectedLayout.pageHeaderBytes + 4 * $0) }
        }
        return Table(layout: layout, checksums: checksums)
    }

    /// Where the four copies of the table lie.
    private static func places(_ layout: ProtectedLayout) -> [Int] {
        [0, layout.frameBytes, layout.secondTableOffset, layout.frameBytes + layout.secondTableOffset]
    }

    /// Those that differ, so many at most, each copy looked for where a content of each number of blocks puts it.
    private static func tables(_ bytes: [UInt8], atMost count: Int = .max) -> [Table] {
        var found: [Table] = []
        for blocks in 0...ReedSolomon.dataBlocksMax {
            for offset in places(ProtectedLayout(contentBytes: blocks << Int(ProtectedLayout.smallBlockShift), small: true)) {
                if let table = table(bytes, offset, blocks), !found.contains(table) { found.append(table) }
                if found.count == count { return found }
            }
        }
        return found
    }

    /// Whether both frames begin with this table: then there is no other.
    private static func isUsual(_ bytes: [UInt8], _ first: Table) -> Bool {
        table(bytes, 0, first.layout.dataBlocks) == first
            && table(bytes, first.layout.frameBytes, first.layout.dataBlocks) == first
    }

    /// Rebuilds the bad blocks; returns those that stay bad.
    private static func rebuild(_ blocks: inout [UInt8], _ layout: ProtectedLayout, _ checksums: [UInt32], _ bad: [Int]) -> [Int]
    {
        guard !bad.isEmpty, bad.count <= ReedSolomon.parityBlocks else { return bad }
        return blocks.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return bad }
            var pointers: [ReedSolomon.Block] = (0..<layout.blocks).map { start + $0 * layout.blockBytes }
            let done = pointers.withUnsafeMutableBufferPointer {
                ReedSolomon().rebuild($0, blockBytes: layout.blockBytes, lost: bad)
            }
            guard done else { return bad }
            return bad.filter {
                crc32c(UnsafeRawBufferPointer(start: start + $0 * layout.blockBytes, count: layout.blockBytes)) != checksums[$0]
            }
        }
    }
}
