import BackupFormat
import Glibc
import HostFiles
import Ledger
import TestSupport
import Testing

/// Measures an index of random chunks on the real disk: `BAKARE_BENCHMARK_CHUNKS=5000000 swift test -c release --filter ChunkIndexBenchmark`.
struct ChunkIndexBenchmark {
    static var chunks: Int? { getenv("BAKARE_BENCHMARK_CHUNKS").flatMap { Int(String(cString: $0)) } }

    @Test("how fast rows are added and found", .enabled(if: chunks != nil))
    func speed() throws {
        let chunks = ChunkIndexBenchmark.chunks ?? 0
        let perPack = 16
        let disk = RealDisk()
        let folder = RawPath("/tmp/bakare-benchmark-" + "\(getpid())")
        defer { for name in (try? disk.list(folder)) ?? [] { try? disk.unlink(folder.appending(name)) } }
        var index = try ChunkIndex.open(disk: disk, directory: folder, memoryBytes: 16 << 20)
        var random = Choices(seed: 1)
        print("at the start: memory \(memory())")
        var slowest = Duration.zero
        let additions = try measure {
            for _ in 0..<chunks / perPack {
                let pack = PackID(random.bytes32())
                let entries = (0..<perPack).map { number in
                    PackEntry(id: ChunkID(random.bytes32()), offset: UInt32(number), sealedBytes: 9, plainBytes: 9)
                }
                for entry in entries { _ = try index.reserve(entry.id) }
                let time = try ContinuousClock().measure { try index.add(pack: pack, entries: entries) }
                slowest = max(slowest, time)
            }
            try index.flush()
        }
        print("\(chunks) chunks reserved and added: \(additions), \(additions / chunks) each, of processor time")
        print("slowest add, of real time: \(slowest)")
        print("\(index.statistics), memory \(memory())")
        index = try ChunkIndex.open(disk: disk, directory: folder, memoryBytes: 16 << 20)
        let opening = try measure {
            index = try ChunkIndex.open(disk: disk, directory: folder, memoryBytes: 16 << 20)
        }
        print("opened again: \(opening)")
        let lookups = 200_000
        let misses = try measure {
            for _ in 0..<lookups { if try index.lookup(ChunkID(random.bytes32())) != nil { Issue.record("found") } }
        }
        print("a miss: \(misses / lookups)")
        var ids: [ChunkID] = []
        random = Choices(seed: 1)
        let step = max(1, chunks / perPack / lookups)
        for pack in 0..<chunks / perPack {
            _ = random.bytes32()
            for number in 0..<perPack {
                let id = ChunkID(random.bytes32())
                if pack % step == 0 && number == 0 { ids.append(id) }
            }
        }
        let hits = try measure {
            for id in ids { if try index.lookup(id) == nil { Issue.record("missing") } }
        }
        print("a hit: \(hits / ids.count); memory \(memory())")
    }

    /// Processor time, so that a busy machine does not distort it.
    private func measure(_ body: () throws -> Void) rethrows -> Duration {
        let start = clock()
        try body()
        return .microseconds(clock() - start)
    }

    /// Resident memory now and at most so far.
    private func memory() -> String {
        guard let file = fopen("/proc/self/status", "r") else { return "?" }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = fread(&buffer, 1, buffer.count, file)
        let lines = String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n")
        return lines.filter { $0.hasPrefix("VmRSS") || $0.hasPrefix("VmHWM") }.joined(separator: ", ")
    }
}
