package import BackupFormat
package import HostFiles
internal import Synchronization

/// Which chunk lies in which pack: the publisher's cache, rebuilt from the footers of packs wherever it is incomplete.
///
/// New rows stand in a table in memory; when it is full they are sorted and written as an immutable segment, and segments
/// are merged so that there are few. May be used from any thread, and by several processes with the same folder at once.
///
/// Its life: ``open(disk:directory:memoryBytes:)``, list the packs of the vault, ``synchronise(present:)``, read the
/// footers of the packs that this returns and ``add(pack:entries:)`` each; then reserve, add, look up; ``flush()``.
package final class ChunkIndex: Sendable {
    /// Up to this many segments are left as they are.
    package static let segmentsMax = 10

    let folder: IndexFolder
    /// Slots of a table that is full; see `init`.
    let tableCapacity: Int
    let storedMax: Int
    let state: Mutex<State>
    /// Held while the folder is changed or reread. Taken before `state`, never after.
    let folderLock = Mutex<Void>(())

    /// What the threads share; under a lock that is never held during I/O.
    struct State: Sendable {
        var packs = PackTable()
        var table: EntryTable
        /// Packs whose entries are in the table.
        var tablePacks: [UInt32] = []
        /// Packs that are there and known not to be whole.
        var doubted: [UInt32] = []
        /// A full table, until it is a durable segment.
        var frozen: FrozenTable?
        /// Largest first.
        var segments: [Segment] = []
        /// Raised whenever `segments` changes.
        var generation: UInt64 = 0
        /// Packs with numbers below this were known when the folder was last reread on request.
        var packsBeforeReload = 0
        var damagedSegments = 0
    }

    final class FrozenTable: Sendable {
        let table: EntryTable
        let packs: [UInt32]

        init(table: EntryTable, packs: [UInt32]) {
            self.table = table
            self.packs = packs
        }
    }

    /// Opens the index in `directory`, and makes the folder if it is missing.
    ///
    /// A segment that is damaged beyond repair is removed, and its packs count as not covered.
    /// `memoryBytes` bounds the tables of new rows (at least 256 KiB). On top of it come, in bytes, about 1.35 a chunk, 45 a
    /// pack, and 20 MiB while a segment is written.
    package static func open(
        disk: any Disk, directory: RawPath, memoryBytes: Int
    ) throws(LedgerError) -> ChunkIndex {
        let index = try ChunkIndex(disk: disk, directory: directory, memoryBytes: memoryBytes)
        try index.reload()
        return index
    }

    private init(disk: any Disk, directory: RawPath, memoryBytes: Int) throws(LedgerError) {
        // At worst a frozen table, the table that follows it, and the frozen one's rows sorted: 48 + 48 + 36 bytes a slot.
        let slots = max(memoryBytes, 256 << 10) / 132
        tableCapacity = 1 << (Int.bitWidth - 1 - slots.leadingZeroBitCount)
        storedMax = tableCapacity / 4 * 3
        state = Mutex(State(table: EntryTable(capacity: ChunkIndex.tableCapacityMin)))
        do { folder = try IndexFolder(disk, directory) } catch {
            throw LedgerError(error, "open the chunk index", path: directory)
        }
    }

    /// Slots of a table at its start.
    static let tableCapacityMin = 1024

    /// Where the chunk lies; nil if no pack is known to hold it. One that is doubted comes last, and never where it is to be had `reliably`.
    package func lookup(_ id: ChunkID, reliably: Bool = false) throws(LedgerError) -> ChunkLocation? {
        let (found, segments, hasDoubts) = state.withLock {
            ($0.find(id, reliably: true), $0.segments, !$0.doubted.isEmpty)
        }
        if case .stored(let location) = found { return location }
        if let location = try find(id, in: segments, reliably: true) { return location }
        return hasDoubts && !reliably ? try allLocations(of: id).first : nil
    }

    /// Every pack known to hold the chunk, in no order: where to look when one copy is damaged.
    package func allLocations(of id: ChunkID) throws(LedgerError) -> [ChunkLocation] {
        var (found, segments) = state.withLock { state -> ([ChunkLocation], [Segment]) in
            var found: [ChunkLocation] = []
            state.visit(id) { location in
                if !found.contains(where: { $0.packNumber == location.packNumber }) { found.append(location) }
                return false
            }
            return (found, state.segments)
        }
        // The largest segment comes first, and holds most.
        while let segment = segments.popLast() {
            try visit(id, segment) { location in
                if !found.contains(where: { $0.packNumber == location.packNumber }) { found.append(location) }
                return false
            }
        }
        return found
    }

    /// Asks what to do with a chunk: of all the threads that ask for one that is not stored, exactly one is told `.store`. What only packs
    /// hold that are doubted is not stored.
    package func reserve(_ id: ChunkID) throws(LedgerError) -> Reservation {
        while true {
            let (found, segments, generation) = state.withLock { ($0.find(id, reliably: true), $0.segments, $0.generation) }
            if let found { return found }
            if let location = try find(id, in: segments, reliably: true) { return .stored(location) }
            // Between the two locks another thread may have reserved it, or rows may have moved to a segment not seen yet.
            let answer = state.withLock { state -> Reservation? in
                if let found = state.find(id, reliably: true) { return found }
                guard state.generation == generation else { return nil }
                state.table.reserve(id.value)
                return .store
            }
            if let answer { return answer }
        }
    }

    /// Gives up reservations, because storing failed. Chunks that are not reserved are passed over.
    package func release(_ ids: [ChunkID]) {
        state.withLock { state in
            for id in ids { state.table.release(id.value) }
        }
    }

    /// Gives up all reservations: whoever made them has stopped, and what was not stored until then never will be.
    package func releaseReservations() { state.withLock { $0.table.releaseAll() } }

    /// Records every chunk of a pack that is stored, or whose footer was read; reservations of these chunks are fulfilled.
    ///
    /// The pack counts as covered and present from then on. May write a segment, and throws if that fails; the rows are
    /// then still known in memory, and are written by the next attempt.
    package func add(pack: PackID, entries: [PackEntry]) throws(LedgerError) {
        let isFull = state.withLock { state -> Bool in
            let number = state.packs.number(of: pack)
            state.packs.setGone(number, false)
            if state.packs.isCovered(number) {
                for entry in entries { state.table.release(entry.id.value) }
            } else {
                for entry in entries {
                    state.table.store(
                        IndexEntry(
                            id: entry.id.value, pack: number, offset: entry.offset, sealedBytes: entry.sealedBytes,
                            plainBytes: entry.plainBytes))
                }
                state.packs.setCovered(number, true)
                state.tablePacks.append(number)
            }
            return state.table.storedCount >= storedMax
        }
        if isFull { try flush(onlyIfFull: true) }
    }

    /// Searches segments for a copy of the chunk whose pack is not gone, nor doubted if it is to be had `reliably`.
    private func find(_ id: ChunkID, in segments: [Segment], reliably: Bool) throws(LedgerError) -> ChunkLocation? {
        var found: ChunkLocation?
        for segment in segments where segment.mayContain(id) {
            try visit(id, segment, reliably: reliably) { location in
                found = location
                return true
            }
            if found != nil { return found }
        }
        return nil
    }

    /// Calls `body` with the copies that a segment knows in packs that are not gone; drops the segment if it is damaged.
    private func visit(
        _ id: ChunkID, _ segment: Segment, reliably: Bool = false, _ body: (ChunkLocation) -> Bool
    ) throws(LedgerError) {
        do {
            try segment.visit(id) { entry in
                guard let location = state.withLock({ $0.location(entry, reliably: reliably) }) else { return false }
                return body(location)
            }
        } catch  where error.code == .damaged {
            try drop(segment)
        }
    }
}

extension ChunkIndex.State {
    /// The location that a row tells, unless its pack is gone, or doubted where it is to be had `reliably`.
    func location(_ entry: IndexEntry, reliably: Bool = false) -> ChunkLocation? {
        guard !packs.isGone(entry.pack), !reliably || !packs.isDoubted(entry.pack) else { return nil }
        return ChunkLocation(
            pack: packs.id(entry.pack), packNumber: entry.pack, offset: entry.offset, sealedBytes: entry.sealedBytes,
            plainBytes: entry.plainBytes)
    }

    /// Calls `body` with the chunk's rows in memory whose packs are not gone, until it returns true; whether it is reserved.
    @discardableResult
    func visit(_ id: ChunkID, reliably: Bool = false, _ body: (ChunkLocation) -> Bool) -> Bool {
        var isDone = false
        // Two closures, since one in a variable would copy the state.
        let isReserved = table.visit(id.value) { entry in
            if let location = location(entry, reliably: reliably) { isDone = body(location) }
            return isDone
        }
        if !isDone, let frozen {
            _ = frozen.table.visit(id.value) { entry in
                if let location = location(entry, reliably: reliably) { isDone = body(location) }
                return isDone
            }
        }
        return isReserved
    }

    /// What the memory alone says of a chunk.
    func find(_ id: ChunkID, reliably: Bool) -> Reservation? {
        var found: ChunkLocation?
        let isReserved = visit(id, reliably: reliably) { location in
            found = location
            return true
        }
        if let found { return .stored(found) }
        return isReserved ? .pending : nil
    }
}
