internal import BackupFormat

/// Writes whole protected files, with buffers that it keeps: a 16 MiB pack allocates nothing after the first.
///
/// Content at an address that is a multiple of 4096 is written from where it lies.
// SAFETY: not for two threads at a time; nothing in it is bound to the thread that made it.
package final class ProtectedFileEncoder: @unchecked Sendable {
    /// A stripe's blocks lie 256 KiB apart in a pack, so that they would share the few cache lines of one set: they are
    /// first copied together, spread a line apart, which makes the whole twice as fast.
    private static let workStride = 4096 + 64
    private static let bounceBytes = 1 << 20
    private static let largest = ProtectedLayout(contentBytes: ProtectedLayout.groupContentBytes, small: false)

    private var reedSolomon = ReedSolomon()
    private let table: UnsafeMutableRawBufferPointer
    private let parity: UnsafeMutableRawBufferPointer
    private let lastBlock: UnsafeMutableRawBufferPointer
    private let work: UnsafeMutableRawBufferPointer
    private let checksums: UnsafeMutableBufferPointer<UInt32>
    private let stripe: UnsafeMutableBufferPointer<ReedSolomon.Block>
    private var bounce: UnsafeMutableRawBufferPointer?

    package init() {
        let largest = ProtectedFileEncoder.largest
        table = .allocate(byteCount: largest.tableBytes, alignment: ProtectedLayout.pageBytes)
        parity = .allocate(byteCount: largest.parityBlocks * largest.blockBytes, alignment: ProtectedLayout.pageBytes)
        lastBlock = .allocate(byteCount: largest.blockBytes, alignment: ProtectedLayout.pageBytes)
        work = .allocate(
            byteCount: ReedSolomon.dataBlocksMax * ProtectedFileEncoder.workStride, alignment: ProtectedLayout.pageBytes)
        checksums = .allocate(capacity: largest.blocks)
        stripe = .allocate(capacity: ReedSolomon.dataBlocksMax + ReedSolomon.parityBlocks)
    }

    deinit {
        table.deallocate()
        parity.deallocate()
        lastBlock.deallocate()
        work.deallocate()
        checksums.deallocate()
        stripe.deallocate()
        bounce?.deallocate()
    }

    /// Writes `content` and its protection to an empty file. Returns the file's bytes. Does not sync.
    @discardableResult
    package func write(_ content: UnsafeRawBufferPointer, to file: any DiskFile) throws(HostFilesError) -> Int {
        if content.count <= ProtectedLayout.smallContentBytesMax {
            let frames = smallFrames(content)
            try file.write(at: 0, frames)
            return frames.count
        }
        var group = 0
        var done = 0
        var offset = 0
        while done < content.count {
            let count = min(content.count - done, ProtectedLayout.groupContentBytes)
            let part = UnsafeRawBufferPointer(rebasing: content[done..<done + count])
            done += count
            offset += try writeGroup(part, group: group, isLast: done == content.count, to: file, at: offset)
            group += 1
        }
        return offset
    }

    /// Writes one group of the large form at `offset`. Returns its bytes.
    func writeGroup(
        _ content: UnsafeRawBufferPointer, group: Int, isLast: Bool, to file: any DiskFile, at offset: Int
    ) throws(HostFilesError) -> Int {
        let layout = ProtectedLayout(contentBytes: content.count, small: false)
        encode(content, layout, parity: parity, lastBlock: lastBlock)
        let checksums = UnsafeBufferPointer(checksums)
        for page in 0..<layout.tablePages {
            let target = UnsafeMutableRawBufferPointer(rebasing: table[(page * ProtectedLayout.pageBytes)...])
            ProtectedPage.write(layout, group: group, isLast: isLast, page: page, checksums: checksums, to: target)
        }
        let tableBytes = UnsafeRawBufferPointer(rebasing: table[..<layout.tableBytes])
        let wholeBytes = content.count / layout.blockBytes * layout.blockBytes
        try file.write(at: offset, tableBytes)
        try writeContent(
            UnsafeRawBufferPointer(rebasing: content[..<wholeBytes]), to: file, at: offset + layout.offset(ofBlock: 0))
        if wholeBytes < content.count {
            let last = layout.offset(ofBlock: layout.dataBlocks - 1)
            try file.write(at: offset + last, UnsafeRawBufferPointer(lastBlock))
        }
        let parityBytes = UnsafeRawBufferPointer(rebasing: parity[..<(layout.parityBlocks * layout.blockBytes)])
        try file.write(at: offset + layout.offset(ofBlock: layout.dataBlocks), parityBytes)
        try file.write(at: offset + layout.secondTableOffset, tableBytes)
        return layout.frameBytes
    }

    /// Computes the checksums and parity of a group; the last data block, if it is not whole, is padded in `lastBlock`.
    private func encode(
        _ content: UnsafeRawBufferPointer, _ layout: ProtectedLayout, parity: UnsafeMutableRawBufferPointer,
        lastBlock: UnsafeMutableRawBufferPointer
    ) {
        let blockBytes = layout.blockBytes
        let wholeBlocks = content.count / blockBytes
        if wholeBlocks < layout.dataBlocks {
            let rest = UnsafeRawBufferPointer(rebasing: content[(wholeBlocks * blockBytes)...])
            lastBlock.copyMemory(from: rest)
            for index in rest.count..<blockBytes { lastBlock[index] = 0 }
        }
        guard let start = content.baseAddress, let lastStart = lastBlock.baseAddress, let parityStart = parity.baseAddress,
            let workStart = work.baseAddress
        else { return }
        for index in 0..<layout.stripes {
            let count = layout.dataBlocks(inStripe: index)
            for place in 0..<count {
                let block = index + place * layout.stripes
                let copy = workStart + place * ProtectedFileEncoder.workStride
                copy.copyMemory(
                    from: block < wholeBlocks ? start + block * blockBytes : UnsafeRawPointer(lastStart), byteCount: blockBytes)
                checksums[block] = crc32c(UnsafeRawBufferPointer(start: copy, count: blockBytes))
                stripe[place] = copy.assumingMemoryBound(to: UInt8.self)
            }
            for place in 0..<ReedSolomon.parityBlocks {
                let target = parityStart + (index * ReedSolomon.parityBlocks + place) * blockBytes
                stripe[count + place] = target.assumingMemoryBound(to: UInt8.self)
            }
            let blocks = UnsafeMutableBufferPointer(rebasing: stripe[..<(count + ReedSolomon.parityBlocks)])
            reedSolomon.encode(blocks, blockBytes: blockBytes)
        }
        for index in 0..<layout.parityBlocks {
            checksums[layout.dataBlocks + index] = crc32c(
                UnsafeRawBufferPointer(start: parityStart + index * blockBytes, count: blockBytes))
        }
    }

    /// Writes from where the content lies if it is aligned for it, else by way of an aligned buffer.
    private func writeContent(_ content: UnsafeRawBufferPointer, to file: any DiskFile, at offset: Int) throws(HostFilesError) {
        let isAligned = Int(bitPattern: content.baseAddress) % ProtectedLayout.pageBytes == 0
        if isAligned || content.count < RealDiskFile.directBytesMin {
            if !content.isEmpty { try file.write(at: offset, content) }
            return
        }
        let buffer =
            bounce ?? .allocate(byteCount: ProtectedFileEncoder.bounceBytes, alignment: ProtectedLayout.pageBytes)
        bounce = buffer
        var done = 0
        while done < content.count {
            let count = min(buffer.count, content.count - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            part.copyMemory(from: UnsafeRawBufferPointer(rebasing: content[done..<done + count]))
            try file.write(at: offset + done, UnsafeRawBufferPointer(part))
            done += count
        }
    }

    /// The whole file for content of the small form: its frame, twice.
    func smallFrames(_ content: UnsafeRawBufferPointer) -> [UInt8] {
        let layout = ProtectedLayout(contentBytes: content.count, small: true)
        encode(content, layout, parity: parity, lastBlock: lastBlock)
        var frames = [UInt8](repeating: 0, count: 2 * layout.frameBytes)
        frames.withUnsafeMutableBytes { bytes in
            for copy in 0..<2 {
                let frame = UnsafeMutableRawBufferPointer(rebasing: bytes[(copy * layout.frameBytes)...])
                for offset in [0, layout.secondTableOffset] {
                    ProtectedPage.write(
                        layout, group: 0, isLast: true, page: 0, checksums: UnsafeBufferPointer(checksums),
                        to: UnsafeMutableRawBufferPointer(rebasing: frame[offset...]))
                }
                UnsafeMutableRawBufferPointer(rebasing: frame[layout.offset(ofBlock: 0)...]).copyMemory(from: content)
                let parityBytes = UnsafeRawBufferPointer(rebasing: parity[..<(layout.parityBlocks * layout.blockBytes)])
                UnsafeMutableRawBufferPointer(rebasing: frame[layout.offset(ofBlock: layout.dataBlocks)...])
                    .copyMemory(from: parityBytes)
            }
        }
        return frames
    }
}
