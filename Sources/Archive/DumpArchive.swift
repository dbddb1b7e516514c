internal import BackupFormat

/// Writes a folder as a POSIX pax archive (IEEE 1003.1 `pax`, interchange format), one entry in memory at a time.
final class DumpArchive {
    private let output: DumpOutput
    private let source: any ChunkSource
    private let scratch: ChunkScratch
    private let progress: Progress
    private let users: [UInt32: [UInt8]]
    private let groups: [UInt32: [UInt8]]
    /// The first name of each file with several. Once full, further such files are written out each time.
    private var firstNames: [Bytes32: [UInt8]] = [:]
    private var firstNamesBytes = 0
    private static let firstNamesBytesMax = 16 << 20

    init(
        _ contents: SnapshotContents, _ output: DumpOutput, _ source: any ChunkSource, _ scratch: ChunkScratch,
        _ progress: Progress
    ) {
        self.output = output
        self.source = source
        self.scratch = scratch
        self.progress = progress
        users = Dictionary(contents.users.map { ($0.number, $0.name) }) { first, _ in first }
        groups = Dictionary(contents.groups.map { ($0.number, $0.name) }) { first, _ in first }
    }

    /// Writes the folder's own entry (none for the root), all below it, and the end mark.
    func write(
        _ folder: TreeEntry?, _ tree: KeyList, _ path: RawPath, _ problem: (FileProblem) -> Void
    ) throws(ArchiveError) {
        if let folder { try write(folder, path, problem) }
        let cursor = TreeCursor(tree, path: path, source, scratch)
        while cursor.depth > 0 {
            if progress.isStopping { throw interrupted("dump") }
            let entry: TreeEntry?
            do { entry = try cursor.next().map { view throws(ArchiveError) in try decodeEntry(view) } } catch {
                report(FileProblem(path: cursor.folder, operation: "list", reason: error.message), problem)
                if error.code == .interrupted || error.code == .storage { throw error }
                continue
            }
            guard let entry else {
                cursor.ascend()
                continue
            }
            try write(entry, cursor.path(of: entry.name), problem)
            if entry.type == .directory, case .stored(let keys) = entry.content, keys != .empty {
                cursor.descend(entry.name.bytes, keys)
            }
        }
        try output.writeZeros(1024)
        // Whole records of 10 KiB, as tape drives and old programs expect.
        let rest = output.count % 10240
        if rest > 0 { try output.writeZeros(10240 - rest) }
    }

    private func report(_ found: FileProblem, _ problem: (FileProblem) -> Void) {
        progress.problems.add(1, ordering: .relaxed)
        problem(found)
    }

    private func write(_ entry: TreeEntry, _ path: RawPath, _ problem: (FileProblem) -> Void) throws(ArchiveError) {
        if entry.type == .socket {
            return report(FileProblem(path: path, operation: "dump", reason: "tar has no form for a socket; left out"), problem)
        }
        var name = Array(path.bytes.dropFirst())
        if entry.type == .directory { name.append(0x2f) }
        var header = DumpHeader(entry, name: name, user: users[entry.uid], group: groups[entry.gid])
        if entry.linkCount > 1, entry.type != .directory {
            let identity = linkIdentity(entry)
            if let first = firstNames[identity] {
                header.makeLink(to: first)
                return try output.write(header.encode())
            }
            if firstNamesBytes < DumpArchive.firstNamesBytesMax {
                firstNames[identity] = name
                firstNamesBytes += name.count + 96
            }
        }
        try output.write(header.encode())
        if entry.type == .file { try writeContent(entry, path, problem) }
        if entry.type == .directory {
            progress.directories.add(1, ordering: .relaxed)
        } else {
            progress.files.add(1, ordering: .relaxed)
        }
    }

    private func writeContent(_ entry: TreeEntry, _ path: RawPath, _ problem: (FileProblem) -> Void) throws(ArchiveError) {
        let content = DumpContent(entry, path, source, scratch)
        var lost: (bytes: Int, error: ArchiveError)?
        while true {
            if progress.isStopping { throw interrupted("dump") }
            let before = content.position
            let piece: DumpContent.Piece?
            do { piece = try content.next() } catch {
                if error.endsReading { throw error }
                let rest = Int(clamping: entry.size) - before
                lost = ((lost?.bytes ?? 0) + rest, error)
                try output.writeZeros(rest)
                break
            }
            guard let piece else { break }
            switch piece {
            case .bytes(let bytes): try output.write(bytes)
            case .zeros(let count): try output.writeZeros(count)
            case .lost(let count, let error):
                lost = ((lost?.bytes ?? 0) + count, error)
                try output.writeZeros(count)
            }
            progress.bytes.add(content.position - before, ordering: .relaxed)
        }
        let padding = Int(clamping: entry.size) % 512
        if padding > 0 { try output.writeZeros(512 - padding) }
        if let lost {
            let reason = "\(lost.bytes) bytes are lost and stand as zeros in the archive: \(lost.error.message)"
            report(FileProblem(path: path, operation: "read", reason: reason), problem)
        }
    }
}
