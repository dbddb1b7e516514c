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

    /// Reads the file, or nil if none of the four copies of its table is left.
    init?(_ file: any DiskFile, fileBytes: Int) {
        let bytes = ProtectedSmallForm.bytes(file, fileBytes)
        guard let layout = ProtectedSmallForm.layout(bytes) else { return nil }
        var checksums: [UInt32] = []
        for table in ProtectedSmallForm.tables(layout) where checksums.isEmpty {
            guard ProtectedSmallForm.page(bytes, table)?.layout == layout else { continue }
            bytes.withUnsafeBytes { raw in
                for index in 0..<layout.blocks { checksums.append(raw.u32(table + ProtectedLayout.pageHeaderBytes + 4 * index)) }
            }
        }
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
                if block.withUnsafeBytes({ crc32c($0) }) == checksums[index] { found = block }
            }
            if found == nil { bad.append(index) }
            blocks += found ?? [UInt8](repeating: 0, count: layout.blockBytes)
        }
        bad = ProtectedSmallForm.rebuild(&blocks, layout, checksums, bad)
        content = Array(blocks[..<layout.contentBytes])
        lost = ProtectedFile.ranges(ofBlocks: bad.filter { $0 < layout.dataBlocks }, layout, from: 0)
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

    /// Where the four copies of the table lie.
    private static func tables(_ layout: ProtectedLayout) -> [Int] {
        [0, layout.frameBytes, layout.secondTableOffset, layout.frameBytes + layout.secondTableOffset]
    }

    /// The layout that any copy of the table gives, each looked for where a content of each number of blocks puts it.
    private static func layout(_ bytes: [UInt8]) -> ProtectedLayout? {
        for blocks in 0...ReedSolomon.dataBlocksMax {
            let layout = ProtectedLayout(contentBytes: blocks << Int(ProtectedLayout.smallBlockShift), small: true)
            for offset in tables(layout) {
                guard let found = page(bytes, offset), found.layout.isSmall, found.layout.dataBlocks == blocks else { continue }
                return found.layout
            }
        }
        return nil
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
