internal import BackupFormat

/// What is left after the power was cut.
extension SimulatedDiskState {
    mutating func restart(seed: UInt64) {
        var random = SplitMix(state: seed)
        var dropped: Set<Place> = []
        for change in changes {
            let follows = change.places.contains { dropped.contains($0.place) }
            if follows || random.next() & 1 == 0 {
                for (place, _) in change.places { dropped.insert(place) }
            } else {
                makeDurable(change)
            }
        }
        changes = []
        locked = []
        forgetDirectories()
        for index in nodes.indices {
            nodes[index].entries = nodes[index].durableEntries
            for write in nodes[index].pending { SimulatedDiskState.tear(write, &random, &nodes[index].durableBytes) }
            nodes[index].bytes = nodes[index].durableBytes
            nodes[index].pending = []
            nodes[index].hasLostWrites = false
            nodes[index].handles = 0
            nodes[index].nameCount = 0
        }
        for node in nodes { for child in node.entries.values { nodes[child].nameCount += 1 } }
        for index in nodes.indices {
            nodes[index].durableNameCount = nodes[index].nameCount
            if index > 0 { release(index) }
        }
        usedBytes = nodes.reduce(0) { $0 + $1.bytes.count }
        epoch += 1
        hasCrashed = false
        faults = SimulatedDisk.Faults()
    }

    /// Applies a write wholly, not at all, or sector by sector as it comes.
    private static func tear(_ write: Write, _ random: inout SplitMix, _ bytes: inout [UInt8]) {
        switch random.next() % 3 {
        case 0: return
        case 1: apply(write, to: &bytes)
        default:
            guard case .bytes(let offset, let new) = write else { return }
            for start in stride(from: 0, to: new.count, by: 512) where random.next() & 1 == 0 {
                apply(.bytes(offset + start, Array(new[start..<min(start + 512, new.count)])), to: &bytes)
            }
        }
    }

    func files(under path: RawPath) -> [(path: RawPath, bytes: [UInt8])] {
        guard let found = try? walk(path, "list"), case let node = found else { return [] }
        if !nodes[node].isDirectory { return [(path, nodes[node].bytes)] }
        var result: [(path: RawPath, bytes: [UInt8])] = []
        for name in nodes[node].entries.keys.sorted() { result += files(under: path.appending(name)) }
        return result
    }
}
