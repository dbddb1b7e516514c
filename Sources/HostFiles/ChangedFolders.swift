package import BackupFormat

/// Which folders have changed since a moment: what a watch has told of, and what a backup then looks into.
///
/// Bounded: with more folders than ``foldersMax`` it knows only that much has changed, which is a doubt, and a doubt means that all
/// has to be walked.
package struct ChangedFolders: Sendable, Equatable {
    package enum Extent: UInt8, Sendable, Comparable {
        /// Its entries, or the folder itself.
        case entries
        /// Everything below it: it was made, or moved to where it is.
        case everything

        package static func < (a: Extent, b: Extent) -> Bool { a.rawValue < b.rawValue }
    }

    /// What it is worth knowing each of: beyond this a walk is the quicker way, and memory has an end.
    package static let foldersMax = 20_000
    /// How many bytes the paths may have together.
    private static let pathBytesMax = 4 << 20
    private static let doubtsMax = 4

    /// Absolute paths.
    package private(set) var folders: [RawPath: Extent] = [:]
    /// Why something may have changed elsewhere, in words; empty where `folders` is all.
    package private(set) var doubts: [String] = []
    private var pathBytes = 0

    package init() {}

    package init(doubt: String) { doubts = [doubt] }

    package var isEmpty: Bool { folders.isEmpty && doubts.isEmpty }

    /// Whether nothing can have changed besides what `folders` names.
    package var isCertain: Bool { doubts.isEmpty }

    package mutating func note(_ folder: RawPath, _ extent: Extent = .entries) {
        if let known = folders[folder] {
            if known < extent { folders[folder] = extent }
            return
        }
        guard folder.bytes.count <= Limits.pathBytesMax else {
            return doubt("a folder has changed whose path is too long to be told")
        }
        guard folders.count < ChangedFolders.foldersMax, pathBytes + folder.bytes.count <= ChangedFolders.pathBytesMax else {
            return doubt("more folders have changed than are kept apart")
        }
        pathBytes += folder.bytes.count
        folders[folder] = extent
    }

    package mutating func doubt(_ reason: String) {
        if doubts.count < ChangedFolders.doubtsMax, !doubts.contains(reason) { doubts.append(reason) }
    }

    package mutating func merge(_ other: ChangedFolders) {
        for (folder, extent) in other.folders { note(folder, extent) }
        for reason in other.doubts { doubt(reason) }
    }

    /// Whether a change in that folder is among these.
    package func covers(_ folder: RawPath) -> Bool {
        if folders[folder] != nil { return true }
        var path = folder
        while path.bytes.count > 1 {
            path = path.parent
            if folders[path] == .everything { return true }
        }
        return false
    }

    /// The folders in byte order.
    package var sorted: [(folder: RawPath, extent: Extent)] {
        folders.sorted { $0.key < $1.key }.map { (folder: $0.key, extent: $0.value) }
    }
}

extension ChangedFolders {
    private static let magic = Array("bakareC1".utf8)
    /// What ``encode()`` writes is never longer.
    package static let encodedBytesMax = 64 + pathBytesMax + foldersMax * 8 + doubtsMax * 1024

    /// For another process of this program.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + pathBytes + folders.count * 4)
        writer.raw(ChangedFolders.magic)
        writer.count(doubts.count)
        for reason in doubts { writer.byteString(Array(reason.utf8.prefix(1000))) }
        writer.count(folders.count)
        for (folder, extent) in sorted {
            writer.byte(extent.rawValue)
            writer.byteString(folder.bytes)
        }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                var reader = ByteReader(bytes, "changed folders")
                return try ChangedFolders(&reader)
            }
        }
        self = try result.get()
    }

    private init(_ reader: inout ByteReader) throws(FormatError) {
        guard try reader.bytes(ChangedFolders.magic.count).elementsEqual(ChangedFolders.magic) else {
            throw reader.error(.unknown)
        }
        for _ in 0..<(try reader.count(limit: ChangedFolders.doubtsMax)) {
            doubt(String(decoding: try reader.byteString(limit: 1000), as: UTF8.self))
        }
        for _ in 0..<(try reader.count(limit: ChangedFolders.foldersMax)) {
            guard let extent = Extent(rawValue: try reader.byte()) else { throw reader.error(.outOfRange) }
            note(RawPath(bytes: try reader.byteString(limit: Limits.pathBytesMax)), extent)
        }
        try reader.end()
    }
}

extension RawPath {
    /// Whether this path is that folder, or lies in it.
    package func isWithin(_ folder: RawPath) -> Bool {
        if folder.bytes == [0x2f] { return bytes.first == 0x2f }
        guard bytes.starts(with: folder.bytes) else { return false }
        return bytes.count == folder.bytes.count || bytes[folder.bytes.count] == 0x2f
    }
}
