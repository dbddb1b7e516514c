internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import NameIndex

/// The name index: what is in its files, and a search of files that somebody with the key made up.
let nameTargets: [FuzzTarget] = [
    roundTripOf(
        "name-manifest", { try NameManifest(decoding: $0).encode() },
        seeds: {
            let zeros = [UInt8](repeating: 0, count: 32)
            let snapshot = zeros + [0, 1] + [UInt8](repeating: 1, count: 16) + [2, 2]
            let second = zeros + [1, 3] + [UInt8](repeating: 2, count: 16) + [1, 0x80, 1]
            return [[0, 0], [2] + snapshot + second + [1] + [UInt8](repeating: 7, count: 16) + [9, 9]]
        }),
    roundTripOf(
        "name-table",
        { bytes in
            // Where the table stands comes first.
            var choices = Choices(bytes)
            let end = choices.take(2)
            let table = try NameTable(decoding: choices.rest, end: Int(end.first ?? 0) | Int(end.last ?? 0) << 8)
            return Array(end) + table.encode()
        },
        seeds: {
            let second: [UInt8] = [3, 4, 9, 9, 1, 2, 0x2f, 0x62]
            // The sketch of two blocks with runs of 5 bytes: lengths, columns, folders, and 41 bytes of each piece.
            let end = 32 + 14 + 5 + 128 + 145 * 16 + 147 * 41
            return [[32, 0, 0], [UInt8(end & 255), UInt8(end >> 8), 1, 2, 5, 3, 4, 9, 9, 2, 2, 0x2f, 0x61] + second]
        }),
    roundTripOf(
        "name-states",
        { bytes in
            var reader = try StatesReader(bytes)
            var writer = StatesWriter()
            var changes: [NameChange] = []
            while !reader.isAtEnd {
                try reader.next(&changes)
                for (a, b) in zip(changes, changes.dropFirst()) {
                    try promise(a.ordinal < b.ordinal, "name-states: ordinals that do not rise")
                }
                writer.add(changes)
            }
            try reader.end()
            return writer.finish()
        },
        seeds: { [seedStates] }),
    FuzzTarget(
        name: "name-search",
        run: { bytes in
            var choices = Choices(bytes)
            let entries = choices.byte()
            let text = Array(choices.take(Int(choices.byte() & 15)))
            let names = choices.take(choices.number(bytes: 2))
            let runs = choices.take(choices.number(bytes: 2))
            // What lengths, columns and folders are filled with, again and again.
            let marks = choices.take(choices.number(bytes: 2))
            let disk = try disk(
                names: Array(names), states: Array(choices.rest), runs: Array(runs), marks: Array(marks), entries: entries)
            let store = NameStore(disk: disk, directory: "/names", cipher: NameIndexCipher(key: .zero))
            guard let query = NameQuery(text) else { return }
            let live: Set = [SnapshotID(.zero)]
            for threads in 1...2 {
                guard let search = try? NameSearch(store, live: live, threads: threads, now: 0) else { return }
                guard let found = try? search.run(query, NameFilter(), limit: 5) else { continue }
                for (a, b) in zip(found, found.dropFirst()) {
                    try promise(a.score >= b.score && a.path != b.path, "name-search: not the best first, or one twice")
                }
            }
            // What cannot be read is no reason to keep what is new from the index.
            try? store.change(waitingMilliseconds: 0) { change throws(NameIndexError) in try change.reset() }
            try promise(try store.manifest().snapshots.isEmpty, "name-search: an index that cannot be given up")
        },
        seeds: {
            let names: [UInt8] = [0, 4] + Array("/abc".utf8) + [3, 3] + Array("\u{e9}x".utf8)
            var writer = SketchWriter()
            for path in ["/abc", "/ab\u{e9}x"] { Array(path.utf8).withUnsafeBytes { writer.add($0) } }
            let runs = writer.finish().runs
            func seed(_ text: String) -> [UInt8] {
                [2, UInt8(text.utf8.count)] + text.utf8 + [UInt8(names.count), 0] + names + [UInt8(runs.count), 0] + runs
                    + [3, 0, 0xff, 0x03, 0xfd] + seedStates
            }
            return [seed("abc"), seed("ex"), seed("abxc"), seed("a E"), seed("'ab")]
        }),
]

/// Of two paths: one that is there from the start, one that came and went.
private let seedStates: [UInt8] = [10, 2, 2, 1, 0, 1, 2, 0, 1, 0, 0, 0, 0, 5, 7, 2, 1, 9, 0, 0, 0, 1, 0, 0, 0]

/// A target whose decoder either rejects the bytes or yields a value that encodes to the same bytes.
private func roundTripOf(
    _ name: String, _ again: @escaping @Sendable (UnsafeRawBufferPointer) throws -> [UInt8],
    seeds: @escaping @Sendable () throws -> [[UInt8]]
) -> FuzzTarget {
    FuzzTarget(
        name: name,
        run: { bytes in
            let encoded: [UInt8]
            do { encoded = try again(bytes) } catch let error as BrokenPromise { throw error } catch { return }
            try promise(encoded.elementsEqual(bytes), "\(name): other bytes than were decoded")
        }, seeds: seeds)
}

/// A disk with an index of one segment of one block, in which these pieces are sealed as the index seals them.
private func disk(names: [UInt8], states: [UInt8], runs: [UInt8], marks: [UInt8], entries: UInt8) throws -> SimulatedDisk {
    let cipher = NameIndexCipher(key: .zero)
    let id = [UInt8](repeating: 7, count: 16)
    func seal(_ plain: [UInt8], _ kind: UInt8, _ number: UInt8 = 0) -> [UInt8] {
        (id + [kind, number, 0, 0, 0]).withUnsafeBytes { binding in
            // The manifest has no method byte.
            ((kind == 3 ? [] : [0]) + plain).withUnsafeBytes { cipher.seal($0, associated: binding) }
        }
    }
    var segment = ByteWriter()
    segment.raw(Array("bakareN1".utf8) + [5, 0, 0, 0, 0, 0, 0, 0] + id)
    let sealed = (seal(names, 0), seal(states, 1))
    segment.raw(sealed.0 + sealed.1 + seal(runs, 4))
    let words = (Int(entries) + 63) / 64
    for number in 1...146 {
        let count = number == 1 ? words * 64 : words * 8
        segment.raw(seal((0..<count).map { marks.isEmpty ? 0 : marks[($0 + number) % marks.count] }, 4, UInt8(number)))
    }
    var table = ByteWriter()
    for number in [1, 1, runs.count, sealed.0.count, sealed.1.count, names.count, states.count, Int(entries)] {
        table.count(number)
    }
    table.byteString([0x2f])
    let sealedTable = seal(table.bytes, 2)
    let offset = segment.count
    segment.raw(sealedTable)
    for number in [offset, sealedTable.count, table.count] { segment.uint64(UInt64(number)) }
    segment.raw(Array("bakareNt".utf8))
    var manifest = ByteWriter()
    manifest.count(1)
    manifest.bytes32(.zero)
    manifest.raw([0, 1] + [UInt8](repeating: 0, count: 18))
    manifest.count(1)
    manifest.raw(id)
    manifest.count(segment.count)
    manifest.count(Int(entries))
    let list = Array("bakareNm".utf8) + [5, 0, 0, 0, 0, 0, 0, 0] + id + seal(manifest.bytes, 3)
    let disk = SimulatedDisk()
    try disk.makeDirectory("/names")
    for (name, content) in [("manifest", list), (hexadecimal(id) + ".names", segment.bytes)] {
        try disk.createExclusively(RawPath("/names/" + name), expectedBytes: content.count).write(at: 0, content)
    }
    return disk
}
