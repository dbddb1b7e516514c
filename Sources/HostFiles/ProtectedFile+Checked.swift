extension ProtectedFile {
    /// How much is read at a time while checking.
    static let pieceBytes = 1 << 20

    /// Reads content bytes `range` into the start of `buffer`, each block checked and, if damaged, rebuilt from parity.
    ///
    /// True if something was damaged: ``scrub(repair:)`` then rewrites it. Throws `damaged`, naming the content bytes, if
    /// parity cannot rebuild them; nothing wrong is ever given out as right.
    package func readChecked(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Bool {
        try requireInside(range, buffer)
        switch form {
        case .small(let small):
            let lost = small.lost.filter { $0.overlaps(range) }
            guard lost.isEmpty else { throw damaged(lost) }
            small.content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            return false
        case .large(let groups, let lastContentBytes):
            var wasDamaged = false
            var lost: [Range<Int>] = []
            var done = range.lowerBound
            while done < range.upperBound {
                let index = done / ProtectedLayout.groupContentBytes
                let (layout, start) = group(index, of: groups, lastContentBytes)
                let base = index * ProtectedLayout.groupContentBytes
                let inside = done - base..<min(range.upperBound - base, layout.contentBytes)
                let blocks = inside.lowerBound / layout.blockBytes..<(inside.upperBound - 1) / layout.blockBytes + 1
                let group = ProtectedGroup(
                    file, index: index, isLast: index == groups - 1, layout, start: start, blocks: blocks, bothTables: false)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[(done - range.lowerBound)..<(done - range.lowerBound + inside.count)])
                let (damaged, bad) = readChecked(group, inside, blocks, into: target)
                wasDamaged = wasDamaged || damaged || !group.badPages.isEmpty
                lost += ProtectedFile.ranges(ofBlocks: bad, layout, from: base)
                done += inside.count
            }
            guard lost.isEmpty else { throw damaged(lost) }
            return wasDamaged
        }
    }

    /// Reads `inside` (bytes of the group's content), which lies in `blocks`. Returns whether any was damaged, and those lost.
    private func readChecked(
        _ group: ProtectedGroup, _ inside: Range<Int>, _ blocks: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) -> (Bool, [Int]) {
        let blockBytes = group.layout.blockBytes
        let pieceBlocks = min(blocks.count, ProtectedFile.pieceBytes / blockBytes)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBlocks * blockBytes, alignment: blockBytes)
        defer { piece.deallocate() }
        var whole: ProtectedGroup?
        var rebuilt: [Int: ProtectedGroup.Stripe] = [:]
        var lost: [Int] = []
        for first in stride(from: blocks.lowerBound, to: blocks.upperBound, by: pieceBlocks) {
            let count = min(pieceBlocks, blocks.upperBound - first)
            ProtectedFile.readAll(
                file, at: group.offset(ofBlock: first),
                into: UnsafeMutableRawBufferPointer(rebasing: piece[..<(count * blockBytes)]))
            for block in first..<first + count {
                let bytes = UnsafeMutableRawBufferPointer(
                    rebasing: piece[(block - first) * blockBytes..<(block - first + 1) * blockBytes])
                if !group.isGood(block, UnsafeRawBufferPointer(bytes)) {
                    let number = group.layout.stripe(ofBlock: block)
                    // A few stripes are kept: neighbours in a burst belong to different ones, and come round again.
                    if rebuilt[number] == nil && rebuilt.count >= 64 { rebuilt.removeAll() }
                    let complete = whole ?? group.withAllChecksums()
                    whole = complete
                    let stripe = rebuilt[number] ?? complete.stripe(number)
                    rebuilt[number] = stripe
                    guard let place = stripe.blocks.firstIndex(of: block), !stripe.lost.contains(place) else {
                        lost.append(block)
                        continue
                    }
                    stripe.block(place, group.layout).withUnsafeBytes { bytes.copyMemory(from: $0) }
                }
                let wanted = (block * blockBytes..<(block + 1) * blockBytes).clamped(to: inside)
                let source = bytes[wanted.lowerBound - block * blockBytes..<wanted.upperBound - block * blockBytes]
                UnsafeMutableRawBufferPointer(rebasing: target[(wanted.lowerBound - inside.lowerBound)...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
            }
        }
        return (!rebuilt.isEmpty, lost)
    }

    /// Reads as much as can be read; what cannot, because the file ends or the device fails there, is zero.
    static func readAll(_ file: any DiskFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
        let count: Int
        do { count = try file.read(at: offset, into: buffer) } catch {
            guard buffer.count > ProtectedLayout.pageBytes else {
                for index in buffer.indices { buffer[index] = 0 }
                return
            }
            for start in stride(from: 0, to: buffer.count, by: ProtectedLayout.pageBytes) {
                let end = min(start + ProtectedLayout.pageBytes, buffer.count)
                readAll(file, at: offset + start, into: UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end]))
            }
            return
        }
        if count < buffer.count {
            buffer.baseAddress?.advanced(by: count).initializeMemory(as: UInt8.self, repeating: 0, count: buffer.count - count)
        }
    }

    /// The content bytes of data blocks, neighbours joined, counted from `base`.
    static func ranges(ofBlocks blocks: [Int], _ layout: ProtectedLayout, from base: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for block in blocks.sorted() {
            let start = base + block * layout.blockBytes
            let end = base + min((block + 1) * layout.blockBytes, layout.contentBytes)
            if let last = ranges.last, last.upperBound == start {
                ranges[ranges.count - 1] = last.lowerBound..<end
            } else {
                ranges.append(start..<end)
            }
        }
        return ranges
    }
}
