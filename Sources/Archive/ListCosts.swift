/// Which packs, by number from 0, the lists of snapshots name, and so what it costs to let go of them: a value.
///
/// Lists are made of pages that they share. Memory: 4 bytes for each time that a page names a pack, or a list a page.
package struct ListCosts: Sendable {
    private var pages: [[Int32]]
    private var lists: [[Int32]] = []
    private var listCount: Int32 = 0

    package init(packs: Int) { pages = Array(repeating: [], count: packs) }

    /// Adds a page that names these packs, each once, and returns its number.
    package mutating func addPage(naming packs: some Sequence<Int>) -> Int {
        for pack in packs { pages[pack].append(Int32(lists.count)) }
        lists.append([])
        return lists.count - 1
    }

    /// Adds a list of these pages.
    package mutating func addList(of pages: some Sequence<Int>) {
        for page in pages { lists[page].append(listCount) }
        listCount += 1
    }

    /// A pack that could go, and the bytes that this would free.
    package struct Candidate: Sendable {
        package var pack: Int
        package var freedBytes: Int
        package init(pack: Int, freedBytes: Int) {
            self.pack = pack
            self.freedBytes = freedBytes
        }
    }

    /// Those of the candidates whose going frees at least `listBytes` for each list that changes, as indices, ascending. Lists that name one
    /// of the `moved` packs, which go in any case, change anyway.
    ///
    /// Packs that the same pages name go or stay together. They are taken by what they free for each list that names them, the most
    /// first, as long as that pays: a list that some have changed costs nothing for the next.
    package func worthwhile(_ candidates: [Candidate], besides moved: some Sequence<Int>, listBytes: Int) -> [Int] {
        var isPageSeen = Array(repeating: false, count: lists.count)
        var isListSeen = Array(repeating: false, count: Int(listCount))
        /// How many lists change by this that did not before.
        func newLists(_ pack: Int) -> Int {
            var count = 0
            for page in pages[pack] where !isPageSeen[Int(page)] {
                isPageSeen[Int(page)] = true
                for list in lists[Int(page)] where !isListSeen[Int(list)] {
                    isListSeen[Int(list)] = true
                    count += 1
                }
            }
            return count
        }
        for pack in moved { _ = newLists(pack) }
        let groups = Dictionary(grouping: candidates.indices) { pages[candidates[$0].pack] }.values.map { members in
            let freedBytes = members.reduce(0) { $0 + candidates[$1].freedBytes }
            // A list that has two of the pages counts twice here: this only decides about the order.
            let count = pages[candidates[members[0]].pack].reduce(0) { $0 + (isPageSeen[Int($1)] ? 0 : lists[Int($1)].count) }
            let value = count == 0 ? Double.infinity : Double(freedBytes) / Double(count)
            return (members: members, freedBytes: freedBytes, value: value)
        }.sorted { ($1.value, $0.members[0]) < ($0.value, $1.members[0]) }
        var (gain, best, taken) = (0, 0, 0)
        for (place, group) in groups.enumerated() {
            gain += group.freedBytes - newLists(candidates[group.members[0]].pack) * listBytes
            if gain >= best { (best, taken) = (gain, place + 1) }
        }
        return groups.prefix(taken).flatMap(\.members).sorted()
    }
}
