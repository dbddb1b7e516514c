package import Archive
package import BackupFormat
package import HostFiles

/// What the running node gives to a `backup` that it starts for a watched set: what has changed, and since when.
package struct BackupGuide: Sendable {
    /// Nil for the first, and after any doubt: everything is walked.
    package var changes: WatchedChanges?

    package init(_ changes: WatchedChanges?) { self.changes = changes }

    private static let magic = Array("bakareG1".utf8)
    package static let encodedBytesMax = ChangedFolders.encodedBytesMax + 128

    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(BackupGuide.magic)
        writer.byte(changes == nil ? 0 : 1)
        if let changes {
            writer.bytes32(changes.base.value)
            writer.bytes32(changes.digest)
            writer.byte(changes.use.rawValue)
            writer.raw(changes.folders.encode())
        }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                var reader = ByteReader(bytes, "what has changed")
                guard try reader.bytes(8).elementsEqual(BackupGuide.magic) else { throw reader.error(.unknown) }
                let mark = try reader.byte()
                guard mark <= 1 else { throw reader.error(.unknown) }
                if mark == 0 {
                    try reader.end()
                    return BackupGuide(nil)
                }
                let (base, digest) = (SnapshotID(try reader.bytes32()), try reader.bytes32())
                guard let use = WatchedChanges.Use(rawValue: try reader.byte()) else { throw reader.error(.outOfRange) }
                let folders = try ChangedFolders(decoding: Array(try reader.bytes(reader.remaining)))
                return BackupGuide(WatchedChanges(base: base, digest: digest, folders: folders, use: use))
            }
        }
        self = try result.get()
    }
}

/// What such a `backup` answers.
package struct GuidedOutcome: Sendable, Equatable {
    package var snapshot: SnapshotID
    package var digest: Bytes32
    /// Only what had changed was looked into.
    package var isGuided: Bool
    /// Nothing had changed, and the snapshot is the one from before.
    package var isUnchanged: Bool
    /// Why a walk may find more, if it may.
    package var doubt: String?
    /// Folders in which something has changed without the watch having told, the first of them; and how many in all.
    package var untold: [RawPath]
    package var untoldCount: Int
    /// Folders of files that could not be read, to be looked into again.
    package var again: ChangedFolders

    package init(_ report: BackupReport, _ snapshot: SnapshotID, digest: Bytes32) {
        self.snapshot = snapshot
        self.digest = digest
        isGuided = report.isGuided
        isUnchanged = report.isUnchanged
        doubt = report.doubt
        untold = report.untold
        untoldCount = report.untoldCount
        again = ChangedFolders()
        for problem in report.errors { again.note(problem.path.parent) }
        if report.errorCount > report.errors.count { again.doubt("many files could not be read") }
    }

    private static let magic = Array("bakareO1".utf8)
    private static let untoldMax = 1000
    private static let untoldBytesMax = 1 << 20
    /// What ``encode()`` writes is never longer.
    package static let encodedBytesMax = 2048 + untoldBytesMax + untoldMax * 8 + ChangedFolders.encodedBytesMax

    package func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(GuidedOutcome.magic)
        writer.bytes32(snapshot.value)
        writer.bytes32(digest)
        writer.byte((isGuided ? 1 : 0) + (isUnchanged ? 2 : 0))
        writer.byteString(Array((doubt ?? "").utf8.prefix(1000)))
        writer.count(untoldCount)
        var (named, namedBytes) = ([RawPath](), 0)
        for folder in untold.prefix(GuidedOutcome.untoldMax) where folder.bytes.count <= Limits.pathBytesMax {
            namedBytes += folder.bytes.count
            guard namedBytes <= GuidedOutcome.untoldBytesMax else { break }
            named.append(folder)
        }
        writer.count(named.count)
        for folder in named { writer.byteString(folder.bytes) }
        writer.raw(again.encode())
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                var reader = ByteReader(bytes, "a backup's answer")
                return try GuidedOutcome(&reader)
            }
        }
        self = try result.get()
    }

    private init(_ reader: inout ByteReader) throws(FormatError) {
        guard try reader.bytes(8).elementsEqual(GuidedOutcome.magic) else { throw reader.error(.unknown) }
        snapshot = SnapshotID(try reader.bytes32())
        digest = try reader.bytes32()
        let flags = try reader.byte()
        guard flags < 4 else { throw reader.error(.outOfRange) }
        (isGuided, isUnchanged) = (flags & 1 != 0, flags & 2 != 0)
        let reason = String(decoding: try reader.byteString(limit: 1000), as: UTF8.self)
        doubt = reason.isEmpty ? nil : reason
        untoldCount = try reader.count(limit: Int.max)
        untold = []
        for _ in 0..<(try reader.count(limit: GuidedOutcome.untoldMax)) {
            untold.append(RawPath(bytes: try reader.byteString(limit: Limits.pathBytesMax)))
        }
        again = try ChangedFolders(decoding: Array(try reader.bytes(reader.remaining)))
    }
}

extension Home {
    /// What the running node has left for a `backup`.
    package func readGuide(_ path: RawPath) throws(NodeError) -> BackupGuide {
        do {
            guard let bytes = try disk.readFile(path, limit: BackupGuide.encodedBytesMax) else {
                throw NodeError(.failed, "backup", "what the running node noted is gone", path: path)
            }
            return try BackupGuide(decoding: bytes)
        } catch let error as NodeError { throw error } catch { throw NodeError(.failed, "backup", "\(error)", path: path) }
    }
}
