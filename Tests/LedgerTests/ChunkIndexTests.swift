import BackupFormat
import HostFiles
import Ledger
import TestSupport
import Testing

struct ChunkIndexTests {
    @Test("a chunk is reserved once, pending for others, and stored when its pack is added")
    func reserves() throws {
        let index = try openIndex(SimulatedDisk())
        var random = Choices(seed: 1)
        let id = ChunkID(random.bytes32())
        #expect(try index.lookup(id) == nil)
        #expect(try index.reserve(id) == .store)
        #expect(try index.reserve(id) == .pending)
        #expect(try index.lookup(id) == nil)
        index.release([id])
        #expect(try index.reserve(id) == .store)
        var truth = Truth()
        let pack = truth.makePack(&random, chunksMax: 5, ids: [id])
        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        let location = try #require(try index.lookup(id))
        #expect(try index.reserve(id) == .stored(location))
        #expect(location.pack == pack && index.packNumber(of: pack) == location.packNumber)
        #expect(index.statistics.reservations == 0)
        index.markGone(packs: [pack])
        #expect(try index.lookup(id) == nil)
        #expect(try index.reserve(id) == .store)
        #expect(try truth.fault(index, []) == nil)
    }

    @Test("what only a doubted pack holds is found by readers, and stored again by backups", arguments: [false, true])
    func doubted(_ isFlushed: Bool) throws {
        let index = try openIndex(SimulatedDisk())
        var random = Choices(seed: 4)
        var truth = Truth()
        let id = ChunkID(random.bytes32())
        let pack = truth.makePack(&random, chunksMax: 5, ids: [id])
        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        if isFlushed { try index.flush() }
        index.doubt([pack])
        #expect(try index.lookup(id)?.pack == pack && index.lookup(id, reliably: true) == nil)
        #expect(index.isCovered(pack) && !index.isReliable(pack))
        // Its footer is read anew: that makes it no better.
        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        #expect(try index.reserve(id) == .store)
        #expect(try index.reserve(id) == .pending)
        let second = truth.makePack(&random, chunksMax: 5, ids: [id])
        try index.add(pack: second, entries: truth.packs[second] ?? [])
        if isFlushed { try index.flush() }
        #expect(try index.lookup(id)?.pack == second && index.lookup(id, reliably: true)?.pack == second)
        #expect(try Set(index.allLocations(of: id).map(\.pack)) == [pack, second])
        let kept = try #require(try index.lookup(id, reliably: true))
        #expect(try index.reserve(id) == .stored(kept))
        index.doubt([])
        #expect(index.isReliable(pack) && index.isReliable(second))
    }

    @Test("reservations survive a flush")
    func reservationsSurvive() throws {
        let index = try openIndex(SimulatedDisk())
        var random = Choices(seed: 2)
        var truth = Truth()
        let ids = (0..<100).map { _ in ChunkID(random.bytes32()) }
        for id in ids { #expect(try index.reserve(id) == .store) }
        let pack = truth.makePack(&random, chunksMax: 50)
        try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        try index.flush()
        for id in ids { #expect(try index.reserve(id) == .pending) }
        index.release(ids)
        for id in ids { #expect(try index.reserve(id) == .store) }
    }

    @Test("what was flushed is there after opening again; what was not counts as not covered")
    func reopens() throws {
        let disk = SimulatedDisk()
        var random = Choices(seed: 3)
        var truth = Truth()
        let index = try openIndex(disk)
        let flushed = (0..<30).map { _ in truth.makePack(&random, chunksMax: 20) } + [truth.makePack(&random, chunksMax: 0)]
        for pack in flushed { try index.add(pack: pack, entries: truth.packs[pack] ?? []) }
        try index.flush()
        let unflushed = truth.makePack(&random, chunksMax: 20)
        try index.add(pack: unflushed, entries: truth.packs[unflushed] ?? [])
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)

        let again = try openIndex(disk)
        #expect(again.statistics.segments == 1)
        #expect(again.synchronise(present: truth.packs.keys.sorted()) == [unflushed])
        #expect(try truth.fault(again, Set(flushed)) == nil)
        #expect(flushed.allSatisfy { again.isCovered($0) } && !again.isCovered(unflushed))
        #expect(again.synchronise(present: [flushed[0]]).isEmpty)
        #expect(try truth.fault(again, [flushed[0]]) == nil)
    }

    @Test("a pack of no chunks is covered, before and after merging")
    func emptyPacks() throws {
        let disk = SimulatedDisk()
        var random = Choices(seed: 4)
        var truth = Truth()
        let index = try openIndex(disk)
        for _ in 0..<20 {
            try index.add(pack: truth.makePack(&random, chunksMax: 0), entries: [])
            try index.flush()
        }
        #expect(index.statistics.segments <= ChunkIndex.segmentsMax)
        #expect(try openIndex(disk).synchronise(present: truth.packs.keys.sorted()).isEmpty)
    }

    @Test("merging drops the entries of packs that are gone, and they are asked for when they come back")
    func mergingDrops() throws {
        let disk = SimulatedDisk()
        var random = Choices(seed: 5)
        var truth = Truth()
        let index = try openIndex(disk)
        var packs: [PackID] = []
        for _ in 0..<ChunkIndex.segmentsMax {
            packs.append(truth.makePack(&random, chunksMax: 0, ids: (0..<10).map { _ in ChunkID(random.bytes32()) }))
            try index.add(pack: packs[packs.count - 1], entries: truth.packs[packs[packs.count - 1]] ?? [])
            try index.flush()
        }
        index.markGone(packs: packs)
        let last = truth.makePack(&random, chunksMax: 20)
        try index.add(pack: last, entries: truth.packs[last] ?? [])
        try index.flush()
        #expect(try truth.fault(index, [last]) == nil)
        #expect(index.statistics.segments == 1)
        #expect(Set(try truth.synchronise(index, Set(truth.packs.keys))) == Set(packs))
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
    }

    @Test("ids that are not random are found too", arguments: [0, 1, 2, 3])
    func skewedIDs(word: Int) throws {
        let disk = SimulatedDisk()
        var random = Choices(seed: 6)
        var truth = Truth()
        let index = try openIndex(disk)
        for pack in 0..<20 {
            let ids = (0..<100).map { number -> ChunkID in
                var words: [UInt64] = [0, 0, 0, 0]
                words[word] = UInt64(pack % 10 * 100 + number)
                return ChunkID(Bytes32(words: (words[0], words[1], words[2], words[3])))
            }
            let pack = truth.makePack(&random, chunksMax: 0, ids: ids)
            try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        }
        try index.flush()
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
        #expect(try truth.fault(openIndex(disk), Set(truth.packs.keys)) == nil)
    }

    @Test("a chunk that hundreds of packs hold is found in each")
    func manyCopies() throws {
        let disk = SimulatedDisk()
        var random = Choices(seed: 7)
        var truth = Truth()
        let index = try openIndex(disk)
        let id = ChunkID(random.bytes32())
        for _ in 0..<400 {
            let pack = truth.makePack(&random, chunksMax: 3, ids: [id])
            try index.add(pack: pack, entries: truth.packs[pack] ?? [])
        }
        try index.flush()
        #expect(try index.allLocations(of: id).count == 400)
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
    }

    @Test("the layout of a segment is as documented")
    func layout() throws {
        let layout = SegmentLayout(entryCount: 86, packCount: 3, bloomBlockCount: 4)
        #expect(layout.blockCount == 2 && layout.packsOffset == 8192 && layout.bloomOffset == 8288)
        #expect(layout.fencesOffset == 8416 && layout.trailerOffset == 8432 && layout.contentBytes == 8480)
        #expect(layout.entries(inBlock: 0) == 85 && layout.entries(inBlock: 1) == 1)
        let decoded = try layout.trailer.withUnsafeBytes { try SegmentLayout(trailer: $0, contentBytes: 8480) }
        #expect(decoded == layout)
        // Bytes 12 to 15 mean nothing, and 87 entries fill as many blocks as 86.
        for position in layout.trailer.indices where !(12...16).contains(position) {
            var trailer = layout.trailer
            trailer[position] ^= 1
            #expect(throws: FormatError.self) {
                try trailer.withUnsafeBytes { try SegmentLayout(trailer: $0, contentBytes: 8480) }
            }
        }
    }

    @Test("the checksum of a block changes with each of its bits")
    func checksum() {
        var random = Choices(seed: 8)
        var block = (0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let right = block.withUnsafeBytes { blockChecksum($0) }
        for position in 0..<4088 {
            for bit in 0..<8 {
                block[position] ^= 1 << UInt8(bit)
                #expect(block.withUnsafeBytes { blockChecksum($0) } != right)
                block[position] ^= 1 << UInt8(bit)
            }
        }
    }
}
