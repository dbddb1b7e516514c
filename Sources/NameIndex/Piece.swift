internal import BackupFormat
internal import Chunking
internal import Cryptography
internal import HostFiles

// A piece of a file of the index: `nonce 24 | XChaCha20-Poly1305 of (method byte, payload) | tag 16`. Bound to the file's id, what it
// is and its number: no piece passes for another.

enum PieceKind: UInt8 {
    case names = 0
    case states = 1
    case table = 2
    case manifest = 3
    case sketch = 4
}

/// 16 random bytes: the name of a segment's file, and what its pieces are bound to.
package struct SegmentID: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    static func random() -> SegmentID {
        var generator = RandomNumbers()
        return SegmentID(high: generator.next(), low: generator.next())
    }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(decoding reader: inout ByteReader) throws(FormatError) { self.init(high: try reader.uint64(), low: try reader.uint64()) }

    func encode(into writer: inout ByteWriter) {
        writer.uint64(high)
        writer.uint64(low)
    }

    var hex: String {
        var writer = ByteWriter(capacity: 16)
        encode(into: &writer)
        return hexadecimal(writer.bytes)
    }

    static let bytes = 16
}

/// What a piece is bound to: id 16, kind 1, number 4.
func pieceBinding(_ id: SegmentID, _ kind: PieceKind, _ number: Int) -> [UInt8] {
    var writer = ByteWriter(capacity: 21)
    id.encode(into: &writer)
    writer.byte(kind.rawValue)
    writer.uint32(UInt32(truncatingIfNeeded: number))
    return writer.bytes
}

/// The number of a piece of a group's sketch: `part` is its own number there.
func sketchNumber(_ group: Int, _ part: Int) -> Int { group << 8 | part }

/// Makes pieces; used by one thread.
final class PieceSealer {
    private let cipher: NameIndexCipher
    private let compressor: Compressor
    private var buffer: [UInt8] = []

    init(_ cipher: NameIndexCipher) throws(NameIndexError) {
        guard let compressor = Compressor(level: 3) else { throw NameIndexError(.storage, "not enough memory to compress names") }
        self.cipher = cipher
        self.compressor = compressor
    }

    /// A sketch is not compressed: it would take longer to read, and hardly be smaller.
    func seal(_ plain: [UInt8], _ id: SegmentID, _ kind: PieceKind, _ number: Int) -> [UInt8] {
        let room = max(Compressor.outputBytesMax(plain.count), plain.count) + 1
        if buffer.count < room { buffer = [UInt8](repeating: 0, count: room) }
        let count = buffer.withUnsafeMutableBytes { buffer in
            plain.withUnsafeBytes { plain -> Int in
                let output = UnsafeMutableRawBufferPointer(rebasing: buffer[1...])
                if kind != .sketch, let count = compressor.compress(plain, into: output) {
                    buffer[0] = CompressionMethod.zstd.rawValue
                    return count + 1
                }
                buffer[0] = CompressionMethod.stored.rawValue
                output.copyMemory(from: plain)
                return plain.count + 1
            }
        }
        return pieceBinding(id, kind, number).withUnsafeBytes { binding in
            buffer.withUnsafeBytes { cipher.seal(UnsafeRawBufferPointer(rebasing: $0[..<count]), associated: binding) }
        }
    }
}

/// Opens pieces; used by one thread.
final class PieceOpener {
    private let cipher: NameIndexCipher
    /// Made for the first piece that is compressed: many readers meet none.
    private var decompressor: Decompressor?
    private var sealed: UnsafeMutableRawBufferPointer
    private var opened: UnsafeMutableRawBufferPointer

    init(_ cipher: NameIndexCipher) {
        self.cipher = cipher
        sealed = .allocate(byteCount: 64 << 10, alignment: 64)
        opened = .allocate(byteCount: 64 << 10, alignment: 64)
    }

    deinit {
        sealed.deallocate()
        opened.deallocate()
    }

    /// Reads `range` of a file into the buffer for ``open(_:_:_:_:into:)``.
    func read(_ file: any DiskFile, _ range: Range<Int>) throws(NameIndexError) -> UnsafeRawBufferPointer {
        if sealed.count < range.count {
            for buffer in [sealed, opened] { buffer.deallocate() }
            sealed = .allocate(byteCount: range.count, alignment: 64)
            // What is used in place is read in runs of 16.
            opened = .allocate(byteCount: range.count + 64, alignment: 64)
        }
        let target = UnsafeMutableRawBufferPointer(rebasing: sealed[..<range.count])
        let count: Int
        do { count = try file.read(at: range.lowerBound, into: target) } catch { throw NameIndexError(error) }
        guard count == range.count else { throw NameIndexError(.damaged, "a file of the name index is cut off") }
        return UnsafeRawBufferPointer(target)
    }

    /// Opens what was read; into `plain`, which it must fill, unless it is stored as it is: then it is valid until the next is opened.
    func open(
        _ piece: UnsafeRawBufferPointer, _ id: SegmentID, _ kind: PieceKind, _ number: Int,
        into plain: UnsafeMutableRawBufferPointer
    ) throws(NameIndexError) -> UnsafeRawBufferPointer {
        do {
            let count = try pieceBinding(id, kind, number).withUnsafeBytes { binding in
                try cipher.open(piece, associated: binding, into: opened)
            }
            guard count >= 1 else { throw FormatError(.truncated, "name index") }
            let payload = UnsafeRawBufferPointer(rebasing: opened[1..<count])
            switch CompressionMethod(rawValue: opened[0]) {
            case .stored:
                guard payload.count == plain.count else { throw FormatError(.inconsistent, "name index") }
                return payload
            case .zstd:
                decompressor = decompressor ?? Decompressor()
                guard let decompressor else { throw NameIndexError(.storage, "not enough memory to read names") }
                guard try decompressor.decompress(payload, into: plain) == plain.count else {
                    throw FormatError(.inconsistent, "name index")
                }
                return UnsafeRawBufferPointer(plain)
            case nil: throw FormatError(.unknown, "name index")
            }
        } catch let error as NameIndexError {
            throw error
        } catch { throw NameIndexError(.damaged, "\(error)") }
    }

    /// Opens what was read and is stored as it is: the payload stands behind the first byte of `target`, which it must fill.
    func openStored(
        _ piece: UnsafeRawBufferPointer, _ id: SegmentID, _ kind: PieceKind, _ number: Int,
        into target: UnsafeMutableRawBufferPointer
    ) throws(NameIndexError) {
        do {
            let count = try pieceBinding(id, kind, number).withUnsafeBytes { binding in
                try cipher.open(piece, associated: binding, into: target)
            }
            guard count == target.count, target[0] == CompressionMethod.stored.rawValue else {
                throw FormatError(.inconsistent, "name index")
            }
        } catch { throw NameIndexError(.damaged, "\(error)") }
    }
}
