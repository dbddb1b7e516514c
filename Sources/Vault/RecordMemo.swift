package import BackupFormat
internal import HostFiles

/// Records as they were read, by the marks of their files: a round with a peer looks at each record, and they hardly ever change.
struct RecordMemo: Sendable {
    private var records: [SnapshotID: (mark: UInt64, record: SnapshotRecord, size: Int)] = [:]
    private var bytes = 0
    private static let bytesMax = 1 << 20

    func record(_ id: SnapshotID, mark: UInt64) -> SnapshotRecord? {
        guard let found = records[id], found.mark == mark else { return nil }
        return found.record
    }

    /// `bytes` is what it takes in memory, about. When too much has come together, all is read anew once.
    mutating func add(_ record: SnapshotRecord, _ id: SnapshotID, mark: UInt64) {
        let size = 512 + record.sealed.count + record.pages.count * MemoryLayout<SnapshotRecord.Page>.stride
        if bytes + size > RecordMemo.bytesMax {
            records = [:]
            bytes = 0
        }
        guard size <= RecordMemo.bytesMax / 16 else { return }
        bytes += size - (records.updateValue((mark, record, size), forKey: id)?.size ?? 0)
    }
}

extension Vault {
    /// A committed snapshot's record, as ``snapshotRecord(_:)`` reads it, or as it was read before from a file that nobody has written to
    /// since: decay of the file does not show.
    package func knownRecord(_ id: SnapshotID) throws(VaultError) -> SnapshotRecord {
        let path = snapshotPath(id)
        // Before it is read: what comes in its place meanwhile has another mark.
        guard let mark = try files("look at", path, { () throws(HostFilesError) in try disk.status(path)?.changeMark }) else {
            return try snapshotRecord(id)
        }
        if let known = records.withLock({ $0.record(id, mark: mark) }) { return known }
        let record = try snapshotRecord(id)
        records.withLock { $0.add(record, id, mark: mark) }
        return record
    }
}
