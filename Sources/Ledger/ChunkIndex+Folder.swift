internal import BackupFormat
internal import HostFiles

extension ChunkIndex {
    /// Looks at the folder again: learns the segments that other processes wrote, and forgets those that are gone.
    package func reload() throws(LedgerError) {
        try folderLock.withLock { _ throws(LedgerError) in
            try readFolder()
            state.withLock { $0.packsBeforeReload = $0.packs.count }
        }
    }

    /// Opens the segments that are new. The caller holds `folderLock`.
    func readFolder() throws(LedgerError) {
        var open: [RawPath: Segment] = [:]
        for segment in state.withLock({ $0.segments }) { open[segment.name] = segment }
        // Another process may merge meanwhile: what a listing names may be gone at once, and a listing made during a merge
        // may lack both the old and the new. Two equal listings in a row are the truth; after 16, the last must do, since
        // a pack that is missed is only read again.
        var names = try segmentNames()
        for _ in 0..<16 {
            for name in names where open[name] == nil {
                if let segment = try openSegment(name) { open[name] = segment }
            }
            let again = try segmentNames()
            if again == names { break }
            names = again
        }
        let present = names.compactMap { open[$0] }
        state.withLock { $0.replaceSegments(present) }
    }

    private func segmentNames() throws(LedgerError) -> [RawPath] {
        do { return try folder.segmentNames() } catch { throw LedgerError(error, "list the chunk index", path: folder.path) }
    }

    /// Opens a segment; nil if it has vanished, was damaged (then it is removed) or is of a newer version (then it stays).
    private func openSegment(_ name: RawPath) throws(LedgerError) -> Segment? {
        do {
            return try open(name)
        } catch {
            switch error.code {
            case .unknownVersion: return nil
            case .damaged:
                state.withLock { $0.damagedSegments += 1 }
                // Where it cannot be removed, as on a disk mounted read-only, it is passed over each time.
                try? remove(name)
                return nil
            case .storage, .tooLarge:
                if error.cause?.code == .notFound { return nil }
                throw error
            }
        }
    }

    private func open(_ name: RawPath, now temporary: RawPath? = nil) throws(LedgerError) -> Segment {
        try Segment(folder.disk, folder.path, name, now: temporary) { packs in
            state.withLock { state in packs.map { state.packs.number(of: $0) } }
        }
    }

    /// Forgets and removes a segment that is damaged beyond repair.
    func drop(_ segment: Segment) throws(LedgerError) {
        let wasKnown = state.withLock { state -> Bool in
            let rest = state.segments.filter { $0 !== segment }
            guard rest.count < state.segments.count else { return false }
            state.replaceSegments(rest)
            state.damagedSegments += 1
            return true
        }
        if wasKnown { try remove(segment.name) }
    }

    func remove(_ name: RawPath) throws(LedgerError) {
        do { try folder.remove(name) } catch {
            throw LedgerError(error, "remove an index segment", path: folder.path.appending(name))
        }
    }

    /// Writes a segment under a random name, durable when this returns, and opens it. `fill` writes all of it.
    func writeSegment(
        entriesMax: Int, packsMax: Int, _ fill: (SegmentWriter) throws(LedgerError) -> Void
    ) throws(LedgerError) -> Segment {
        let random = IndexFolder.randomName()
        let temporary = RawPath(random + ".tmp")
        let name = RawPath(random + ".segment")
        do throws(LedgerError) {
            let writer: SegmentWriter
            do {
                writer = try SegmentWriter(
                    folder.disk, folder.path.appending(temporary), entriesMax: entriesMax, packsMax: packsMax)
            } catch { throw LedgerError(error, "write an index segment", path: folder.path.appending(name)) }
            try fill(writer)
            // Opened before it has its name: from then on another process may merge and unlink it.
            let segment = try open(name, now: temporary)
            do { try folder.publish(temporary, as: name) } catch {
                throw LedgerError(error, "write an index segment", path: folder.path.appending(name))
            }
            return segment
        } catch {
            // What is left of the temporary file goes when it is stale, if not now.
            try? folder.remove(temporary)
            throw error
        }
    }
}

extension ChunkIndex.State {
    /// Takes another set of segments, and works out anew which packs are covered.
    mutating func replaceSegments(_ new: [Segment]) {
        segments = new.sorted { $0.layout.entryCount > $1.layout.entryCount }
        generation += 1
        packs.uncoverAll()
        for segment in segments {
            for number in segment.packNumbers { packs.setCovered(number, true) }
        }
        for number in frozen?.packs ?? [] { packs.setCovered(number, true) }
        for number in tablePacks { packs.setCovered(number, true) }
    }
}
