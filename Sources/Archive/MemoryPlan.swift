internal import BackupFormat

/// How the one byte budget of the process is handed out. Everything that could grow has its share here.
package struct MemoryPlan: Sendable, Equatable {
    /// Threads that read, hash, compress and seal.
    package var workers: Int
    /// Threads that read chunks, open them and write files: more than processors, as each waits for the disk at times.
    package var restoreWorkers: Int
    /// Capacity of a pack under construction.
    package var packBytes: Int
    /// Packs under construction or on their way to the disk: one a worker, one for trees, and the spare ones.
    package var packBuffers: Int
    /// Buffers of one largest chunk each, between reading and sealing.
    package var chunkBuffers: Int
    /// Names of one folder kept in memory; larger folders are sorted by way of a file.
    package var listingBytes: Int
    /// The chunk index's table of new entries.
    package var indexBytes: Int

    /// The smallest `memory` that works.
    package static let memoryBytesMin = 64 << 20
    /// The program itself, the runtime, stacks, and what the allocator leaves unused.
    private static let baseBytes = 28 << 20

    /// What a worker of a restore holds: a chunk sealed, opened, decompressed, and as it is in the target already.
    private static let restoreWorkerBytes = 4 * Limits.chunkBytesMax + (1 << 20)

    /// Shares out `memoryBytes`, for a machine with `processors`.
    package init(memoryBytes: Int, processors: Int) {
        let chunk = Limits.chunkBytesMax
        let smallestPack = chunk + (512 << 10)
        indexBytes = max(4 << 20, memoryBytes / 12)
        listingBytes = max(2 << 20, memoryBytes / 32)
        let room = memoryBytes - MemoryPlan.baseBytes - indexBytes - listingBytes
        var workers = min(max(processors, 1), 16)
        var pack = Limits.packBytesMax
        func needed(_ workers: Int, _ pack: Int) -> Int {
            workers * (chunk + (3 << 20)) + (workers + 2) * pack + (2 * workers + 1) * chunk
        }
        while needed(workers, pack) > room, workers > 1 || pack > smallestPack {
            if pack / 2 >= max(smallestPack, (4 << 20) + workers * (1 << 20)) {
                pack /= 2
            } else if workers > 1 {
                workers -= 1
            } else {
                pack = smallestPack
            }
        }
        self.workers = workers
        // One share more is the walk's, which reads the trees.
        let restoreShares = room / MemoryPlan.restoreWorkerBytes - 1
        restoreWorkers = max(1, min(2 * max(processors, 1), 16, restoreShares))
        packBytes = pack
        packBuffers = workers + 2
        chunkBuffers = 2 * workers + 1
        var spare = room - needed(workers, pack)
        while spare >= pack + 2 * chunk, packBuffers < 2 * workers + 4 {
            packBuffers += 1
            chunkBuffers += 2
            spare -= pack + 2 * chunk
        }
    }
}
