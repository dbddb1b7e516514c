package import BackupFormat
package import Cryptography

/// A pack under construction, in memory: sealed chunks go in, the finished pack's bytes come out.
///
/// Owned by one thread at a time.
package final class PackBuilder: @unchecked Sendable {
    // SAFETY: handed from thread to thread through locks; never used by two at once.
    private let memory: UnsafeMutableRawBufferPointer
    package private(set) var kind = PackKind.data
    package private(set) var entries: [PackEntry] = []
    /// Bytes written so far.
    package private(set) var count = 0

    /// `capacity` bounds the finished pack, in bytes.
    package init(capacity: Int) {
        memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 4096)
    }

    deinit { memory.deallocate() }

    /// Starts anew with an empty pack.
    package func begin(_ kind: PackKind) {
        self.kind = kind
        entries.removeAll(keepingCapacity: true)
        memory.copyBytes(from: PackFrame.header(kind))
        count = PackFrame.headerBytes
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// Whether a chunk of `sealedBytes` fits, with the footer that then follows.
    package func hasRoom(for sealedBytes: Int) -> Bool {
        entries.count < Limits.packChunksMax && count + sealedBytes + closingBytes(chunks: entries.count + 1) <= memory.count
    }

    private func closingBytes(chunks: Int) -> Int {
        1 + chunks * PackFrame.footerEntryBytes + PackFrame.footerOverheadBytes + PackFrame.trailerBytes
    }

    /// Where the next sealed chunk goes.
    package var free: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory[count...]) }

    /// Records the chunk of `sealedBytes` just written at ``free``.
    package func added(_ id: ChunkID, sealedBytes: Int, plainBytes: Int) {
        entries.append(
            PackEntry(id: id, offset: UInt32(count), sealedBytes: UInt32(sealedBytes), plainBytes: UInt32(plainBytes)))
        count += sealedBytes
    }

    /// Whether all of `other`'s chunks fit in here too.
    package func hasRoom(forAllOf other: PackBuilder) -> Bool {
        let chunkBytes = other.count - PackFrame.headerBytes
        let chunks = entries.count + other.entries.count
        return kind == other.kind && chunks <= Limits.packChunksMax
            && count + chunkBytes + closingBytes(chunks: chunks) <= memory.count
    }

    /// Takes over the chunks of `other`, as they are sealed.
    package func append(_ other: PackBuilder) {
        let chunks = UnsafeRawBufferPointer(rebasing: other.memory[PackFrame.headerBytes..<other.count])
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: chunks)
        let shift = UInt32(count - PackFrame.headerBytes)
        for entry in other.entries {
            var moved = entry
            moved.offset += shift
            entries.append(moved)
        }
        count += chunks.count
    }

    /// Adds padding, footer and trailer; the pack's bytes, valid until the next ``begin(_:)``.
    package func finish(_ cipher: FooterCipher) -> UnsafeRawBufferPointer {
        let packBytes = count + closingBytes(chunks: entries.count)
        let padding = min(PackFrame.paddedBytes(packBytes), memory.count) - packBytes
        fillRandom(UnsafeMutableRawBufferPointer(rebasing: free.prefix(padding)))
        count += padding
        let footer = PackFrame.encodeFooter(kind: kind, entries: entries)
        let sealed = footer.withUnsafeBytes { footer in
            cipher.seal(footer, associated: UnsafeRawBufferPointer(rebasing: memory[..<PackFrame.headerBytes]))
        }
        free.copyBytes(from: sealed)
        count += sealed.count
        free.copyBytes(from: PackFrame.trailer(sealedFooterBytes: sealed.count))
        count += PackFrame.trailerBytes
        return UnsafeRawBufferPointer(rebasing: memory[..<count])
    }
}
