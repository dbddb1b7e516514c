import BackupFormat
import Testing

/// What a reader of opened snapshots must refuse: see docs/FORMAT.md.
@Suite("Snapshot contents")
struct SnapshotContentsTests {
    private typealias Name = SnapshotContents.OwnerName

    private func contents(_ change: (inout SnapshotContents) -> Void = { _ in }) -> SnapshotContents {
        var contents = SnapshotContents(
            root: .empty, host: "h", time: 1, paths: ["/a"], tags: ["t"], files: 1, directories: 2, bytes: 3, users: [],
            groups: [], problemCount: 0, problems: .empty)
        change(&contents)
        return contents
    }

    private func decode(_ bytes: [UInt8]) throws -> SnapshotContents {
        try bytes.withUnsafeBytes { try SnapshotContents(decoding: $0) }
    }

    private func expectRefused(_ what: String, _ change: (inout SnapshotContents) -> Void) {
        #expect(throws: FormatError.self, "\(what)") { try decode(contents(change).encode()) }
    }

    @Test("reads the most of everything that is allowed")
    func largest() throws {
        let most = contents {
            $0.host = String(repeating: "h", count: Limits.hostBytesMax)
            $0.paths = (0..<Limits.pathsMax).map { RawPath("/\($0)") }
            $0.tags = (0..<Limits.tagsMax).map { "t\($0)" }
            $0.files = UInt64(Int64.max)
            $0.users = (0..<Limits.ownerNamesMax).map { Name(number: UInt32($0) * 65_537, name: [0xff]) }
            $0.problemCount = UInt64(Int64.max)
            $0.root.levels = 4
        }
        #expect(try decode(most.encode()) == most)
    }

    @Test("refuses a host, path, tag or name beyond its limit, or too many of them")
    func limits() {
        expectRefused("host") { $0.host = String(repeating: "h", count: Limits.hostBytesMax + 1) }
        expectRefused("path") { $0.paths = [RawPath(bytes: [UInt8](repeating: 0x2f, count: Limits.pathBytesMax + 1))] }
        expectRefused("paths") { $0.paths = [RawPath](repeating: "/", count: Limits.pathsMax + 1) }
        expectRefused("tag") { $0.tags = [String(repeating: "t", count: Limits.tagBytesMax + 1)] }
        expectRefused("tags") { $0.tags = [String](repeating: "t", count: Limits.tagsMax + 1) }
        expectRefused("name") { $0.users = [Name(number: 1, name: [UInt8](repeating: 1, count: 256))] }
        expectRefused("names") { $0.groups = (0...UInt32(Limits.ownerNamesMax)).map { Name(number: $0, name: []) } }
    }

    @Test("refuses counts above 2^63 - 1, which could not be added up")
    func counts() {
        expectRefused("files") { $0.files = 1 << 63 }
        expectRefused("directories") { $0.directories = 1 << 63 }
        expectRefused("bytes") { $0.bytes = .max }
        expectRefused("problems") { $0.problemCount = .max }
    }

    @Test("refuses users and groups out of order or repeated, and a list of keys too deep")
    func order() {
        expectRefused("order") { $0.users = [Name(number: 2, name: []), Name(number: 1, name: [])] }
        expectRefused("repeated") { $0.groups = [Name(number: 2, name: []), Name(number: 2, name: [])] }
        expectRefused("depth") { $0.root.levels = 5 }
        expectRefused("depth of problems") { $0.problems.levels = 5 }
    }

    @Test("refuses another version, a host or tag that is not UTF-8, bytes after the end, and any cut")
    func damaged() {
        let good = contents().encode()
        #expect(throws: FormatError.self) { try decode([2] + good.dropFirst()) }
        #expect(throws: FormatError.self) { try decode(good + [0]) }
        for count in good.indices { #expect(throws: FormatError.self) { try decode(Array(good.prefix(count))) } }
        for text in ["h", "t"] {
            var bytes = good
            for index in bytes.indices where bytes[index] == Array(text.utf8)[0] && bytes[index - 1] == 1 { bytes[index] = 0xff }
            #expect(bytes != good)
            #expect(throws: FormatError.self) { try decode(bytes) }
        }
    }
}
