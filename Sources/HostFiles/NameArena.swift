internal import BackupFormat
internal import CLinux

/// Names one after the other in one piece of memory, and an index of them that can be sorted.
///
/// An index item holds the eight bytes that follow what all names have in common, big-endian, so that most comparisons
/// are of two numbers at hand.
struct NameArena: ~Copyable {
    struct Item {
        var prefix: UInt64
        var offset: UInt32
        var length: UInt16
        var type: UInt8
    }

    private static let inodeBytes = 8
    private static let keptBytesMax = 64 << 10

    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private var used = 0
    private var items: UnsafeMutablePointer<Item>
    private var itemCapacity: Int
    private(set) var count = 0

    init() {
        capacity = 1024
        itemCapacity = 32
        memory = .allocate(byteCount: capacity, alignment: 8)
        items = .allocate(capacity: itemCapacity)
    }

    deinit {
        memory.deallocate()
        items.deallocate()
    }

    /// What names and index take.
    var bytes: Int { used + count * MemoryLayout<Item>.stride }

    @inline(__always)
    mutating func append(_ name: UnsafeRawBufferPointer, inode: UInt64, type: UInt8) {
        let needed = NameArena.inodeBytes + name.count
        if used + needed > capacity { growMemory(needed) }
        if count == itemCapacity { growItems() }
        memory.storeBytes(of: inode, toByteOffset: used, as: UInt64.self)
        if let start = name.baseAddress {
            (memory + used + NameArena.inodeBytes).copyMemory(from: start, byteCount: name.count)
        }
        items[count] = Item(prefix: 0, offset: UInt32(truncatingIfNeeded: used), length: UInt16(name.count), type: type)
        used += needed
        count += 1
    }

    private mutating func growMemory(_ needed: Int) {
        let larger = max(capacity * 2, used + needed)
        precondition(larger <= UInt32.max, "a listing's budget must stay below 4 GiB")
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        moved.copyMemory(from: memory, byteCount: used)
        memory.deallocate()
        memory = moved
        capacity = larger
    }

    private mutating func growItems() {
        let moved = UnsafeMutablePointer<Item>.allocate(capacity: itemCapacity * 2)
        moved.update(from: items, count: count)
        items.deallocate()
        items = moved
        itemCapacity *= 2
    }

    /// Empties it, and gives back memory that only a large directory needs.
    mutating func removeAll() {
        used = 0
        count = 0
        guard capacity > NameArena.keptBytesMax || itemCapacity * MemoryLayout<Item>.stride > NameArena.keptBytesMax else {
            return
        }
        memory.deallocate()
        items.deallocate()
        capacity = 1024
        itemCapacity = 32
        memory = .allocate(byteCount: capacity, alignment: 8)
        items = .allocate(capacity: itemCapacity)
    }

    @inline(__always)
    func name(_ index: Int) -> UnsafeRawBufferPointer { NameArena.name(items[index], memory) }

    @inline(__always)
    static func name(_ item: Item, _ memory: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: memory + Int(item.offset) + inodeBytes, count: Int(item.length))
    }

    func inode(_ index: Int) -> UInt64 { memory.loadUnaligned(fromByteOffset: Int(items[index].offset), as: UInt64.self) }
    func type(_ index: Int) -> UInt8 { items[index].type }

    @inline(__always)
    func entry(_ index: Int) -> SortedListing.Entry {
        SortedListing.Entry(name: name(index), typeHint: EntryType(entryType: type(index)), inodeHint: inode(index))
    }

    /// The name is the one before it once more.
    @inline(__always)
    func isDuplicate(_ index: Int) -> Bool {
        let (a, b) = (items[index - 1], items[index])
        return a.prefix == b.prefix && a.length == b.length && compareNames(name(index - 1), name(index)) == 0
    }

    /// Sorts by unsigned bytes.
    mutating func sort() {
        guard count > 1 else { return }
        let common = commonPrefixLength()
        for index in 0..<count { items[index].prefix = prefixNumber(name(index), from: common) }
        sortItems(items, count, memory)
    }

    private func commonPrefixLength() -> Int {
        let first = name(0)
        var common = first.count
        for index in 1..<count {
            let other = name(index)
            var same = 0
            let most = min(common, other.count)
            while same < most && first[same] == other[same] { same += 1 }
            common = same
            if common == 0 { break }
        }
        return common
    }
}

/// The eight bytes from `start`, big-endian, with zeros for those that are not there.
@inline(__always)
func prefixNumber(_ name: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
    let rest = name.count - start
    if rest >= 8 { return UInt64(bigEndian: name.loadUnaligned(fromByteOffset: start, as: UInt64.self)) }
    var number: UInt64 = 0
    var index = start
    while index < name.count {
        number = number << 8 | UInt64(name[index])
        index += 1
    }
    return rest <= 0 ? 0 : number << UInt64((8 - rest) * 8)
}

/// Below, above or equal to 0, by unsigned bytes; a name precedes those that it begins.
@inline(__always)
func compareNames(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let order = Int(linux_compare(a.baseAddress, b.baseAddress, min(a.count, b.count)))
    return order != 0 ? order : a.count - b.count
}

@inline(__always)
private func precedes(_ a: NameArena.Item, _ b: NameArena.Item, _ memory: UnsafeMutableRawPointer) -> Bool {
    if a.prefix != b.prefix { return a.prefix < b.prefix }
    return compareNames(NameArena.name(a, memory), NameArena.name(b, memory)) < 0
}

/// Quicksort with a median of three down to short runs, which insertion finishes; heapsort where that goes badly.
private func sortItems(_ items: UnsafeMutablePointer<NameArena.Item>, _ count: Int, _ memory: UnsafeMutableRawPointer) {
    quicksort(items, 0, count - 1, depthLeft: 2 * (Int.bitWidth - count.leadingZeroBitCount), memory)
}

private func quicksort(
    _ items: UnsafeMutablePointer<NameArena.Item>, _ first: Int, _ last: Int, depthLeft: Int, _ memory: UnsafeMutableRawPointer
) {
    var low = first
    var high = last
    var depthLeft = depthLeft
    while high - low >= 16 {
        if depthLeft == 0 {
            heapsort(items + low, high - low + 1, memory)
            return
        }
        depthLeft -= 1
        let pivot = medianOfThree(items[low], items[low + (high - low) / 2], items[high], memory)
        var i = low
        var j = high
        while i <= j {
            while precedes(items[i], pivot, memory) { i += 1 }
            while precedes(pivot, items[j], memory) { j -= 1 }
            if i <= j {
                swap(&items[i], &items[j])
                i += 1
                j -= 1
            }
        }
        // The smaller part by recursion, so that the stack stays shallow.
        if j - low < high - i {
            if low < j { quicksort(items, low, j, depthLeft: depthLeft, memory) }
            low = i
        } else {
            if i < high { quicksort(items, i, high, depthLeft: depthLeft, memory) }
            high = j
        }
    }
    guard low < high else { return }
    for index in low + 1...high {
        let item = items[index]
        var place = index
        while place > low && precedes(item, items[place - 1], memory) {
            items[place] = items[place - 1]
            place -= 1
        }
        items[place] = item
    }
}

@inline(__always)
private func medianOfThree(
    _ a: NameArena.Item, _ b: NameArena.Item, _ c: NameArena.Item, _ memory: UnsafeMutableRawPointer
) -> NameArena.Item {
    if precedes(a, b, memory) {
        if precedes(b, c, memory) { return b }
        return precedes(a, c, memory) ? c : a
    }
    if precedes(a, c, memory) { return a }
    return precedes(b, c, memory) ? c : b
}

private func heapsort(_ items: UnsafeMutablePointer<NameArena.Item>, _ count: Int, _ memory: UnsafeMutableRawPointer) {
    func siftDown(_ start: Int, _ end: Int) {
        var root = start
        while true {
            var child = 2 * root + 1
            if child >= end { return }
            if child + 1 < end && precedes(items[child], items[child + 1], memory) { child += 1 }
            guard precedes(items[root], items[child], memory) else { return }
            swap(&items[root], &items[child])
            root = child
        }
    }
    for start in stride(from: count / 2 - 1, through: 0, by: -1) { siftDown(start, count) }
    for end in stride(from: count - 1, to: 0, by: -1) {
        swap(&items[0], &items[end])
        siftDown(0, end)
    }
}
