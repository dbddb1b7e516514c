import BackupFormat
import HostFiles
import Ledger
import TestSupport
import Testing

struct MemoStoreTests {
    private let folder: RawPath = "/home/ledger/memo"

    @Test("keeps the last value put under each key")
    func keeps() throws {
        let disk = SimulatedDisk()
        let store = try MemoStore(disk: disk, directory: folder)
        var random = Choices(seed: 1)
        let keys = (0..<3).map { _ in random.bytes32() }
        #expect(try store.get(key: keys[0]) == nil)
        var values: [[UInt8]] = []
        for (number, size) in [0, 5000, MemoStore.valueBytesMax].enumerated() {
            try store.put(key: keys[number], value: [1])
            values.append((0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            try store.put(key: keys[number], value: values[number])
        }
        for (key, value) in zip(keys, values) {
            #expect(try MemoStore(disk: disk, directory: folder).get(key: key) == value)
        }
        #expect(disk.files(under: folder).count == 3)
        try store.remove(key: keys[1])
        try store.remove(key: keys[1])
        #expect(try store.get(key: keys[1]) == nil)
        let error = #expect(throws: LedgerError.self) {
            try store.put(key: keys[0], value: [UInt8](repeating: 0, count: MemoStore.valueBytesMax + 1))
        }
        #expect(error?.code == .tooLarge)
    }

    @Test("a damaged value is rebuilt, or else reads as nil; never as something else")
    func damaged() throws {
        var random = Choices(seed: 2)
        for size in [100, 20_000] {
            let disk = SimulatedDisk()
            let store = try MemoStore(disk: disk, directory: folder)
            let key = random.bytes32()
            let value = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            try store.put(key: key, value: value)
            let path = try #require(disk.files(under: folder).first?.path)
            let right = try #require(disk.files(under: folder).first?.bytes)
            for _ in 0..<50 {
                let position = random.below(right.count)
                disk.damage(path) { $0[position] ^= UInt8(1 + random.below(255)) }
                #expect(try store.get(key: key) == value)
                disk.damage(path) { $0 = right }
            }
            for _ in 0..<50 {
                let count = random.below(right.count)
                disk.damage(path) { $0 = Array($0.prefix(count)) }
                let found = try store.get(key: key)
                #expect(found == nil || found == value)
                disk.damage(path) { $0 = right }
            }
            disk.damage(path) { $0 = [UInt8](repeating: 0, count: $0.count) }
            #expect(try store.get(key: key) == nil)
            try store.put(key: key, value: value)
            #expect(try store.get(key: key) == value)
        }
    }

    @Test("a value of another key is not taken for this one's")
    func otherKey() throws {
        let disk = SimulatedDisk()
        let store = try MemoStore(disk: disk, directory: folder)
        var random = Choices(seed: 3)
        let (one, other) = (random.bytes32(), random.bytes32())
        try store.put(key: one, value: [1, 2, 3])
        try disk.rename(folder.appending(one.hex + ".memo"), to: folder.appending(other.hex + ".memo"))
        #expect(try store.get(key: other) == nil)
    }

    @Test("after a power cut at any operation the old value or the new one is there")
    func crashes() throws {
        let key = Bytes32(words: (1, 2, 3, 4))
        for operation in 0..<40 {
            let disk = SimulatedDisk()
            let store = try MemoStore(disk: disk, directory: folder)
            try store.put(key: key, value: [1])
            disk.faults.crashAtOperation = disk.operations + operation
            let isDone = (try? store.put(key: key, value: [2])) != nil
            disk.restart(seed: UInt64(operation))
            disk.faults = SimulatedDisk.Faults()
            let value = try MemoStore(disk: disk, directory: folder).get(key: key)
            #expect(value == [2] || !isDone && value == [1])
        }
    }
}
