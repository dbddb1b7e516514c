internal import Archive
internal import BackupFormat

/// Trees: entries, lists of keys, and the reader that follows them.
let treeTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "tree-entry",
        run: { bytes in
            var reader = ByteReader(bytes, "tree")
            while !reader.isAtEnd { if try !readEntry(&reader, bytes) { return } }
        },
        seeds: {
            let entries = try Vectors.read("tree-entries").map(\.bytes)
            return entries + [entries.flatMap { $0 }]
        }),
    FuzzTarget(
        name: "key-list",
        run: { bytes in
            var reader = ByteReader(bytes, "key list")
            guard let keys = try? KeyList(decoding: &reader) else { return }
            var writer = ByteWriter()
            keys.encode(into: &writer)
            try promise(writer.bytes.elementsEqual(bytes[..<reader.offset]), "key list: other bytes than were decoded")
        },
        seeds: { [[0, 0], [4, 1] + [UInt8](repeating: 7, count: 32), [0, 2] + [UInt8](repeating: 9, count: 64)] }),
    FuzzTarget(
        name: "tree-reader",
        run: { bytes in
            let source = ForgedSource(bytes)
            guard let scratch else { return }
            let reader = TreeReader(source.root, source, scratch)
            var last: [UInt8] = []
            for _ in 0..<2000 {
                guard let view = try? reader.next() else { return }
                let name = Array(view.name)
                try promise(last.lexicographicallyPrecedes(name), "names do not rise")
                last = name
                _ = try? view.entry()
            }
        },
        seeds: {
            let entries = try Vectors.read("tree-entries").map(\.bytes)
            let sorted = try entries.sorted { try name($0).lexicographicallyPrecedes(name($1)) }
            let chunk = Array(sorted.joined())
            return [
                ForgedSource.input(levels: 0, keys: [0], [chunk]),
                ForgedSource.input(levels: 1, keys: [1], [chunk, ForgedSource.list([0])]),
            ]
        }),
]

// SAFETY: the source above leaves it alone, so that all threads may have it at once.
nonisolated(unsafe) private let scratch = try? ChunkScratch()

private func name(_ entry: [UInt8]) throws -> [UInt8] {
    try entry.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes, "tree")
        return Array(try TreeEntryView(parsing: &reader).name)
    }
}

/// Reads one entry in both ways; false where a reader would stop.
private func readEntry(_ reader: inout ByteReader, _ bytes: UnsafeRawBufferPointer) throws(BrokenPromise) -> Bool {
    let start = reader.offset
    guard let view = try? TreeEntryView(parsing: &reader) else { return false }
    try promise(view.encoded.elementsEqual(bytes[start..<reader.offset]), "tree entry: stands elsewhere than it says")
    try promise(isValidName(view.name), "tree entry: takes a name that leads elsewhere")
    try promise(view.modified.nanoseconds < 1_000_000_000 && view.changed.nanoseconds < 1_000_000_000, "tree entry: a time")
    try promise(view.size <= UInt64(Int64.max), "tree entry: a size that is no offset")
    let keys = try? view.storedKeys()
    guard let entry = try? view.entry() else { return false }
    if case .stored(let all) = entry.content {
        try promise(keys == all, "tree entry: its keys alone are others")
    } else {
        try promise(keys == .some(nil), "tree entry: keys where nothing is stored")
    }
    for (extent, next) in zip(entry.extents ?? [], (entry.extents ?? []).dropFirst()) {
        try promise(extent.offset + extent.length <= next.offset, "tree entry: extents overlap")
    }
    var writer = ByteWriter()
    entry.encode(into: &writer)
    try promise(writer.bytes.elementsEqual(view.encoded), "tree entry: other bytes than were decoded")
    return true
}

/// Chunks that somebody made up: the first byte of a key says which.
// SAFETY: nothing changes after init.
private final class ForgedSource: ChunkSource, @unchecked Sendable {
    let root: KeyList
    private var chunks: [UnsafeMutableRawBufferPointer] = []

    init(_ bytes: UnsafeRawBufferPointer) {
        var choices = Choices(bytes)
        let levels = choices.byte() % 5
        root = KeyList(levels: levels, keys: choices.take(Int(choices.byte() % 8)).map { ForgedSource.key($0) })
        while !choices.isEmpty, chunks.count < 16 {
            let chunk = choices.take(choices.number(bytes: 2))
            // Memory of just this size, so that reading past its end shows.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.count, alignment: 1)
            copy.copyMemory(from: chunk)
            chunks.append(copy)
        }
    }

    deinit { for chunk in chunks { chunk.deallocate() } }

    static func key(_ number: UInt8) -> ChunkKey { ChunkKey(Bytes32(words: (UInt64(number) << 56, 0, 0, 0))) }

    static func list(_ numbers: [UInt8]) -> [UInt8] { numbers.flatMap { key($0).value.bytes } }

    static func input(levels: UInt8, keys: [UInt8], _ chunks: [[UInt8]]) -> [UInt8] {
        [levels, UInt8(keys.count)] + keys
            + chunks.flatMap { [UInt8(truncatingIfNeeded: $0.count), UInt8(truncatingIfNeeded: $0.count >> 8)] + $0 }
    }

    func read(_ key: ChunkKey, _ scratch: ChunkScratch) throws(ArchiveError) -> UnsafeRawBufferPointer {
        let number = Int(key.value.words.0 >> 56)
        guard number < chunks.count else { throw ArchiveError(.damaged, "read a chunk", "there is none") }
        return UnsafeRawBufferPointer(chunks[number])
    }

    func plainBytesHint(_ key: ChunkKey) -> Int? { nil }
    func key(of plaintext: UnsafeRawBufferPointer) -> ChunkKey { ForgedSource.key(0) }
}
