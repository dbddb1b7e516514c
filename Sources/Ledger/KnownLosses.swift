package import BackupFormat
package import HostFiles

/// What is lost of the own backups, as checks and the daily scrub have found: shown until it is found whole again.
///
/// A cache as all of the ledger is: a check makes it anew.
package struct KnownLosses: Sendable, Hashable {
    /// How a pack is lost. Raw values are stored.
    package enum Kind: UInt8, Sendable, Hashable {
        /// It is here, and parity cannot rebuild it.
        case damaged = 1
        /// It is not here, nor a stub of it.
        case missing = 2
        /// It was with peers only, and none of them has it whole.
        case elsewhere = 3
    }

    package var packs: [PackID: Kind] = [:]
    /// Snapshots that lack something, though their lists name no pack that is lost.
    package var snapshots: Set<SnapshotID> = []

    package init() {}

    package var isEmpty: Bool { packs.isEmpty && snapshots.isEmpty }
    /// Those that can be looked at here.
    package var damaged: Set<PackID> { Set(packs.filter { $0.value == .damaged }.keys) }

    /// Those that are here, or stubs of them, and not whole as far as is known: no backup is to count on what they held.
    package var unreliable: Set<PackID> { Set(packs.filter { $0.value != .missing }.keys) }

    // MARK: On disk

    private static let name: RawPath = "losses"
    private static let bytesMax = 16 << 20
    /// More than this many packs or snapshots are not remembered.
    private static let listedMax = 1 << 17

    /// None where there is no file that can be read.
    package static func read(_ disk: any Disk, directory: RawPath) -> KnownLosses {
        guard let bytes = try? ProtectedFile.content(disk, directory.appending(name), limit: bytesMax),
            let losses = try? KnownLosses(decoding: bytes)
        else { return KnownLosses() }
        return losses
    }

    /// Writes only what is new.
    package func write(_ disk: any Disk, directory: RawPath) throws(HostFilesError) {
        if KnownLosses.read(disk, directory: directory) == self { return }
        try disk.replaceProtectedFile(directory.appending(KnownLosses.name), with: encode())
    }

    /// `bakareLS`, version; count of packs, each with id 32 and kind u8, ascending; count of snapshots, each with id 32, ascending.
    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.head("bakareLS")
        let packs = packs.sorted { $0.key < $1.key }.prefix(KnownLosses.listedMax)
        writer.count(packs.count)
        for (pack, kind) in packs {
            writer.bytes32(pack.value)
            writer.byte(kind.rawValue)
        }
        let snapshots = snapshots.sorted().prefix(KnownLosses.listedMax)
        writer.count(snapshots.count)
        for snapshot in snapshots { writer.bytes32(snapshot.value) }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FormatError) in
                var reader = ByteReader(buffer, "known losses")
                try reader.head("bakareLS")
                var losses = KnownLosses()
                var last: PackID?
                for _ in 0..<(try reader.count(limit: KnownLosses.listedMax)) {
                    let pack = PackID(try reader.bytes32())
                    guard last.map({ $0 < pack }) ?? true else { throw reader.error(.inconsistent) }
                    guard let kind = Kind(rawValue: try reader.byte()) else { throw reader.error(.unknown) }
                    losses.packs[pack] = kind
                    last = pack
                }
                var lastSnapshot: SnapshotID?
                for _ in 0..<(try reader.count(limit: KnownLosses.listedMax)) {
                    let snapshot = SnapshotID(try reader.bytes32())
                    guard lastSnapshot.map({ $0 < snapshot }) ?? true else { throw reader.error(.inconsistent) }
                    losses.snapshots.insert(snapshot)
                    lastSnapshot = snapshot
                }
                try reader.end()
                return losses
            }
        }
        self = try result.get()
    }
}
