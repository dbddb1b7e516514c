import BackupFormat
import HostFiles
import Ledger
import TestSupport
import Testing

struct ChunkIndexModelTests {
    @Test("agrees with a model through random additions, flushes, merges, losses and openings", arguments: 0..<12)
    func agrees(seed: Int) throws {
        var random = Choices(seed: UInt64(seed))
        let disk = SimulatedDisk()
        var truth = Truth()
        var index = try openIndex(disk)
        var visible: Set<PackID> = []
        var reserved: Set<ChunkID> = []
        for step in 0..<400 {
            switch random.below(20) {
            case 0..<8:
                let fulfilled = reserved.sorted().prefix(random.below(3))
                let pack = truth.makePack(&random, chunksMax: 40, ids: Array(fulfilled))
                try index.add(pack: pack, entries: truth.packs[pack] ?? [])
                visible.insert(pack)
                for entry in truth.packs[pack] ?? [] { reserved.remove(entry.id) }
            case 8..<11:
                let id = ChunkID(random.bytes32())
                #expect(try index.reserve(id) == .store)
                reserved.insert(id)
            case 11:
                if let id = reserved.sorted().first {
                    index.release([id])
                    reserved.remove(id)
                }
            case 12..<16: try index.flush()
            case 16:
                let gone = visible.sorted().prefix(random.below(3))
                index.markGone(packs: gone)
                visible.subtract(gone)
            case 17:
                // Packs vanish from the vault, and some that had vanished come back.
                try index.reload()
                let all = truth.packs.keys.sorted()
                let present = Set(all.filter { visible.contains($0) ? random.below(20) > 0 : random.below(5) == 0 })
                try truth.synchronise(index, present)
                visible = present
            case 18 where random.below(2) == 0:
                try index.flush()
                index = try openIndex(disk)
                reserved = []
                let uncovered = try truth.synchronise(index, visible)
                #expect(uncovered.isEmpty)
            case 18:
                index = try openIndex(disk)
                reserved = []
                try truth.synchronise(index, visible)
            default:
                for id in reserved { #expect(try index.reserve(id) == .pending) }
            }
            #expect(index.statistics.reservations == reserved.count)
            if step % 20 == 0 {
                let fault = try truth.fault(index, visible)
                try #require(fault == nil, "step \(step): \(fault ?? "")")
            }
        }
        try index.flush()
        #expect(index.statistics.segments <= ChunkIndex.segmentsMax)
        #expect(try truth.fault(index, visible) == nil)
    }

    @Test("two indexes on one folder never claim too much, and know everything once they synchronise", arguments: 0..<8)
    func shares(seed: Int) throws {
        var random = Choices(seed: UInt64(1000 + seed))
        let disk = SimulatedDisk()
        var truth = Truth()
        let indexes = [try openIndex(disk), try openIndex(disk)]
        var known: [Set<PackID>] = [[], []]
        var gone: [Set<PackID>] = [[], []]
        var present: Set<PackID> = []
        for step in 0..<500 {
            let who = random.below(2)
            let index = indexes[who]
            switch random.below(10) {
            case 0..<4:
                let pack = truth.makePack(&random, chunksMax: 30)
                present.insert(pack)
                known[who].insert(pack)
                try index.add(pack: pack, entries: truth.packs[pack] ?? [])
            case 4..<7: try index.flush()
            case 7:
                for pack in present where random.below(30) == 0 { present.remove(pack) }
            case 8:
                try index.reload()
                try truth.synchronise(index, present)
                gone[who].formUnion(known[who].subtracting(present))
                known[who] = present
                let fault = try truth.fault(index, present)
                try #require(fault == nil, "step \(step): \(fault ?? "")")
            default:
                // What it says was true once, and it says nothing of packs that it was told are gone.
                let fault = try truth.fault(index, Set(truth.packs.keys).subtracting(gone[who]), isComplete: false)
                try #require(fault == nil, "step \(step): \(fault ?? "")")
            }
        }
        for index in indexes {
            try index.reload()
            try truth.synchronise(index, present)
            try index.flush()
            #expect(try truth.fault(index, present) == nil)
        }
        let last = try openIndex(disk)
        #expect(try truth.synchronise(last, present).isEmpty)
        #expect(try truth.fault(last, present) == nil)
    }
}
