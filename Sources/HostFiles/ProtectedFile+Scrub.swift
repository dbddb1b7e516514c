/// What a scrub of one protected file found.
package struct ProtectionReport: Sendable, Equatable {
    /// Blocks and table pages whose bytes were wrong, or missing.
    package var damagedBlocks = 0
    /// Those of them that were rewritten.
    package var repairedBlocks = 0
    /// Whether the file is longer or shorter than it should be, and was not mended.
    package var hasWrongSize = false
    /// Whether it was found so.
    package var wasWrongSize = false
    /// Content bytes that parity cannot rebuild, in order.
    package var lost: [Range<Int>] = []

    package init() {}

    /// Whether anything was wrong with the file as it was found.
    package var wasDamaged: Bool { damagedBlocks > 0 || wasWrongSize || !lost.isEmpty }

    /// Whether the file is as it was written, now.
    package var isWhole: Bool { damagedBlocks == repairedBlocks && !hasWrongSize && lost.isEmpty }
}

extension ProtectedFile {
    /// Checks every block. With `repair`, which needs ``openForRepair(_:_:)``, rewrites the damaged ones in place and syncs.
    ///
    /// What cannot be rebuilt is left as it is. Throws only when a repair cannot be written.
    package func scrub(repair: Bool) throws(HostFilesError) -> ProtectionReport {
        var report = ProtectionReport()
        let expected = ProtectedFile.fileBytes(contentBytes: contentBytes)
        report.hasWrongSize = fileBytes != expected
        report.wasWrongSize = report.hasWrongSize
        switch form {
        case .small(let small): try scrub(small, repair, &report)
        case .large(let groups, let lastContentBytes):
            for index in 0..<groups {
                let (layout, start) = group(index, of: groups, lastContentBytes)
                var group = ProtectedGroup(
                    file, index: index, isLast: index == groups - 1, layout, start: start, blocks: 0..<layout.blocks,
                    bothTables: true)
                try scrub(&group, repair, &report)
            }
        }
        if repair && report.hasWrongSize && report.lost.isEmpty {
            try file.truncate(to: expected)
            report.hasWrongSize = false
            try file.sync()
        } else if report.repairedBlocks > 0 {
            try file.sync()
        }
        return report
    }

    private func scrub(_ small: ProtectedSmallForm, _ repair: Bool, _ report: inout ProtectionReport) throws(HostFilesError) {
        report.lost = small.lost
        let right = small.content.withUnsafeBytes { ProtectedFileEncoder().smallFrames($0) }
        let found = ProtectedSmallForm.bytes(file, fileBytes)
        for start in stride(from: 0, to: right.count, by: ProtectedLayout.pageBytes) {
            let part = Array(right[start..<start + ProtectedLayout.pageBytes])
            guard !found[start..<start + ProtectedLayout.pageBytes].elementsEqual(part) else { continue }
            report.damagedBlocks += 1
            guard repair && small.lost.isEmpty else { continue }
            try file.write(at: start, part)
            // One page at a time: if the power fails, the other copy is whole or as good as it was.
            try file.sync()
            report.repairedBlocks += 1
        }
    }

    private func scrub(_ group: inout ProtectedGroup, _ repair: Bool, _ report: inout ProtectionReport) throws(HostFilesError) {
        let layout = group.layout
        let (suspects, isKnown) = suspectStripes(&group)
        var hasAllChecksums = isKnown
        let lostBefore = report.lost.count
        for number in suspects {
            let stripe = group.stripe(number)
            report.damagedBlocks += stripe.damaged.count
            report.lost += ProtectedFile.ranges(
                ofBlocks: stripe.lost.map { stripe.blocks[$0] }.filter { $0 < layout.dataBlocks }, layout,
                from: group.index * ProtectedLayout.groupContentBytes)
            for (place, block) in stripe.blocks.enumerated() where !stripe.lost.contains(place) {
                let bytes = Array(stripe.block(place, layout))
                bytes.withUnsafeBytes { group.learn(block, $0) }
                guard repair && stripe.damaged.contains(place) else { continue }
                try file.write(at: group.offset(ofBlock: block), bytes)
                report.repairedBlocks += 1
            }
        }
        report.lost.sort { $0.lowerBound < $1.lowerBound }
        hasAllChecksums = hasAllChecksums || group.checksums.allSatisfy { $0 != nil }
        report.damagedBlocks += group.badPages.count
        // By a table that no block agrees with, which is another file's, nothing is written.
        let isOurs = suspects.count < layout.stripes || report.lost.count == lostBefore
        guard repair && hasAllChecksums && isOurs else { return }
        let checksums = group.checksums.map { $0 ?? 0 }
        for (offset, page) in group.badPages {
            var bytes = [UInt8](repeating: 0, count: ProtectedLayout.pageBytes)
            bytes.withUnsafeMutableBytes { target in
                checksums.withUnsafeBufferPointer {
                    ProtectedPage.write(
                        layout, group: group.index, isLast: group.isLast, page: page, checksums: $0, to: target)
                }
            }
            try file.write(at: offset, bytes)
            report.repairedBlocks += 1
        }
    }

    /// The stripes with a block that is not certainly good, and whether every block has a checksum.
    private func suspectStripes(_ group: inout ProtectedGroup) -> ([Int], Bool) {
        let layout = group.layout
        let pieceBlocks = max(1, min(layout.blocks, ProtectedFile.pieceBytes / layout.blockBytes))
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pieceBlocks * layout.blockBytes, alignment: layout.blockBytes)
        defer { piece.deallocate() }
        var suspects: Set<Int> = []
        for first in stride(from: 0, to: layout.blocks, by: pieceBlocks) {
            let count = min(pieceBlocks, layout.blocks - first)
            ProtectedFile.readAll(
                file, at: group.offset(ofBlock: first),
                into: UnsafeMutableRawBufferPointer(rebasing: piece[..<(count * layout.blockBytes)]))
            for block in first..<first + count {
                let part = piece[(block - first) * layout.blockBytes..<(block - first + 1) * layout.blockBytes]
                if !group.isGood(block, UnsafeRawBufferPointer(rebasing: part)) { suspects.insert(layout.stripe(ofBlock: block)) }
            }
        }
        return (suspects.sorted(), group.checksums.allSatisfy { $0 != nil })
    }
}
