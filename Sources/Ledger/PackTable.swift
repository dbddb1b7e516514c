package import BackupFormat

/// Gives each pack a number in this process, and keeps what is known of it: gone or not, covered or not.
///
/// About 41 bytes a pack; grows in pieces, so that growing never holds the ids twice. A number never changes.
package struct PackTable: Sendable {
    private static let pieceBits = 12
    private static let free = UInt32.max

    private var pieces: [[PackID]] = []
    /// Open addressing, linear probing: numbers of packs.
    private var slots = [UInt32](repeating: free, count: 1024)
    private var flags: [UInt8] = []

    private static let goneFlag: UInt8 = 1
    private static let coveredFlag: UInt8 = 2
    private static let doubtedFlag: UInt8 = 4

    package init() {}

    /// How many packs have a number; numbers run from 0 to one less.
    package var count: Int { flags.count }

    /// The pack of that number, which must have been given out.
    package func id(_ number: UInt32) -> PackID {
        pieces[Int(number >> UInt32(PackTable.pieceBits))][Int(number & (1 << UInt32(PackTable.pieceBits) - 1))]
    }

    /// The number of a pack that has one.
    package func find(_ id: PackID) -> UInt32? {
        let slot = slots[slot(of: id)]
        return slot == PackTable.free ? nil : slot
    }

    /// The number of a pack, a new one if it had none.
    package mutating func number(of id: PackID) -> UInt32 {
        var slot = slot(of: id)
        if slots[slot] != PackTable.free { return slots[slot] }
        precondition(count < Int(Int32.max), "more packs than a process can number")
        if (count + 1) * 10 > slots.count * 7 {
            grow()
            slot = self.slot(of: id)
        }
        let number = UInt32(count)
        if count & (1 << PackTable.pieceBits - 1) == 0 {
            var piece: [PackID] = []
            piece.reserveCapacity(1 << PackTable.pieceBits)
            pieces.append(piece)
        }
        pieces[pieces.count - 1].append(id)
        flags.append(0)
        slots[slot] = number
        return number
    }

    /// The slot that holds the pack, or the free one where it belongs.
    private func slot(of id: PackID) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: id.value.slotHash) & mask
        while slots[slot] != PackTable.free, self.id(slots[slot]) != id { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func grow() {
        let mask = slots.count * 2 - 1
        var larger = [UInt32](repeating: PackTable.free, count: slots.count * 2)
        for number in slots where number != PackTable.free {
            var slot = Int(truncatingIfNeeded: id(number).value.slotHash) & mask
            while larger[slot] != PackTable.free { slot = (slot + 1) & mask }
            larger[slot] = number
        }
        slots = larger
    }

    /// Known to be absent from the vault: what the index says of it is ignored.
    func isGone(_ number: UInt32) -> Bool { flags[Int(number)] & PackTable.goneFlag != 0 }

    mutating func setGone(_ number: UInt32, _ gone: Bool) {
        if gone { flags[Int(number)] |= PackTable.goneFlag } else { flags[Int(number)] &= ~PackTable.goneFlag }
    }

    /// Whether the index holds every chunk of it.
    func isCovered(_ number: UInt32) -> Bool { flags[Int(number)] & PackTable.coveredFlag != 0 }

    mutating func setCovered(_ number: UInt32, _ covered: Bool) {
        if covered { flags[Int(number)] |= PackTable.coveredFlag } else { flags[Int(number)] &= ~PackTable.coveredFlag }
    }

    /// Known to be there and not to be whole.
    func isDoubted(_ number: UInt32) -> Bool { flags[Int(number)] & PackTable.doubtedFlag != 0 }

    mutating func setDoubted(_ number: UInt32, _ doubted: Bool) {
        if doubted { flags[Int(number)] |= PackTable.doubtedFlag } else { flags[Int(number)] &= ~PackTable.doubtedFlag }
    }

    mutating func uncoverAll() {
        for index in flags.indices { flags[index] &= ~PackTable.coveredFlag }
    }
}

extension Bytes32 {
    /// A hash for tables in memory; good also for values that are not random.
    @inline(__always)
    var slotHash: UInt64 {
        let mixed = (words.0 ^ words.1 ^ words.2 ^ words.3) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ mixed >> 32
    }
}
