internal import BackupFormat
internal import HostFiles

/// Room for the plaintext of one chunk, with one byte in front for the compression method.
///
/// Owned by one thread at a time; handed on with the job that fills or empties it.
final class ChunkBuffer: @unchecked Sendable {
    // SAFETY: `base` never changes, and only the thread that holds the buffer touches the bytes or `count`.
    private let allocation: UnsafeMutableRawPointer
    /// Where the plaintext starts, aligned to a page; the byte before it may be written too.
    let base: UnsafeMutableRawPointer
    /// Bytes filled.
    var count = 0

    static let capacity = Limits.chunkBytesMax
    private static let frontBytes = 4096

    init() {
        allocation = UnsafeMutableRawPointer.allocate(byteCount: ChunkBuffer.capacity + ChunkBuffer.frontBytes, alignment: 4096)
        base = allocation + ChunkBuffer.frontBytes
    }

    deinit { allocation.deallocate() }

    var plain: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    var free: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + count, count: ChunkBuffer.capacity - count)
    }
}

/// A fixed number of chunk buffers, lent out and taken back.
final class ChunkBufferPool: Sendable {
    private let idle: ConditionLock<[ChunkBuffer]>

    init(count: Int) { idle = ConditionLock((0..<count).map { _ in ChunkBuffer() }) }

    /// One that is free now, or nil.
    func tryTake() -> ChunkBuffer? { idle.withLock { $0.popLast() } }

    /// One as soon as there is one.
    func take() -> ChunkBuffer { idle.wait { $0.popLast() } }

    func put(_ buffer: ChunkBuffer) {
        buffer.count = 0
        idle.withLock { $0.append(buffer) }
    }
}
