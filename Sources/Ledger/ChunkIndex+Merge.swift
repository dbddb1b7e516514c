internal import BackupFormat
internal import HostFiles

extension ChunkIndex {
    /// A merge of segments that together hold fewer entries than this costs too little to be avoided.
    private static let smallMergeEntries = 1 << 19

    /// Merges the smallest segments until there are few. The caller holds `folderLock`.
    func mergeIfMany() throws(LedgerError) {
        guard state.withLock({ $0.segments.count }) > ChunkIndex.segmentsMax else { return }
        try readFolder()
        while true {
            let segments = state.withLock { $0.segments }
            guard segments.count > ChunkIndex.segmentsMax else { return }
            try merge(ChunkIndex.smallest(segments))
        }
    }

    /// Which to merge: the two smallest, and further ones while they are at most twice as large as all before them together,
    /// up to a quarter of all entries, so that a merge needs little memory and never stalls for long. Of nine or more
    /// segments, the two smallest are always within that quarter. Until there are 10 million entries, each is written
    /// about 4 times with tables of 50,000 entries, and 2.5 times with tables of 200,000.
    private static func smallest(_ segments: [Segment]) -> [Segment] {
        let ascending = segments.sorted { $0.layout.entryCount < $1.layout.entryCount }
        let entriesMax = max(smallMergeEntries, ascending.reduce(0) { $0 + $1.layout.entryCount } / 4)
        var chosen: [Segment] = []
        var entries = 0
        for segment in ascending {
            let more = segment.layout.entryCount
            guard chosen.count < 2 || more <= max(entries * 2, smallMergeEntries / 16) && entries + more <= entriesMax else {
                break
            }
            chosen.append(segment)
            entries += more
        }
        return chosen
    }

    /// Writes one segment in place of several, without the entries of packs that are gone.
    ///
    /// Another process may be merging the same ones: then both results stay until a later merge folds them into one.
    private func merge(_ victims: [Segment]) throws(LedgerError) {
        let (kept, dropped) = state.withLock { state in
            var seen = PackSet(capacity: state.packs.count)
            var dropped = PackSet()
            for segment in victims {
                for number in segment.packNumbers {
                    if state.packs.isGone(number) { dropped.insert(number) } else { seen.insert(number) }
                }
            }
            return (Array(seen), dropped)
        }
        var merged: Segment?
        if !kept.isEmpty {
            do {
                merged = try writeMerged(victims, kept)
            } catch  where error.code == .damaged {
                // Whichever of them is damaged goes; the others get another turn.
                guard try dropDamaged(victims) else { throw error }
                return
            }
        }
        let isTaken = state.withLock { state -> Bool in
            // A pack that has come back meanwhile must not lose its entries.
            for number in dropped where !state.packs.isGone(number) { return false }
            let rest = state.segments.filter { segment in !victims.contains { $0 === segment } }
            state.replaceSegments(rest + (merged.map { [$0] } ?? []))
            return true
        }
        if isTaken {
            for segment in victims { try remove(segment.name) }
        } else if let merged {
            try remove(merged.name)
        }
    }

    private func writeMerged(_ victims: [Segment], _ packs: [UInt32]) throws(LedgerError) -> Segment {
        let rows = PackRows(packs, numbers: state.withLock { $0.packs.count })
        let entriesMax = victims.reduce(0) { $0 + $1.layout.entryCount }
        return try writeSegment(entriesMax: entriesMax, packsMax: packs.count) { writer throws(LedgerError) in
            var cursors: [SegmentCursor] = []
            for segment in victims { cursors.append(try SegmentCursor(segment)) }
            var id: Bytes32?
            var written: [UInt32] = []
            while let (cursor, entry) = ChunkIndex.lowest(cursors) {
                try cursor.advance()
                if entry.id != id {
                    id = entry.id
                    written.removeAll(keepingCapacity: true)
                }
                guard let row = rows.row(entry.pack), !written.contains(row) else { continue }
                written.append(row)
                var entry = entry
                entry.pack = row
                do throws(HostFilesError) { try writer.append(entry) } catch {
                    throw LedgerError(error, "merge index segments", path: folder.path)
                }
            }
            do throws(HostFilesError) {
                try writer.finish(packCount: packs.count) { packIDs(packs[$0]) }
            } catch {
                throw LedgerError(error, "merge index segments", path: folder.path)
            }
        }
    }

    /// The cursor at the entry that comes first. There are few: a heap would cost more.
    private static func lowest(_ cursors: [SegmentCursor]) -> (SegmentCursor, IndexEntry)? {
        var lowest: (SegmentCursor, IndexEntry)?
        for cursor in cursors {
            guard let entry = cursor.entry else { continue }
            if let found = lowest, !(entry.id < found.1.id) { continue }
            lowest = (cursor, entry)
        }
        return lowest
    }

    /// Reads all entries of the segments and drops those that are beyond repair; false if none is.
    private func dropDamaged(_ segments: [Segment]) throws(LedgerError) -> Bool {
        var hasDropped = false
        for segment in segments {
            do {
                let cursor = try SegmentCursor(segment)
                while cursor.entry != nil { try cursor.advance() }
            } catch  where error.code == .damaged {
                try drop(segment)
                hasDropped = true
            }
        }
        return hasDropped
    }
}
