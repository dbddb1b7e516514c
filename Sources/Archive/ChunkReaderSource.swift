package import BackupFormat
internal import Chunking
internal import Cryptography
internal import Glibc

/// Where the plaintext of chunks comes from. Called by several threads at once, each with a scratch of its own.
package protocol ChunkSource: Sendable {
    /// The chunk's plaintext, proven to be what `key` names. It lies in `scratch`, until that is used again.
    ///
    /// Throws `damaged` when no good copy can be found.
    func read(_ key: ChunkKey, _ scratch: ChunkScratch) throws(ArchiveError) -> UnsafeRawBufferPointer

    /// How long the plaintext probably is, in bytes, without reading it; nil when that is not known. May be wrong.
    func plainBytesHint(_ key: ChunkKey) -> Int?

    /// The key that a chunk of these bytes has.
    func key(of plaintext: UnsafeRawBufferPointer) -> ChunkKey
}

/// The buffers that one thread needs to read chunks: two of a largest chunk each, their pages used only as needed.
package final class ChunkScratch {
    /// A chunk as it stands in its pack, and, once it is opened, its method byte and payload in place of the ciphertext. Starts
    /// so that what follows the method byte is aligned.
    let sealed: UnsafeMutableRawBufferPointer
    /// The decompressed payload.
    let plain: UnsafeMutableRawBufferPointer
    let decompressor: Decompressor
    private let memory: UnsafeMutableRawBufferPointer

    package init() throws(ArchiveError) {
        guard let decompressor = Decompressor() else {
            throw ArchiveError(.storage, "start a worker", "not enough memory for decompression; raise the memory limit")
        }
        self.decompressor = decompressor
        let huge = 2 << 20
        let room = Limits.chunkBytesMax + 4096
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Limits.chunkBytesMax + room, alignment: huge)
        // Fewer look-ups of addresses: a chunk is gone over four times, and matches reach far back. Only a wish.
        madvise(memory.baseAddress, memory.count, MADV_HUGEPAGE)
        plain = UnsafeMutableRawBufferPointer(rebasing: memory[..<Limits.chunkBytesMax])
        let shift = 128 - (ChunkCipher.nonceBytes + 1)
        sealed = UnsafeMutableRawBufferPointer(rebasing: memory[(Limits.chunkBytesMax + shift)...])
    }

    /// A copy of at most ``Limits/chunkBytesMax`` bytes in the buffer for plaintext.
    package func hold(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        let space = UnsafeMutableRawBufferPointer(rebasing: plain[..<bytes.count])
        space.copyBytes(from: bytes)
        return UnsafeRawBufferPointer(space)
    }

    deinit { memory.deallocate() }
}

extension ChunkSource {
    /// Whether these bytes are the chunk that `key` names.
    func matches(_ bytes: UnsafeRawBufferPointer, _ key: ChunkKey) -> Bool { self.key(of: bytes) == key }
}
