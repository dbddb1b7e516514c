import Archive
import BackupFormat
import Cryptography
import Synchronization

/// Chunks in memory, which fail where a test wants them to.
final class MemoryChunks: ChunkSource {
    enum Hints {
        case right, wrong, none
    }

    private struct State {
        var chunks: [Bytes32: [UInt8]] = [:]
        var lost: Set<Bytes32> = []
        var onRead: (@Sendable (Int) -> Void)?
        var onKey: (@Sendable () -> Void)?
        var reads = 0
    }

    private let state = Mutex(State())
    let hints: Hints

    init(hints: Hints = .right) { self.hints = hints }

    var reads: Int { state.withLock { $0.reads } }

    /// Calls `body` before each read, with how many there were.
    func onRead(_ body: @escaping @Sendable (Int) -> Void) { state.withLock { $0.onRead = body } }

    /// Calls `body` after each look at the key of some bytes.
    func onKey(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onKey = body } }

    func store(_ bytes: [UInt8]) -> ChunkKey {
        let key = sha256(bytes)
        state.withLock { $0.chunks[key] = bytes }
        return ChunkKey(key)
    }

    func lose(_ key: ChunkKey) { state.withLock { _ = $0.lost.insert(key.value) } }
    func restore(_ key: ChunkKey) { state.withLock { _ = $0.lost.remove(key.value) } }

    func read(_ key: ChunkKey, _ scratch: ChunkScratch) throws(ArchiveError) -> UnsafeRawBufferPointer {
        let (bytes, reads, onRead) = state.withLock { state in
            state.reads += 1
            return (state.lost.contains(key.value) ? nil : state.chunks[key.value], state.reads, state.onRead)
        }
        onRead?(reads)
        guard let bytes else { throw ArchiveError(.damaged, "read a chunk", "chunk \(key.value.hex.prefix(8)) is lost") }
        return scratch.hold(bytes)
    }

    func plainBytesHint(_ key: ChunkKey) -> Int? {
        switch hints {
        case .right: state.withLock { $0.chunks[key.value]?.count }
        case .wrong: state.withLock { $0.chunks[key.value].map { $0.count % 2 == 0 ? $0.count + 1 : $0.count / 2 } }
        case .none: nil
        }
    }

    func key(of plaintext: UnsafeRawBufferPointer) -> ChunkKey {
        defer { state.withLock { $0.onKey }?() }
        return ChunkKey(sha256(plaintext))
    }

    /// Stores a stream in chunks of `chunkBytes`, with lists of keys nested `levels` deep.
    func store(stream bytes: [UInt8], chunkBytes: Int, levels: UInt8 = 0) -> KeyList {
        var keys = stride(from: 0, to: bytes.count, by: chunkBytes).map { start in
            store(Array(bytes[start..<min(start + chunkBytes, bytes.count)]))
        }
        for _ in 0..<levels {
            let list = keys.flatMap { $0.value.bytes }
            keys = stride(from: 0, to: list.count, by: 992).map { store(Array(list[$0..<min($0 + 992, list.count)])) }
        }
        return KeyList(levels: levels, keys: keys)
    }
}

/// Something in a test's tree.
struct TestNode: Sendable {
    var entry: TreeEntry
    var content: [UInt8] = []
    var children: [TestNode] = []

    static func file(_ name: RawPath, _ content: [UInt8], mode: UInt16 = 0o644) -> TestNode {
        var node = TestNode(entry: entry(name, .file, mode))
        node.content = content
        node.entry.size = UInt64(content.count)
        return node
    }

    static func folder(_ name: RawPath, mode: UInt16 = 0o755, _ children: [TestNode]) -> TestNode {
        TestNode(entry: entry(name, .directory, mode), children: children)
    }

    static func link(_ name: RawPath, to target: String) -> TestNode {
        var node = TestNode(entry: entry(name, .symlink, 0o777))
        node.entry.content = .inline(Array(target.utf8))
        node.entry.size = UInt64(target.utf8.count)
        return node
    }

    static func special(_ name: RawPath, _ type: EntryType, device: UInt64 = 0) -> TestNode {
        var node = TestNode(entry: entry(name, type, 0o640))
        node.entry.deviceNumber = device
        return node
    }

    private static func entry(_ name: RawPath, _ type: EntryType, _ mode: UInt16) -> TreeEntry {
        TreeEntry(
            name: name, type: type, mode: mode, uid: 0, gid: 0,
            modified: Timestamp(seconds: 1_600_000_000, nanoseconds: 123_456_789),
            changed: Timestamp(seconds: 1_600_000_001, nanoseconds: 0), inode: 1, device: 1, linkCount: 1, size: 0, content: .none
        )
    }

    func with(_ change: (inout TreeEntry) -> Void) -> TestNode {
        var node = self
        change(&node.entry)
        return node
    }
}

/// Stores the tree of a folder's children. `entriesInChunk` cuts large folders.
func store(
    _ children: [TestNode], _ chunks: MemoryChunks, chunkBytes: Int = 1000, levels: UInt8 = 0, entriesInChunk: Int = 5
) -> KeyList {
    var keys: [ChunkKey] = []
    var writer = ByteWriter()
    let sorted = children.sorted { $0.entry.name < $1.entry.name }
    for (index, child) in sorted.enumerated() {
        var entry = child.entry
        if entry.type == .directory {
            entry.content = .stored(
                store(child.children, chunks, chunkBytes: chunkBytes, levels: levels, entriesInChunk: entriesInChunk))
        } else if entry.type == .file {
            let stored =
                entry.extents.map { $0.flatMap { child.content[Int($0.offset)..<Int($0.offset + $0.length)] } } ?? child.content
            entry.content =
                stored.count <= 64
                ? .inline(stored) : .stored(chunks.store(stream: stored, chunkBytes: chunkBytes, levels: levels))
        }
        entry.encode(into: &writer)
        if (index + 1) % entriesInChunk == 0 || index == sorted.count - 1 {
            keys.append(chunks.store(writer.bytes))
            writer = ByteWriter()
        }
    }
    return KeyList(levels: 0, keys: keys)
}

func snapshot(
    _ children: [TestNode], _ chunks: MemoryChunks, paths: [RawPath] = ["/"], chunkBytes: Int = 1000, levels: UInt8 = 0
) -> SnapshotContents {
    SnapshotContents(
        root: store(children, chunks, chunkBytes: chunkBytes, levels: levels), host: "test", time: 0, paths: paths, tags: [],
        files: 0,
        directories: 0, bytes: 0, users: [], groups: [], problemCount: 0, problems: .empty)
}

/// Bytes that do not repeat, the same for the same seed.
func noise(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}
