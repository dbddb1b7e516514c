internal import NIOCore
internal import PeerProtocol

/// Sealed bytes in the memory that the channel writes from.
struct SealedBytes: WireOutput {
    private(set) var buffer: ByteBuffer

    init(_ allocator: ByteBufferAllocator) { buffer = allocator.buffer(capacity: 0) }

    mutating func append(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { free in
            fill(UnsafeMutableRawBufferPointer(rebasing: free[..<count]))
            return count
        }
    }
}
