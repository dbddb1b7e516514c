import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

@Suite("Listing a directory")
struct ListingTests {
    @Test("gives names of any bytes in byte order, without dots")
    func order() throws {
        let folder = try TestFolder()
        let names: [RawPath] = [
            RawPath(bytes: [0xff]), RawPath(bytes: [0x80, 0x0a]), RawPath(bytes: [1]), "a", "a b", "ab", "b", "...", ".x", "B",
            RawPath(bytes: Array(repeating: 0x7a, count: 255)), "line\nbreak", "abcdefgh", "abcdefghi", "abcdefgh0", "é",
        ]
        for name in names { folder.write(name) }
        #expect(try folder.names() == names.sorted())
    }

    @Test("gives types and inodes as hints")
    func hints() throws {
        let folder = try TestFolder()
        folder.write("file")
        folder.makeDirectory("folder")
        folder.link("link", to: "nowhere")
        #expect(folder.makeNode("pipe", mode: linux_S_IFIFO | 0o600) == 0)
        let listing = SortedListing(scratch: ListingScratch(), spillFolder: folder.path)
        try listing.read(folder.handle)
        let expected: [EntryType] = [.file, .directory, .symlink, .fifo]
        for type in expected {
            let entry = try #require(try listing.next())
            #expect(entry.typeHint == nil || entry.typeHint == type)
            #expect(entry.inodeHint == (try folder.handle.status(of: entry.name)).inode)
        }
        #expect(try listing.next() == nil)
    }

    @Test("one listing serves many directories, large and small, in turn")
    func reuse() throws {
        let folder = try TestFolder()
        let listing = SortedListing(scratch: ListingScratch(bytes: 4096), spillFolder: folder.path)
        for count in [0, 5_000, 1, 300, 0] {
            let name = RawPath("d\(count)")
            if try name.withBytes({ n throws(HostFilesError) in try folder.handle.statusIfPresent(of: n) }) == nil {
                folder.makeDirectory(name)
                for index in 0..<count { folder.write(name.appending("f\(index)")) }
            }
            let child = try name.withBytes { n throws(HostFilesError) in try folder.handle.openDirectory(n) }
            try listing.read(child)
            var found = 0
            while try listing.next() != nil { found += 1 }
            #expect(found == count)
        }
    }

    @Test("a folder far larger than the budget is listed by way of a temporary file that leaves no trace", arguments: [100_000])
    func spill(standard: Int) throws {
        let count = getenv("BAKARE_TEST_LARGE") == nil ? standard : 1_000_000
        let folder = try TestFolder()
        folder.makeDirectory("large")
        let large = try RawPath("large").withBytes { n throws(HostFilesError) in try folder.handle.openDirectory(n) }
        for index in 0..<count {
            // A bijection of the index, so that names come in no order, and some lengths differ.
            let number = UInt32(truncatingIfNeeded: index) &* 2_654_435_761
            folder.write(RawPath("large/some-common-beginning-\(number)"))
        }
        let listing = SortedListing(
            scratch: ListingScratch(), budgetBytes: count > 200_000 ? 2 << 20 : 256 << 10, spillFolder: folder.path)
        try listing.read(large)
        #expect(listing.countHint < count)
        var found = 0
        var ordered = true
        var last: [UInt8] = []
        while let entry = try listing.next() {
            found += 1
            if found % 7 == 0 {
                ordered = ordered && last.lexicographicallyPrecedes(entry.name)
                last = Array(entry.name)
            }
        }
        #expect(found == count)
        #expect(ordered)
        #expect(try folder.names() == ["large"])
    }

    @Test("sorting agrees with the standard library on random names, and merging on random budgets")
    func random() throws {
        let folder = try TestFolder()
        var names: Set<RawPath> = []
        var generator = SystemRandomNumberGenerator()
        while names.count < 4_000 {
            let length = Int.random(in: 1...20, using: &generator)
            let bytes = (0..<length).map { _ in [0x61, 0x62, 0x01, 0xfe].randomElement(using: &generator) ?? 0x61 }
            names.insert(RawPath(bytes: bytes.map { UInt8($0) }))
        }
        for name in names { folder.write(name) }
        let sorted = names.sorted()
        #expect(try folder.names() == sorted)
        #expect(try folder.names(budgetBytes: 64 << 10) == sorted)
    }
}
