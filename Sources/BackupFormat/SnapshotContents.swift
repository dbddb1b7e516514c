/// The part of a snapshot that only the owner can read: sealed to the owner's public key.
package struct SnapshotContents: Hashable, Sendable {
    /// A name for a numeric user or group, as the machine had it.
    package struct OwnerName: Hashable, Sendable {
        package var number: UInt32
        package var name: [UInt8]
        package init(number: UInt32, name: [UInt8]) {
            self.number = number
            self.name = name
        }
    }

    /// The tree of `/`, holding the backed-up paths and, above each, the folders on the way.
    package var root: KeyList
    package var host: String
    /// Nanoseconds since 1970 when the backup began.
    package var time: Int64
    package var paths: [RawPath]
    package var tags: [String]
    package var files: UInt64
    package var directories: UInt64
    /// Apparent size of all regular files, in bytes.
    package var bytes: UInt64
    package var users: [OwnerName]
    package var groups: [OwnerName]
    /// How many files could not be read, and the stream that names each.
    package var problemCount: UInt64
    package var problems: KeyList

    package init(
        root: KeyList, host: String, time: Int64, paths: [RawPath], tags: [String], files: UInt64, directories: UInt64,
        bytes: UInt64,
        users: [OwnerName], groups: [OwnerName], problemCount: UInt64, problems: KeyList
    ) {
        self.root = root
        self.host = host
        self.time = time
        self.paths = paths
        self.tags = tags
        self.files = files
        self.directories = directories
        self.bytes = bytes
        self.users = users
        self.groups = groups
        self.problemCount = problemCount
        self.problems = problems
    }

    /// What an unfinished snapshot is known by: no user can give this tag, as it has a comma.
    private static let unfinishedTag = ",unfinished"

    /// On snapshots of what a watch told of, which are thinned out by themselves.
    package static let watchedTag = "continuous"

    /// It stands for a backup that has not ended: it has no files, and only keeps packs.
    package var isUnfinished: Bool { tags == [SnapshotContents.unfinishedTag] }

    package init(unfinishedOn host: String, at time: Int64, _ paths: [RawPath]) {
        self.init(
            root: .empty, host: host, time: time, paths: paths, tags: [SnapshotContents.unfinishedTag], files: 0, directories: 0,
            bytes: 0, users: [], groups: [], problemCount: 0, problems: .empty)
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.byte(formatVersion)
        root.encode(into: &writer)
        writer.byteString(Array(host.utf8))
        writer.signedVarint(time)
        writer.count(paths.count)
        for path in paths { writer.byteString(path.bytes) }
        writer.count(tags.count)
        for tag in tags { writer.byteString(Array(tag.utf8)) }
        writer.varint(files)
        writer.varint(directories)
        writer.varint(bytes)
        for names in [users, groups] {
            writer.count(names.count)
            for name in names {
                writer.varint(UInt64(name.number))
                writer.byteString(name.name)
            }
        }
        writer.varint(problemCount)
        problems.encode(into: &writer)
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "snapshot contents")
        guard try reader.byte() == formatVersion else { throw reader.error(.unknown) }
        root = try KeyList(decoding: &reader)
        host = try decodeText(&reader, limit: Limits.hostBytesMax)
        time = try reader.signedVarint()
        paths = []
        for _ in 0..<(try reader.count(limit: Limits.pathsMax)) {
            paths.append(RawPath(bytes: try reader.byteString(limit: Limits.pathBytesMax)))
        }
        tags = []
        for _ in 0..<(try reader.count(limit: Limits.tagsMax)) {
            tags.append(try decodeText(&reader, limit: Limits.tagBytesMax))
        }
        // Counts are added up and shown as signed numbers.
        files = UInt64(try reader.count(limit: Int.max))
        directories = UInt64(try reader.count(limit: Int.max))
        self.bytes = UInt64(try reader.count(limit: Int.max))
        users = try decodeNames(&reader)
        groups = try decodeNames(&reader)
        problemCount = UInt64(try reader.count(limit: Int.max))
        problems = try KeyList(decoding: &reader)
        try reader.end()
    }
}

private func decodeText(_ reader: inout ByteReader, limit: Int) throws(FormatError) -> String {
    guard let text = String(validating: try reader.byteString(limit: limit), as: UTF8.self) else {
        throw reader.error(.inconsistent)
    }
    return text
}

private func decodeNames(_ reader: inout ByteReader) throws(FormatError) -> [SnapshotContents.OwnerName] {
    var names: [SnapshotContents.OwnerName] = []
    for _ in 0..<(try reader.count(limit: Limits.ownerNamesMax)) {
        let number = UInt32(try reader.count(limit: Int(UInt32.max)))
        if let last = names.last, last.number >= number { throw reader.error(.inconsistent) }
        names.append(SnapshotContents.OwnerName(number: number, name: try reader.byteString(limit: 255)))
    }
    return names
}
