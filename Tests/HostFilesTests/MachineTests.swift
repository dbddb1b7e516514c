import HostFiles
import Testing

@Suite("Owners and the machine")
struct MachineTests {
    @Test("names of users and groups, and back; none for numbers that nobody has")
    func owners() {
        var names = OwnerNames()
        for _ in 0..<2 {
            #expect(names.userName(0) == Array("root".utf8))
            #expect(names.groupName(0) == Array("root".utf8))
            #expect(names.userNumber(Array("root".utf8)) == 0)
            #expect(names.groupNumber(Array("root".utf8)) == 0)
            #expect(names.userName(4_000_000_123).isEmpty)
            #expect(names.groupName(4_000_000_123).isEmpty)
            #expect(names.userNumber([0xff, 0xfe]) == nil)
            #expect(names.groupNumber([1, 0, 2]) == nil)
        }
    }

    @Test("tells free space, memory, and raises the limit on open files")
    func figures() throws {
        let space = try FreeSpace(at: "/")
        #expect(space.totalBytes > 0 && space.availableBytes <= space.freeBytes && space.freeBytes <= space.totalBytes)
        #expect(ProcessFigures.memoryBytesPeak() >= 1 << 20)
        #expect(ProcessFigures.memoryBytes() >= 1 << 20)
        #expect(ProcessFigures.raiseOpenFiles() >= 256)
    }
}
