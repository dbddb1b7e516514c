internal import BackupFormat
internal import Chunking
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Synchronization

/// What the workers of one backup share.
final class ChunkWriterShared: Sendable {
    let cipher: ChunkCipher
    let index: ChunkIndex
    let sink: PackSink
    /// Keys in one list, at most.
    let listKeysMax: Int
    /// Plain and stored size of the chunks that were new, in bytes.
    let newBytes = Atomic<Int>(0)
    let storedBytes = Atomic<Int>(0)
    /// Tree chunks are few and small: all workers put them in one pack.
    fileprivate let treePack = Mutex<PackBuilder?>(nil)

    init(cipher: ChunkCipher, index: ChunkIndex, sink: PackSink, listKeysMax: Int) {
        self.listKeysMax = max(2, listKeysMax)
        self.cipher = cipher
        self.index = index
        self.sink = sink
    }
}

/// Deduplicates, compresses and seals chunks into packs. One for each worker; used by that worker's thread alone.
final class ChunkWriter {
    private let shared: ChunkWriterShared
    private let compressor: Compressor
    private let scratch: UnsafeMutableRawBufferPointer
    private var dataPack: PackBuilder?
    /// Packs that hold chunks which this worker found stored already.
    private(set) var reused = PackSet()

    init(_ shared: ChunkWriterShared) throws(ArchiveError) {
        guard let compressor = Compressor() else {
            throw ArchiveError(.storage, "start a worker", "not enough memory for compression")
        }
        self.shared = shared
        self.compressor = compressor
        scratch = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Compressor.outputBytesMax(Limits.chunkBytesMax) + 64, alignment: 64)
    }

    deinit { scratch.deallocate() }

    /// Keys in one list, at most: ``Limits/directKeysMax``, fewer in tests.
    var listKeysMax: Int { shared.listKeysMax }

    /// Makes sure that `plain` is stored, and returns its key. The byte in front of `plain` must be writable.
    func store(_ plain: UnsafeRawBufferPointer, _ kind: PackKind) throws(ArchiveError) -> ChunkKey {
        let key = shared.cipher.key(of: plain)
        let id = shared.cipher.id(of: key)
        do {
            switch try shared.index.reserve(id) {
            case .stored(let location):
                reused.insert(location.packNumber)
                return key
            case .pending:
                return key
            case .store: break
            }
        } catch {
            throw ArchiveError(.storage, "look up a chunk", "\(error)")
        }
        let payload = prepare(plain)
        let sealedBytes = payload.count + ChunkCipher.sealBytes
        func put(_ pack: PackBuilder) {
            _ = shared.cipher.seal(methodAndPayload: payload, key: key, id: id, into: pack.free)
            pack.added(id, sealedBytes: sealedBytes, plainBytes: plain.count)
        }
        if kind == .data {
            put(try pack(&dataPack, for: sealedBytes, kind))
        } else {
            let result = shared.treePack.withLock { treePack in
                Result { () throws(ArchiveError) in put(try pack(&treePack, for: sealedBytes, kind)) }
            }
            try result.get()
        }
        shared.newBytes.add(plain.count, ordering: .relaxed)
        shared.storedBytes.add(sealedBytes, ordering: .relaxed)
        return key
    }

    /// The method byte and the payload: compressed in `scratch`, or `plain` as it is with the byte in front of it.
    private func prepare(_ plain: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let front = 63
        if let length = compressor.compress(plain, into: UnsafeMutableRawBufferPointer(rebasing: scratch[(front + 1)...])) {
            scratch[front] = CompressionMethod.zstd.rawValue
            return UnsafeRawBufferPointer(rebasing: scratch[front..<front + 1 + length])
        }
        guard let start = plain.baseAddress else {
            scratch[front] = CompressionMethod.stored.rawValue
            return UnsafeRawBufferPointer(rebasing: scratch[front..<front + 1])
        }
        let method = UnsafeMutableRawPointer(mutating: start - 1)
        method.storeBytes(of: CompressionMethod.stored.rawValue, as: UInt8.self)
        return UnsafeRawBufferPointer(start: start - 1, count: plain.count + 1)
    }

    /// The open pack, or a new one when it has no room left.
    private func pack(
        _ open: inout PackBuilder?, for sealedBytes: Int, _ kind: PackKind
    ) throws(ArchiveError) -> PackBuilder {
        if let pack = open {
            if pack.hasRoom(for: sealedBytes) { return pack }
            open = nil
            shared.sink.submit(pack)
        }
        let pack = try shared.sink.begin(kind)
        open = pack
        return pack
    }

    /// Notes that a chunk named in an older tree is still needed; false when no pack is known to hold it for certain.
    func reuse(_ key: ChunkKey) throws(ArchiveError) -> Bool {
        do {
            guard let location = try shared.index.lookup(shared.cipher.id(of: key), reliably: true) else {
                return false
            }
            reused.insert(location.packNumber)
            return true
        } catch {
            throw ArchiveError(.storage, "look up a chunk", "\(error)")
        }
    }

    /// Hands over the open packs of all workers, small ones joined. Call once the workers have stopped.
    static func finish(_ writers: [ChunkWriter], _ shared: ChunkWriterShared) {
        var last: PackBuilder?
        for writer in writers {
            guard let pack = writer.dataPack else { continue }
            writer.dataPack = nil
            if let open = last {
                if open.hasRoom(forAllOf: pack) {
                    open.append(pack)
                    pack.begin(.data)
                    shared.sink.submit(pack)
                    continue
                }
                shared.sink.submit(open)
            }
            last = pack
        }
        if let last { shared.sink.submit(last) }
        let tree = shared.treePack.withLock { pack in
            defer { pack = nil }
            return pack
        }
        if let tree { shared.sink.submit(tree) }
    }
}
