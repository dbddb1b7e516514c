internal import BackupFormat

/// Collects the ids of packs from many pages, which mostly name the same ones: holds at most twice as many as there are.
struct PackIDList {
    /// Sorted up to `sortedCount`, each once; what follows came since.
    private var ids: [PackID]
    private var sortedCount = 0

    private static let unsortedMin = 1 << 16

    init(_ ids: [PackID]) { self.ids = ids }

    mutating func add(_ more: [PackID]) {
        if ids.count + more.count > 2 * max(sortedCount, PackIDList.unsortedMin) { merge() }
        ids += more
    }

    /// All of them, sorted, each once.
    consuming func sorted() -> [PackID] {
        merge()
        return ids
    }

    private mutating func merge() {
        ids.sort()
        var kept = 0
        for index in ids.indices where kept == 0 || ids[index] != ids[kept - 1] {
            ids[kept] = ids[index]
            kept += 1
        }
        ids.removeLast(ids.count - kept)
        sortedCount = kept
    }
}
