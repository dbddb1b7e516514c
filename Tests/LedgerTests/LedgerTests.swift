import BackupFormat
import HostFiles
import Ledger
import TestSupport

/// The packs of an imaginary vault: what the index must agree with.
struct Truth {
    var packs: [PackID: [PackEntry]] = [:]

    /// Makes a pack of chunks, some of which other packs hold too.
    mutating func makePack(_ random: inout Choices, chunksMax: Int, ids: [ChunkID] = []) -> PackID {
        let pack = PackID(random.bytes32())
        var entries: [PackEntry] = []
        let known = packs.isEmpty ? [] : packs.values.first ?? []
        for _ in 0..<random.below(chunksMax + 1) {
            let isCopy = !known.isEmpty && random.below(10) == 0
            let id = isCopy ? known[random.below(known.count)].id : ChunkID(random.bytes32())
            if !entries.contains(where: { $0.id == id }) { entries.append(Truth.entry(id, &random)) }
        }
        for id in ids where !entries.contains(where: { $0.id == id }) { entries.append(Truth.entry(id, &random)) }
        packs[pack] = entries
        return pack
    }

    private static func entry(_ id: ChunkID, _ random: inout Choices) -> PackEntry {
        PackEntry(
            id: id, offset: UInt32(random.below(1 << 24)), sealedBytes: UInt32(random.below(1 << 22)),
            plainBytes: UInt32(random.below(1 << 22)))
    }

    /// Where a chunk lies in those of the packs that are `visible`.
    func places(_ visible: Set<PackID>) -> [ChunkID: [PackID: PackEntry]] {
        var places: [ChunkID: [PackID: PackEntry]] = [:]
        for pack in visible {
            for entry in packs[pack] ?? [] { places[entry.id, default: [:]][pack] = entry }
        }
        return places
    }

    /// What is wrong with the index if it should know exactly the `visible` packs; nil if nothing.
    func fault(_ index: ChunkIndex, _ visible: Set<PackID>, isComplete: Bool = true) throws -> String? {
        let places = places(visible)
        for entries in packs.values {
            for id in entries.map(\.id) {
                let expected = places[id] ?? [:]
                let found = try index.allLocations(of: id)
                if let wrong = found.first(where: { !agrees($0, expected, index) }) { return "\(id) is not at \(wrong)" }
                if Set(found.map(\.pack)).count != found.count { return "\(id) has one place twice" }
                if isComplete && found.count != expected.count { return "\(id) lacks a place" }
                let one = try index.lookup(id)
                if let one, !agrees(one, expected, index) { return "\(id) looked up is not at \(one)" }
                if (one == nil) != found.isEmpty { return "\(id): lookup and allLocations disagree" }
            }
        }
        return nil
    }

    private func agrees(_ location: ChunkLocation, _ expected: [PackID: PackEntry], _ index: ChunkIndex) -> Bool {
        guard let entry = expected[location.pack], index.packID(location.packNumber) == location.pack else { return false }
        return entry.offset == location.offset && entry.sealedBytes == location.sealedBytes
            && entry.plainBytes == location.plainBytes
    }

    /// Synchronises and reads the footers that are asked for. Returns the packs that were.
    @discardableResult
    func synchronise(_ index: ChunkIndex, _ present: Set<PackID>) throws -> [PackID] {
        let uncovered = index.synchronise(present: present.sorted())
        for pack in uncovered { try index.add(pack: pack, entries: packs[pack] ?? []) }
        return uncovered
    }
}

let indexFolder: RawPath = "/home/ledger/index"

func openIndex(_ disk: SimulatedDisk, memoryBytes: Int = 0) throws -> ChunkIndex {
    try ChunkIndex.open(disk: disk, directory: indexFolder, memoryBytes: memoryBytes)
}

func segmentPaths(_ disk: SimulatedDisk) -> [RawPath] {
    disk.files(under: indexFolder).map(\.path).filter { $0.description.hasSuffix(".segment") }
}
