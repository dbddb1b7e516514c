internal import BackupFormat
internal import HostFiles

extension ChunkIndex {
    /// Makes every chunk that was added so far durable in segments, and merges these if there are many.
    package func flush() throws(LedgerError) { try flush(onlyIfFull: false) }

    /// One thread writes; others go on until the next table is full too, and then wait here.
    func flush(onlyIfFull: Bool) throws(LedgerError) {
        try folderLock.withLock { _ throws(LedgerError) in
            // A table that an earlier attempt could not write comes first.
            try writeFrozen()
            let isWanted = state.withLock { state -> Bool in
                if onlyIfFull && state.table.storedCount < storedMax { return false }
                return state.freeze()
            }
            guard isWanted else { return }
            try writeFrozen()
            try mergeIfMany()
        }
    }

    private func writeFrozen() throws(LedgerError) {
        guard let frozen = state.withLock({ $0.frozen }) else { return }
        let segment: Segment? = frozen.packs.isEmpty ? nil : try write(frozen)
        state.withLock { state in
            state.frozen = nil
            guard let segment else { return }
            // What it covers was covered before.
            let place = state.segments.firstIndex { $0.layout.entryCount < segment.layout.entryCount }
            state.segments.insert(segment, at: place ?? state.segments.count)
            state.generation += 1
        }
    }

    private func write(_ frozen: FrozenTable) throws(LedgerError) -> Segment {
        var entries = frozen.table.storedEntries()
        entries.sort { $0.id < $1.id }
        let rows = PackRows(frozen.packs, numbers: state.withLock { $0.packs.count })
        return try writeSegment(entriesMax: entries.count, packsMax: frozen.packs.count) { writer throws(LedgerError) in
            do throws(HostFilesError) {
                for var entry in entries {
                    // Packs that were gone when the table was frozen have no row.
                    guard let row = rows.row(entry.pack) else { continue }
                    entry.pack = row
                    try writer.append(entry)
                }
                try writer.finish(packCount: frozen.packs.count) { packIDs(frozen.packs[$0]) }
            } catch { throw LedgerError(error, "write an index segment", path: folder.path) }
        }
    }

    func packIDs(_ numbers: ArraySlice<UInt32>) -> [PackID] {
        state.withLock { state in numbers.map { state.packs.id($0) } }
    }
}

extension ChunkIndex.State {
    /// Sets the table aside to be written, and goes on with a new one that has its reservations; false if it holds nothing.
    mutating func freeze() -> Bool {
        guard !tablePacks.isEmpty else { return false }
        var present: [UInt32] = []
        for number in tablePacks {
            if packs.isGone(number) { packs.setCovered(number, false) } else { present.append(number) }
        }
        frozen = ChunkIndex.FrozenTable(table: table, packs: present)
        table = table.reservations(capacity: ChunkIndex.tableCapacityMin)
        tablePacks = []
        return true
    }
}

/// From packs' numbers in this process to their rows in the pack table of a segment.
struct PackRows {
    private static let none = UInt32.max
    private var rows: [UInt32]

    /// `packs` in the order of their rows; `numbers` is above every number.
    init(_ packs: [UInt32], numbers: Int) {
        rows = Array(repeating: PackRows.none, count: numbers)
        for (row, number) in packs.enumerated() { rows[Int(number)] = UInt32(row) }
    }

    @inline(__always)
    func row(_ number: UInt32) -> UInt32? {
        guard Int(number) < rows.count, rows[Int(number)] != PackRows.none else { return nil }
        return rows[Int(number)]
    }
}
