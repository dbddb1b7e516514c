package import BackupFormat

/// Where a chunk lies: its pack, and its bytes within.
package struct ChunkLocation: Hashable, Sendable {
    package let pack: PackID
    /// The pack's number in this process and this index, for ``PackSet``; means nothing elsewhere.
    package let packNumber: UInt32
    /// Where the sealed chunk begins in the pack, in bytes.
    package let offset: UInt32
    /// Length of the sealed chunk, in bytes.
    package let sealedBytes: UInt32
    /// Length of the chunk before compression and sealing, in bytes.
    package let plainBytes: UInt32

    package init(pack: PackID, packNumber: UInt32, offset: UInt32, sealedBytes: UInt32, plainBytes: UInt32) {
        self.pack = pack
        self.packNumber = packNumber
        self.offset = offset
        self.sealedBytes = sealedBytes
        self.plainBytes = plainBytes
    }
}

/// The answer to a thread that holds a chunk and asks what to do with it.
package enum Reservation: Hashable, Sendable {
    /// Store it: no one else in this process has it. Follow with ``ChunkIndex/add(pack:entries:)`` or ``ChunkIndex/release(_:)``.
    case store
    /// Another thread of this process is storing it in this run; once its pack is added, a lookup finds it.
    case pending
    /// It is stored, there.
    case stored(ChunkLocation)
}

/// One row of the index, in memory. 48 bytes.
package struct IndexEntry: Equatable, Sendable {
    package var id: Bytes32
    /// A pack number: of the process in tables, of the segment in segments.
    package var pack: UInt32
    package var offset: UInt32
    package var sealedBytes: UInt32
    package var plainBytes: UInt32

    package init(id: Bytes32, pack: UInt32, offset: UInt32, sealedBytes: UInt32, plainBytes: UInt32) {
        self.id = id
        self.pack = pack
        self.offset = offset
        self.sealedBytes = sealedBytes
        self.plainBytes = plainBytes
    }
}
