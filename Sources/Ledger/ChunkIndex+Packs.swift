package import BackupFormat

extension ChunkIndex {
    /// Takes note of which packs the vault holds, and returns those, in the same order, whose chunks the index does not know.
    ///
    /// Read the footers of those and ``add(pack:entries:)`` each. Packs that the index knows and that are not in `present`
    /// count as gone from then on: what it knows of them is ignored, and dropped at the next merge. List the vault *after*
    /// ``open(disk:directory:memoryBytes:)`` or ``reload()``: only packs known at that time can be found gone, so that one
    /// stored while the vault was being listed is never taken for gone.
    package func synchronise(present: some Sequence<PackID>) -> [PackID] {
        state.withLock { state in
            var uncovered: [PackID] = []
            var seen = PackSet(capacity: state.packs.count)
            for pack in present {
                guard let number = state.packs.find(pack) else {
                    uncovered.append(pack)
                    continue
                }
                seen.insert(number)
                state.packs.setGone(number, false)
                if !state.packs.isCovered(number) { uncovered.append(pack) }
            }
            for number in 0..<UInt32(state.packsBeforeReload) where !seen.contains(number) {
                state.packs.setGone(number, true)
            }
            return uncovered
        }
    }

    /// Ignores from now on what the index knows of these packs, which the vault no longer holds.
    package func markGone(packs: some Sequence<PackID>) {
        state.withLock { state in
            for pack in packs {
                if let number = state.packs.find(pack) { state.packs.setGone(number, true) }
            }
        }
    }

    /// Counts these packs, and no others, as ones that no new backup is to rely on: they are there, and may still be read.
    package func doubt(_ packs: Set<PackID>) {
        state.withLock { state in
            for number in state.doubted { state.packs.setDoubted(number, false) }
            state.doubted = packs.map { state.packs.number(of: $0) }
            for number in state.doubted { state.packs.setDoubted(number, true) }
        }
    }

    /// Whether the index knows every chunk of the pack, and a new backup may rely on it.
    package func isReliable(_ pack: PackID) -> Bool {
        state.withLock { state in
            guard let number = state.packs.find(pack) else { return false }
            return state.packs.isCovered(number) && !state.packs.isGone(number) && !state.packs.isDoubted(number)
        }
    }

    /// The pack's number in this process; a new one if it has none yet.
    package func packNumber(of pack: PackID) -> UInt32 { state.withLock { $0.packs.number(of: pack) } }

    /// The pack of a number that this index gave out.
    package func packID(_ number: UInt32) -> PackID { state.withLock { $0.packs.id(number) } }

    /// How many numbers were given out: they run from 0 to one less.
    package var packCount: Int { state.withLock { $0.packs.count } }

    /// Whether the index knows every chunk of the pack, and does not count it as gone.
    package func isCovered(_ pack: PackID) -> Bool {
        state.withLock { state in
            guard let number = state.packs.find(pack) else { return false }
            return state.packs.isCovered(number) && !state.packs.isGone(number)
        }
    }

    /// Counts, for people and tests.
    package struct Statistics: Sendable, Equatable {
        package var segments = 0
        /// Rows in segments, those of packs that are gone among them.
        package var segmentEntries = 0
        /// Rows in memory that no durable segment holds yet.
        package var unwrittenEntries = 0
        package var reservations = 0
        /// Segments dropped since opening because they were damaged beyond repair. When this changes, the packs they
        /// covered are no longer covered: synchronise again before relying on a chunk's absence.
        package var damagedSegments = 0

        package init() {}
    }

    package var statistics: Statistics {
        state.withLock { state in
            var statistics = Statistics()
            statistics.segments = state.segments.count
            statistics.segmentEntries = state.segments.reduce(0) { $0 + $1.layout.entryCount }
            statistics.unwrittenEntries = state.table.storedCount + (state.frozen?.table.storedCount ?? 0)
            statistics.reservations = state.table.reservedCount
            statistics.damagedSegments = state.damagedSegments
            return statistics
        }
    }
}
