/// What is to happen when: the earliest first, and what was added first of those at one moment.
struct Agenda<Item> {
    private struct Entry {
        let moment: UInt64
        let number: UInt64
        let item: Item
        func isBefore(_ other: Entry) -> Bool { (moment, number) < (other.moment, other.number) }
    }

    private var heap: [Entry] = []
    private var added: UInt64 = 0

    mutating func add(at moment: UInt64, _ item: Item) {
        added += 1
        heap.append(Entry(moment: moment, number: added, item: item))
        var child = heap.count - 1
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (moment: UInt64, item: Item)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least]) {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return (first.moment, first.item)
    }
}
