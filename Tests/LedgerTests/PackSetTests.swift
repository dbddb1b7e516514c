import BackupFormat
import Ledger
import TestSupport
import Testing

struct PackSetTests {
    @Test("a set of packs behaves as a set of numbers")
    func behavesAsSet() {
        var random = Choices(seed: 1)
        var set = PackSet()
        var model: Set<UInt32> = []
        for _ in 0..<5000 {
            let number = UInt32(random.below(900))
            if random.below(3) == 0 {
                #expect(set.remove(number) == (model.remove(number) != nil))
            } else {
                #expect(set.insert(number) == model.insert(number).inserted)
            }
        }
        #expect(set.count == model.count)
        #expect(Array(set) == model.sorted())
        #expect((0..<1000).allSatisfy { set.contains($0) == model.contains($0) })
        var other = PackSet()
        for number in [3, 70_000, 900] as [UInt32] { other.insert(number) }
        set.formUnion(other)
        #expect(Array(set) == model.union([3, 900, 70_000]).sorted())
        #expect(set.count == model.union([3, 900, 70_000]).count)
        set.removeAll()
        #expect(set.isEmpty && set == PackSet())
    }

    @Test("an empty set has no elements")
    func empty() {
        #expect(Array(PackSet()).isEmpty)
        #expect(!PackSet().contains(0))
    }
}

struct PackTableTests {
    @Test("numbers stay as the table grows")
    func numbersStay() {
        var random = Choices(seed: 2)
        var table = PackTable()
        let packs = (0..<10_000).map { _ in PackID(random.bytes32()) }
        for (number, pack) in packs.enumerated() { #expect(table.number(of: pack) == UInt32(number)) }
        for (number, pack) in packs.enumerated() {
            #expect(table.find(pack) == UInt32(number))
            #expect(table.id(UInt32(number)) == pack)
        }
        #expect(table.find(PackID(random.bytes32())) == nil)
    }
}

struct EntryTableTests {
    @Test("rows survive the removal of their neighbours, even where all begin at one slot")
    func removal() {
        var random = Choices(seed: 3)
        for spread in [2, 50, 100_000] {
            var table = EntryTable(capacity: 16)
            var reserved: Set<Int> = []
            var stored: Set<Int> = []
            for _ in 0..<3000 {
                let key = random.below(min(spread * 40, 400))
                // Words that cancel out give every key of a group the same hash.
                let id = ids(key, spread)
                switch random.below(3) {
                case 0 where !reserved.contains(key) && !stored.contains(key):
                    table.reserve(id)
                    reserved.insert(key)
                case 1:
                    table.release(id)
                    reserved.remove(key)
                case 2 where random.below(4) == 0:
                    table.store(IndexEntry(id: id, pack: 7, offset: UInt32(key), sealedBytes: 0, plainBytes: 0))
                    reserved.remove(key)
                    stored.insert(key)
                default: break
                }
            }
            #expect(table.reservedCount == reserved.count && table.storedCount == stored.count)
            for key in 0..<400 {
                var found: [UInt32] = []
                let isReserved = table.visit(ids(key, spread)) {
                    found.append($0.offset)
                    return false
                }
                #expect(isReserved == reserved.contains(key))
                #expect(found == (stored.contains(key) ? [UInt32(key)] : []))
            }
            let next = table.reservations(capacity: 16)
            #expect(next.reservedCount == reserved.count && next.storedCount == 0)
        }
    }

    private func ids(_ key: Int, _ spread: Int) -> Bytes32 {
        Bytes32(words: (UInt64(key), UInt64(key) ^ UInt64(key % spread), 0, 0))
    }
}
