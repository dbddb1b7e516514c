import BackupFormat
import HostFiles
import Ledger
import TestSupport
import Testing

struct ChunkIndexDamageTests {
    /// A disk with an index of several segments, all of whose packs are flushed.
    private func prepared(_ random: inout Choices, segments: Int = 3, packs: Int = 40) throws -> (SimulatedDisk, Truth) {
        let disk = SimulatedDisk()
        var truth = Truth()
        let index = try openIndex(disk, memoryBytes: 8 << 20)
        for _ in 0..<segments {
            for _ in 0..<packs {
                let pack = truth.makePack(&random, chunksMax: 30)
                try index.add(pack: pack, entries: truth.packs[pack] ?? [])
            }
            try index.flush()
        }
        return (disk, truth)
    }

    @Test("a flipped byte anywhere in a segment changes nothing, and is mended")
    func flippedByte() throws {
        var random = Choices(seed: 1)
        let (disk, truth) = try prepared(&random, segments: 1)
        let path = try #require(segmentPaths(disk).first)
        let right = try #require(disk.files(under: indexFolder).first?.bytes)
        for _ in 0..<150 {
            let position = random.below(right.count)
            disk.damage(path) { $0[position] ^= UInt8(1 + random.below(255)) }
            let index = try openIndex(disk)
            #expect(index.synchronise(present: truth.packs.keys.sorted()).isEmpty)
            let fault = try truth.fault(index, Set(truth.packs.keys))
            try #require(fault == nil, "byte \(position): \(fault ?? "")")
            disk.damage(path) { $0 = right }
        }
        // Damage that a lookup meets is mended on the disk.
        disk.damage(path) { $0[4096 + 700] ^= 1 }
        #expect(try truth.fault(openIndex(disk), Set(truth.packs.keys)) == nil)
        #expect(disk.files(under: indexFolder).first?.bytes == right)
    }

    @Test("a byte that flips while a segment is open changes nothing")
    func flippedWhileOpen() throws {
        var random = Choices(seed: 2)
        let (disk, truth) = try prepared(&random, segments: 1)
        let path = try #require(segmentPaths(disk).first)
        let right = try #require(disk.files(under: indexFolder).first?.bytes)
        let index = try openIndex(disk)
        for _ in 0..<100 {
            let position = random.below(right.count)
            disk.damage(path) { $0[position] ^= UInt8(1 + random.below(255)) }
            let fault = try truth.fault(index, Set(truth.packs.keys))
            try #require(fault == nil, "byte \(position): \(fault ?? "")")
            disk.damage(path) { $0 = right }
        }
    }

    @Test("segments that are truncated, wiped, overwritten or deleted cost only the reading of footers", arguments: 0..<6)
    func beyondRepair(kind: Int) throws {
        var random = Choices(seed: UInt64(10 + kind))
        for _ in 0..<6 {
            let (disk, truth) = try prepared(&random)
            let whileOpen = try openIndex(disk)
            let paths = segmentPaths(disk)
            let victim = paths[random.below(paths.count)]
            switch kind {
            case 0: disk.damage(victim) { $0 = Array($0.prefix(random.below($0.count))) }
            case 1: disk.damage(victim) { $0 = [UInt8](repeating: 0, count: $0.count) }
            case 2: disk.damage(victim) { for index in $0.indices { $0[index] = UInt8(truncatingIfNeeded: random.next()) } }
            case 3: try disk.unlink(victim)
            case 4: disk.damage(victim) { for index in $0.indices.dropFirst(4096).prefix(40_000) { $0[index] ^= 0x55 } }
            default: disk.damage(victim) { $0 += [1, 2, 3] }
            }
            // What the open index still says is true, whatever it lost.
            #expect(try truth.fault(whileOpen, Set(truth.packs.keys), isComplete: false) == nil)
            let index = try openIndex(disk)
            try truth.synchronise(index, Set(truth.packs.keys))
            _ = try truth.fault(index, Set(truth.packs.keys), isComplete: false)
            try truth.synchronise(index, Set(truth.packs.keys))
            #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
            try index.flush()
            let again = try openIndex(disk)
            #expect(try truth.synchronise(again, Set(truth.packs.keys)).isEmpty)
            #expect(try truth.fault(again, Set(truth.packs.keys)) == nil)
        }
    }

    @Test("a damaged segment does not stop a merge")
    func damagedMerge() throws {
        var random = Choices(seed: 3)
        var (disk, truth) = try prepared(&random, segments: ChunkIndex.segmentsMax, packs: 20)
        let index = try openIndex(disk)
        for path in segmentPaths(disk).prefix(3) {
            disk.damage(path) { for index in $0.indices.dropFirst(4096).prefix(30_000) { $0[index] ^= 0x55 } }
        }
        let pack = truth.makePack(&random, chunksMax: 30)
        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        try index.flush()
        #expect(try truth.fault(index, Set(truth.packs.keys), isComplete: false) == nil)
        #expect(index.statistics.damagedSegments == 3)
        try truth.synchronise(index, Set(truth.packs.keys))
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
    }

    @Test("a segment of a newer version is left alone")
    func newerVersion() throws {
        let disk = SimulatedDisk()
        _ = try openIndex(disk)
        var trailer = SegmentLayout(entryCount: 0, packCount: 0, bloomBlockCount: 1).trailer
        trailer[8] = 2
        try ProtectedFile.write([UInt8](repeating: 0, count: 32) + trailer, disk, indexFolder.appending("a.segment"))
        #expect(try openIndex(disk).statistics == ChunkIndex.Statistics())
        #expect(segmentPaths(disk).count == 1)
    }

    @Test("power may go at any operation: what is found afterwards is true, and complete once synchronised")
    func crashes() throws {
        for operation in stride(from: 0, to: 400, by: 3) {
            var random = Choices(seed: 5)
            let disk = SimulatedDisk()
            disk.faults.crashAtOperation = operation
            var truth = Truth()
            var flushed: Set<PackID> = []
            do {
                let index = try openIndex(disk)
                for _ in 0..<14 {
                    for _ in 0..<5 {
                        let pack = truth.makePack(&random, chunksMax: 30)
                        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
                    }
                    try index.flush()
                    flushed = Set(truth.packs.keys)
                }
            } catch { #expect(error is LedgerError) }
            disk.restart(seed: UInt64(operation))
            disk.faults = SimulatedDisk.Faults()
            disk.now = 2_000_000_000_000
            let index = try openIndex(disk)
            let uncovered = Set(try truth.synchronise(index, Set(truth.packs.keys)))
            #expect(uncovered.isDisjoint(with: flushed), "operation \(operation)")
            #expect(try truth.fault(index, Set(truth.packs.keys)) == nil, "operation \(operation)")
        }
    }

    @Test("a full disk fails the flush; rows stay known, and are written when there is room")
    func fullDisk() throws {
        var random = Choices(seed: 6)
        let disk = SimulatedDisk()
        var truth = Truth()
        let index = try openIndex(disk)
        let first = truth.makePack(&random, chunksMax: 30)
        try index.add(pack: first, entries: truth.packs[first] ?? [])
        disk.faults.fullFromOperation = disk.operations
        let error = #expect(throws: LedgerError.self) { try index.flush() }
        #expect(error?.cause?.code == .noSpace)
        let second = truth.makePack(&random, chunksMax: 30)
        try index.add(pack: second, entries: truth.packs[second] ?? [])
        #expect(try truth.fault(index, [first, second]) == nil)
        disk.faults.fullFromOperation = nil
        try index.flush()
        #expect(try truth.fault(openIndex(disk), [first, second]) == nil)
        #expect(disk.files(under: indexFolder).count == 2)
    }
}
