package import BackupFormat

/// What a persister keeps for its peer's owner. Sizes are in bytes.
package struct VaultState: Hashable, Sendable {
    /// Whether there is a vault at all; without one all else is 0.
    package var exists: Bool
    package var generation: UInt64
    package var packs: UInt64
    package var snapshots: UInt64
    /// On disk, with parity and trash.
    package var usedBytes: UInt64
    package var quotaBytes: UInt64

    package init(
        exists: Bool, generation: UInt64 = 0, packs: UInt64 = 0, snapshots: UInt64 = 0, usedBytes: UInt64 = 0,
        quotaBytes: UInt64 = 0
    ) {
        self.exists = exists
        self.generation = generation
        self.packs = packs
        self.snapshots = snapshots
        self.usedBytes = usedBytes
        self.quotaBytes = quotaBytes
    }
}

/// Asks that a draft, which was put and is durable, become a committed snapshot. Answered by ``Outcome``.
package struct Commit: Hashable, Sendable {
    /// SHA-256 of the encoded ``SnapshotRecord``.
    package var draft: ObjectID
    /// A committed snapshot that shares pages with it, which saves the persister looking through the others.
    package var basedOn: SnapshotID?
    /// Only if a snapshot of the same id stands there already; it gets this pack list.
    package var isReplacement: Bool

    package init(draft: ObjectID, basedOn: SnapshotID? = nil, isReplacement: Bool = false) {
        self.draft = draft
        self.basedOn = basedOn
        self.isReplacement = isReplacement
    }
}

/// What became of a commit.
package struct Outcome: Hashable, Sendable {
    package enum Result: Hashable, Sendable {
        /// The snapshot, its pages and its packs are durable, and stay.
        case committed
        /// Nothing has changed. Put these, then commit again; more may be missing when there are ``Limits/idsMax`` of a kind.
        case missing(packs: [PackID], pages: [PageID])
        /// It may not stand in this vault, and why.
        case rejected(String)
    }

    package var result: Result
    /// Of the vault, read before the commit.
    package var generation: UInt64

    package init(_ result: Result, generation: UInt64) {
        self.result = result
        self.generation = generation
    }
}

/// Snapshots that were removed.
package struct Forgotten: Hashable, Sendable {
    package var count: Int
    package init(count: Int) { self.count = count }
}

/// What a sweep did.
package struct Swept: Hashable, Sendable {
    /// After it.
    package var generation: UInt64
    /// Moved to the trash.
    package var trashedPacks: UInt64
    package var trashedBytes: UInt64
    /// Taken out of the trash for good.
    package var purgedBytes: UInt64

    package init(generation: UInt64, trashedPacks: UInt64 = 0, trashedBytes: UInt64 = 0, purgedBytes: UInt64 = 0) {
        self.generation = generation
        self.trashedPacks = trashedPacks
        self.trashedBytes = trashedBytes
        self.purgedBytes = purgedBytes
    }
}

/// Why a request was not carried out.
package struct Failed: Hashable, Sendable {
    package enum Code: UInt8, Hashable, Sendable, CaseIterable {
        case notFound = 1
        /// The quota or the disk is full.
        case noSpace = 2
        case notPermitted = 3
        /// It is there, and beyond repair here.
        case damaged = 4
        /// Not now; ask again later.
        case busy = 5
        /// Something in the request is wrong: an offset beyond the end, bytes that are not what their name says.
        case invalid = 6
        /// The disk or the program failed.
        case internalError = 7
    }

    package var code: Code
    /// For people; may be empty.
    package var reason: String

    package init(_ code: Code, reason: String = "") {
        self.code = code
        self.reason = reason
    }
}

extension VaultState: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        exists = try reader.flag(1)
        generation = try reader.number(2)
        packs = try reader.number(3)
        snapshots = try reader.number(4)
        usedBytes = try reader.number(5)
        quotaBytes = try reader.number(6)
        guard exists || self == VaultState(exists: false) else { throw reader.error(.inconsistent) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.flag(1, exists)
        writer.number(2, generation)
        writer.number(3, packs)
        writer.number(4, snapshots)
        writer.number(5, usedBytes)
        writer.number(6, quotaBytes)
    }
}

extension Commit: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        draft = ObjectID(try reader.bytes32(1))
        basedOn = try reader.optionalBytes32(2).map { SnapshotID($0) }
        isReplacement = try reader.flag(3)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.bytes32(1, draft.value)
        writer.bytes32(2, basedOn?.value)
        writer.flag(3, isReplacement)
    }
}

extension Outcome: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        let kind = try reader.number(1, max: 255)
        generation = try reader.number(2)
        let packs: [PackID] = try reader.identifiers(3)
        let pages: [PageID] = try reader.identifiers(4)
        let reason = try reader.text(5, limit: Limits.reasonBytesMax)
        switch (kind, packs.isEmpty && pages.isEmpty, reason.isEmpty) {
        case (1, true, true): result = .committed
        case (2, false, true): result = .missing(packs: packs, pages: pages)
        case (3, true, false): result = .rejected(reason)
        case (1...3, _, _): throw reader.error(.inconsistent)
        default: throw reader.error(.unknown)
        }
    }

    func write(to writer: inout ProtobufWriter) {
        switch result {
        case .committed:
            writer.number(1, 1)
            writer.number(2, generation)
        case .missing(let packs, let pages):
            writer.number(1, 2)
            writer.number(2, generation)
            writer.identifiers(3, packs)
            writer.identifiers(4, pages)
        case .rejected(let reason):
            writer.number(1, 3)
            writer.number(2, generation)
            writer.text(5, reason, limit: Limits.reasonBytesMax)
        }
    }
}

extension Forgotten: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) { count = try reader.count(1, max: Limits.forgetSnapshotsMax) }
    func write(to writer: inout ProtobufWriter) { writer.count(1, count) }
}

extension Swept: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        generation = try reader.number(1)
        trashedPacks = try reader.number(2)
        trashedBytes = try reader.number(3)
        purgedBytes = try reader.number(4)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, generation)
        writer.number(2, trashedPacks)
        writer.number(3, trashedBytes)
        writer.number(4, purgedBytes)
    }
}

extension Failed: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        guard let code = Code(rawValue: UInt8(try reader.number(1, max: 255))) else { throw reader.error(.unknown) }
        self.code = code
        reason = try reader.text(2, limit: Limits.reasonBytesMax)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, UInt64(code.rawValue))
        writer.text(2, reason, limit: Limits.reasonBytesMax)
    }
}
