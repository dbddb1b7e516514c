package import BackupFormat

/// Writes what a snapshot holds at `path` to an open descriptor: a file's bytes, or a POSIX pax archive of a folder.
///
/// In an archive, what cannot be read or does not fit the format goes to `problem`; lost bytes of a file become zeros. A single
/// file that is damaged throws. Throws `notFound`, `damaged`, `storage`, `interrupted`, or `usage` for what has no bytes.
package func dumpSnapshot(
    _ contents: SnapshotContents, at path: RawPath, to descriptor: Int32, _ source: any ChunkSource, _ progress: Progress,
    problem: (FileProblem) -> Void
) throws(ArchiveError) {
    let scratch = try ChunkScratch()
    let components = path.components
    let full = RawPath(bytes: components.flatMap { [0x2f] + $0.bytes })
    let output = DumpOutput(descriptor)
    var entry: TreeEntry?
    var tree = contents.root
    if !components.isEmpty {
        guard let found = try findEntry(at: full, in: contents.root, source, scratch) else {
            throw ArchiveError(.notFound, "dump", "the snapshot holds no such path", path: full)
        }
        switch found.type {
        case .file:
            try dumpFile(found, full, output, source, scratch, progress)
            return try output.flush()
        case .directory:
            if case .stored(let keys) = found.content { tree = keys } else { tree = .empty }
        default:
            throw ArchiveError(.usage, "dump", "it is neither a file nor a folder; name the folder that holds it", path: full)
        }
        entry = found
    }
    let archive = DumpArchive(contents, output, source, scratch, progress)
    try archive.write(entry, tree, full, problem)
    try output.flush()
}

private func dumpFile(
    _ entry: TreeEntry, _ path: RawPath, _ output: DumpOutput, _ source: any ChunkSource, _ scratch: ChunkScratch,
    _ progress: Progress
) throws(ArchiveError) {
    let content = DumpContent(entry, path, source, scratch)
    while let piece = try content.next() {
        if progress.isStopping { throw interrupted("dump") }
        switch piece {
        case .bytes(let bytes): try output.write(bytes)
        case .zeros(let count): try output.writeZeros(count)
        case .lost(_, let error): throw error
        }
        progress.bytes.store(content.position, ordering: .relaxed)
    }
    progress.files.add(1, ordering: .relaxed)
}
