import Archive
import BackupFormat
import Testing

@Suite("How memory is handed out")
struct MemoryPlanTests {
    @Test(
        "a restore has a thread at least, and its threads and the walk stay within the limit",
        arguments: [64, 96, 128, 256, 1024])
    func restoreWorkers(mebibytes: Int) {
        for processors in [1, 2, 8, 64] {
            let plan = MemoryPlan(memoryBytes: mebibytes << 20, processors: processors)
            #expect(plan.restoreWorkers >= 1 && plan.restoreWorkers <= max(2, 2 * processors))
            // Four buffers of a largest chunk a worker; the walk has as much.
            let needed = (plan.restoreWorkers + 1) * 4 * Limits.chunkBytesMax + plan.indexBytes + plan.listingBytes
            #expect(needed <= mebibytes << 20)
        }
    }
}
