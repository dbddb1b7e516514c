import BackupFormat
import Dispatch
import HostFiles
import Ledger
import Synchronization
import TestSupport
import Testing

struct ChunkIndexThreadTests {
    @Test("of many threads that reserve the same chunks, exactly one stores each, while tables are flushed and merged")
    func reserveOnce() throws {
        let index = try openIndex(SimulatedDisk())
        var random = Choices(seed: 1)
        let ids = (0..<20_000).map { _ in ChunkID(random.bytes32()) }
        let stores = Mutex([Int](repeating: 0, count: ids.count))
        let failures = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            do {
                var random = Choices(seed: UInt64(100 + thread))
                var mine: [PackEntry] = []
                for (number, id) in ids.enumerated() {
                    switch try index.reserve(id) {
                    case .store:
                        stores.withLock { $0[number] += 1 }
                        mine.append(PackEntry(id: id, offset: UInt32(number), sealedBytes: 1, plainBytes: 1))
                    case .pending: break
                    case .stored(let location):
                        if location.offset != UInt32(number) { failures.withLock { $0.append("chunk \(number) is elsewhere") } }
                    }
                    if mine.count == 16 {
                        try index.add(pack: PackID(random.bytes32()), entries: mine)
                        mine = []
                    }
                    if number % 4000 == 3999 && thread == 0 { try index.flush() }
                }
                try index.add(pack: PackID(random.bytes32()), entries: mine)
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        #expect(failures.withLock { $0 } == [])
        #expect(stores.withLock { $0.allSatisfy { $0 == 1 } })
        for (number, id) in ids.enumerated() { #expect(try index.lookup(id)?.offset == UInt32(number)) }
        #expect(index.statistics.reservations == 0)
    }

    @Test("several indexes of one folder flush and merge at once, and nothing they flushed is lost")
    func mergesAtOnce() throws {
        let disk = SimulatedDisk()
        disk.now = 2_000_000_000_000
        let failures = Mutex<[String]>([])
        let truths = Mutex<[PackID: [PackEntry]]>([:])
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            do {
                let index = try openIndex(disk)
                var random = Choices(seed: UInt64(thread))
                var truth = Truth()
                for _ in 0..<40 {
                    let pack = truth.makePack(&random, chunksMax: 30)
                    try index.add(pack: pack, entries: truth.packs[pack] ?? [])
                    try index.flush()
                    if let fault = try truth.fault(index, Set(truth.packs.keys)) { failures.withLock { $0.append(fault) } }
                }
                truths.withLock { $0.merge(truth.packs) { old, _ in old } }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        #expect(failures.withLock { $0 } == [])
        let truth = Truth(packs: truths.withLock { $0 })
        let index = try openIndex(disk)
        #expect(index.synchronise(present: truth.packs.keys.sorted()).isEmpty)
        #expect(try truth.fault(index, Set(truth.packs.keys)) == nil)
    }
}
