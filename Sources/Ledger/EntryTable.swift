package import BackupFormat

/// The rows that no segment holds yet: a hash table by chunk id, open addressing with linear probing, 48 bytes a slot.
///
/// A chunk may stand in it several times, once a pack; a *reserved* row (its pack is not complete yet) stands alone or
/// next to rows of packs that are gone.
package struct EntryTable: Sendable {
    /// In place of a pack number: an empty slot, and a reserved row.
    private static let emptyPack = UInt32.max
    private static let reservedPack = UInt32.max - 1

    private static let empty = IndexEntry(id: .zero, pack: emptyPack, offset: 0, sealedBytes: 0, plainBytes: 0)

    private var slots: [IndexEntry]
    /// Rows that are reserved.
    package private(set) var reservedCount = 0
    /// Rows that are stored.
    package private(set) var storedCount = 0

    /// `capacity` is a power of two: slots, of which at most 7 in 8 are used before the table doubles.
    package init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0)
        slots = Array(repeating: EntryTable.empty, count: capacity)
    }

    @inline(__always)
    private func home(of id: Bytes32) -> Int { Int(truncatingIfNeeded: id.slotHash) & (slots.count - 1) }

    /// Calls `body` with each stored row of the chunk until it returns true; whether the chunk is reserved.
    package func visit(_ id: Bytes32, _ body: (IndexEntry) -> Bool) -> Bool {
        let mask = slots.count - 1
        var slot = home(of: id)
        var reserved = false
        while slots[slot].pack != EntryTable.emptyPack {
            if slots[slot].id == id {
                if slots[slot].pack == EntryTable.reservedPack {
                    reserved = true
                } else if body(slots[slot]) {
                    return reserved
                }
            }
            slot = (slot + 1) & mask
        }
        return reserved
    }

    /// Adds a reserved row; the chunk must have none.
    package mutating func reserve(_ id: Bytes32) {
        place(IndexEntry(id: id, pack: EntryTable.reservedPack, offset: 0, sealedBytes: 0, plainBytes: 0))
        reservedCount += 1
    }

    /// Removes the chunk's reserved row, if it has one.
    package mutating func release(_ id: Bytes32) {
        guard let slot = find(id, pack: EntryTable.reservedPack) else { return }
        remove(slot)
        reservedCount -= 1
    }

    /// Removes all reserved rows.
    package mutating func releaseAll() {
        guard reservedCount > 0 else { return }
        for entry in slots where entry.pack == EntryTable.reservedPack { release(entry.id) }
    }

    /// Adds a stored row, in place of a reserved one if there is; nothing happens if chunk and pack are there already.
    package mutating func store(_ entry: IndexEntry) {
        let reserved = find(entry.id, pack: EntryTable.reservedPack)
        guard find(entry.id, pack: entry.pack) == nil else {
            release(entry.id)
            return
        }
        if let reserved {
            slots[reserved] = entry
            reservedCount -= 1
        } else {
            place(entry)
        }
        storedCount += 1
    }

    /// Every row that is stored, in no order.
    package func storedEntries() -> [IndexEntry] {
        var entries: [IndexEntry] = []
        entries.reserveCapacity(storedCount)
        for entry in slots where entry.pack < EntryTable.reservedPack { entries.append(entry) }
        return entries
    }

    /// A table of this one's reserved rows.
    package func reservations(capacity: Int) -> EntryTable {
        var table = EntryTable(capacity: capacity)
        if reservedCount > 0 {
            for entry in slots where entry.pack == EntryTable.reservedPack { table.reserve(entry.id) }
        }
        return table
    }

    private func find(_ id: Bytes32, pack: UInt32) -> Int? {
        let mask = slots.count - 1
        var slot = home(of: id)
        while slots[slot].pack != EntryTable.emptyPack {
            if slots[slot].pack == pack, slots[slot].id == id { return slot }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private mutating func place(_ entry: IndexEntry) {
        if (reservedCount + storedCount + 1) * 8 > slots.count * 7 { grow() }
        let mask = slots.count - 1
        var slot = home(of: entry.id)
        while slots[slot].pack != EntryTable.emptyPack { slot = (slot + 1) & mask }
        slots[slot] = entry
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: EntryTable.empty, count: old.count * 2)
        let mask = slots.count - 1
        for entry in old where entry.pack != EntryTable.emptyPack {
            var slot = home(of: entry.id)
            while slots[slot].pack != EntryTable.emptyPack { slot = (slot + 1) & mask }
            slots[slot] = entry
        }
    }

    /// Empties a slot, and moves back the rows after it that the gap would hide.
    private mutating func remove(_ index: Int) {
        let mask = slots.count - 1
        var gap = index
        var slot = (index + 1) & mask
        while slots[slot].pack != EntryTable.emptyPack {
            let home = home(of: slots[slot].id)
            if (slot &- home) & mask >= (slot &- gap) & mask {
                slots[gap] = slots[slot]
                gap = slot
            }
            slot = (slot + 1) & mask
        }
        slots[gap] = EntryTable.empty
    }
}
