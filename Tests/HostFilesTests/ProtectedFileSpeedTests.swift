import BackupFormat
import HostFiles
import Testing

/// Ratios, not seconds: protecting a pack must cost little beside copying it.
@Suite("Protected file speed") struct ProtectedFileSpeedTests {
    /// Takes writes and forgets them.
    private final class Nowhere: DiskFile {
        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int { 0 }
        func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {}
        func truncate(to size: Int) throws(HostFilesError) {}
        func sync() throws(HostFilesError) {}
        func size() throws(HostFilesError) -> Int { 0 }
        func close() {}
    }

    @Test("protecting a pack costs less than ten copies of it")
    func encoding() throws {
        let bytes = 16 << 20
        let pack = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 4096)
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 4096)
        defer {
            pack.deallocate()
            copy.deallocate()
        }
        for index in pack.indices { pack[index] = UInt8(truncatingIfNeeded: index &* 131 >> 3) }
        let encoder = ProtectedFileEncoder()
        let clock = ContinuousClock()
        var best = Duration.seconds(1)
        var bestCopy = Duration.seconds(1)
        for _ in 0..<10 {
            best = min(best, try clock.measure { try encoder.write(UnsafeRawBufferPointer(pack), to: Nowhere()) })
            bestCopy = min(bestCopy, clock.measure { copy.copyMemory(from: UnsafeRawBufferPointer(pack)) })
        }
        print("protect 16 MiB: \(best), copy: \(bestCopy)")
        #expect(best < bestCopy * 10)
    }
}
