package import BackupFormat

/// The kinds of things that a vault keeps and peers exchange.
package enum ObjectKind: UInt8, Hashable, Sendable, CaseIterable {
    /// Named by its Merkle root.
    case pack = 1
    /// A page of a pack list, named by the SHA-256 of its bytes.
    case page = 2
    /// A committed snapshot's record, named by the snapshot's id. It is got, and put only as a draft.
    case snapshot = 3
    /// A snapshot's record on its way to a commit, named by the SHA-256 of its bytes. It is put alone.
    case draft = 4

    /// The longest there is, in bytes.
    package var bytesMax: Int {
        switch self {
        case .pack: Limits.packBytesMax
        case .page: Limits.pageBytesMax
        case .snapshot, .draft: Limits.snapshotRecordBytesMax
        }
    }
}

/// Any of the identifiers that an ``ObjectKind`` goes with.
package struct ObjectID: Identifier, BitwiseCopyable {
    package let value: Bytes32
    package init(_ value: Bytes32) { self.value = value }
}

/// Which of these are not there? Answered by ``Missing``.
package struct Have: Hashable, Sendable {
    package var kind: ObjectKind
    /// 1 to ``Limits/idsMax``.
    package var ids: [ObjectID]

    package init(kind: ObjectKind, ids: [ObjectID]) {
        self.kind = kind
        self.ids = ids
    }
}

/// Those that were asked for and are not there, in the order asked.
package struct Missing: Hashable, Sendable {
    package var ids: [ObjectID]
    /// Of the vault, read before it was looked through.
    package var generation: UInt64

    package init(ids: [ObjectID], generation: UInt64) {
        self.ids = ids
        self.generation = generation
    }
}

/// Bytes of an object from `offset` on, which follow the message. Answered by ``Stored``.
///
/// Parts are put in order; one that does not begin where the last ended is answered with where to go on. Without bytes it
/// asks only that.
package struct Put: Hashable, Sendable {
    package var kind: ObjectKind
    package var id: ObjectID
    /// The length of the whole object.
    package var totalBytes: Int
    package var offset: Int

    package init(kind: ObjectKind, id: ObjectID, totalBytes: Int, offset: Int) {
        self.kind = kind
        self.id = id
        self.totalBytes = totalBytes
        self.offset = offset
    }
}

/// How far an object has come.
package struct Stored: Hashable, Sendable {
    /// Bytes held, from the first on.
    package var receivedBytes: Int
    /// The whole object was checked against its id, and survives a power cut from now on.
    package var isDurable: Bool
    /// Of the vault.
    package var generation: UInt64

    package init(receivedBytes: Int, isDurable: Bool, generation: UInt64) {
        self.receivedBytes = receivedBytes
        self.isDurable = isDurable
        self.generation = generation
    }
}

/// Asks for `lengthBytes` bytes of an object from `offset` on. Answered by ``Part``.
package struct Get: Hashable, Sendable {
    package var kind: ObjectKind
    package var id: ObjectID
    package var offset: Int
    package var lengthBytes: Int

    package init(kind: ObjectKind, id: ObjectID, offset: Int, lengthBytes: Int) {
        self.kind = kind
        self.id = id
        self.offset = offset
        self.lengthBytes = lengthBytes
    }
}

/// The bytes asked for follow: all of them, or as many as there are up to the object's end.
package struct Part: Hashable, Sendable {
    /// The length of the whole object.
    package var totalBytes: Int

    package init(totalBytes: Int) { self.totalBytes = totalBytes }
}

/// Asks for snapshots in the order of their ids. Answered by ``Listing``.
package struct List: Hashable, Sendable {
    /// Only those after this.
    package var after: SnapshotID?

    package init(after: SnapshotID? = nil) { self.after = after }
}

package struct Listing: Hashable, Sendable {
    /// Ascending; at most ``Limits/idsMax``.
    package var snapshots: [SnapshotID]
    /// More come after these.
    package var hasMore: Bool

    package init(snapshots: [SnapshotID], hasMore: Bool) {
        self.snapshots = snapshots
        self.hasMore = hasMore
    }
}

extension ProtobufReader {
    mutating func kind(_ field: Int, _ allowed: [ObjectKind] = ObjectKind.allCases) throws(FormatError) -> ObjectKind {
        guard let kind = ObjectKind(rawValue: UInt8(try number(field, max: 255))), allowed.contains(kind) else {
            throw error(.unknown)
        }
        return kind
    }
}

extension Have: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        kind = try reader.kind(1, [.pack, .page, .snapshot])
        ids = try reader.identifiers(2)
        guard !ids.isEmpty else { throw reader.error(.truncated) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(kind.rawValue))
        writer.identifiers(2, ids)
    }
}

extension Missing: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        ids = try reader.identifiers(1)
        generation = try reader.number(2)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.identifiers(1, ids)
        writer.number(2, generation)
    }
}

extension Put: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        kind = try reader.kind(1, [.pack, .page, .draft])
        id = ObjectID(try reader.bytes32(2))
        totalBytes = try reader.count(3, max: kind.bytesMax)
        offset = try reader.count(4, max: totalBytes)
        guard totalBytes > 0 else { throw reader.error(.outOfRange) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(kind.rawValue))
        writer.bytes32(2, id.value)
        writer.count(3, totalBytes)
        writer.count(4, offset)
    }

    /// Whether so many bytes may follow: within the object, and none only at its beginning.
    func allows(bulkBytes: Int) -> Bool { bulkBytes <= totalBytes - offset && (bulkBytes > 0 || offset == 0) }
}

extension Stored: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        receivedBytes = try reader.count(1, max: Limits.packBytesMax)
        isDurable = try reader.flag(2)
        generation = try reader.number(3)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.count(1, receivedBytes)
        writer.flag(2, isDurable)
        writer.number(3, generation)
    }
}

extension Get: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        kind = try reader.kind(1, [.pack, .page, .snapshot])
        id = ObjectID(try reader.bytes32(2))
        offset = try reader.count(3, max: kind.bytesMax)
        lengthBytes = try reader.count(4, max: Limits.bulkBytesMax)
        guard lengthBytes > 0 else { throw reader.error(.outOfRange) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(kind.rawValue))
        writer.bytes32(2, id.value)
        writer.count(3, offset)
        writer.count(4, lengthBytes)
    }
}

extension Part: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        totalBytes = try reader.count(1, max: Limits.packBytesMax)
        guard totalBytes > 0 else { throw reader.error(.outOfRange) }
    }

    func write(to writer: inout ProtobufWriter) { writer.count(1, totalBytes) }
}

extension List: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) { after = try reader.optionalBytes32(1).map { SnapshotID($0) } }

    func write(to writer: inout ProtobufWriter) { writer.bytes32(1, after?.value) }
}

extension Listing: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        snapshots = try reader.identifiers(1)
        hasMore = try reader.flag(2)
        let isAscending = zip(snapshots, snapshots.dropFirst()).allSatisfy { $0 < $1 }
        guard isAscending, !(hasMore && snapshots.isEmpty) else { throw reader.error(.inconsistent) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.identifiers(1, snapshots)
        writer.flag(2, hasMore)
    }
}
