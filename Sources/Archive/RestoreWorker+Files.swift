internal import BackupFormat
internal import HostFiles

/// Files of at most one chunk, from start to end in one go.
extension RestoreWorker {
    func restoreFile(_ entry: TreeEntry, in directory: RestoreDirectory) throws(RestoreFailure) {
        let content = try RestoreContent(entry)
        switch try decide(entry, in: directory) {
        case .keep: return run.countKept()
        case .build: break
        case .compare:
            let folder = try directory.open()
            if let existing = try? folder.openExisting(entry.name), existing.status.size == entry.size,
                try isSame(content, existing)
            {
                if try adopt(entry, existing, in: directory) { return }
            }
        }
        guard let staging = directory.staging else {
            run.writtenBytes.add(Int(content.layout.storedBytes), ordering: .relaxed)
            run.progress.bytes.add(Int(content.layout.storedBytes), ordering: .relaxed)
            return run.count(entry, unchanged: false)
        }
        // The bytes first: when they are lost, nothing has to be undone.
        let bytes = try smallContent(content)
        let folder = staging.folder(ofWorker: index)
        let staged = RestoreStagedFile(folder: folder, name: staging.newName())
        let file = try HostFilesError.of { () throws(HostFilesError) in try folder.createFile(staged.name) }
        do {
            try write(bytes, at: 0, content.layout, to: file)
            try setSize(content.layout, of: file)
            if run.request.verify, !bytes.isEmpty {
                let key = run.source.key(of: bytes)
                try verify(key, bytes.count, at: 0, content.layout, of: file)
            }
        } catch {
            staged.discard()
            throw error
        }
        try finish(entry, staged, .file(file), in: directory)
    }

    /// Extends the file over the hole at its end, if there is one.
    func setSize(_ layout: RestoreLayout, of file: TargetFile) throws(RestoreFailure) {
        guard layout.endsWithHole else { return }
        try HostFilesError.of { () throws(HostFilesError) in try file.setSize(layout.size) }
    }

    /// All stored bytes of a file of at most one chunk. They lie in the scratch.
    private func smallContent(_ content: RestoreContent) throws(RestoreFailure) -> UnsafeRawBufferPointer {
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        switch content.bytes {
        case .nothing: break
        case .inline(let inline):
            bytes = scratch.hold(inline)
        case .stored(let keys):
            if let key = keys.keys.first {
                do { bytes = try run.source.read(key, scratch) } catch { throw RestoreFailure(error) }
            }
        }
        guard bytes.count == content.layout.storedBytes else { throw RestoreContent.wrongLength }
        return bytes
    }

    private func isSame(_ content: RestoreContent, _ existing: FileHandle) throws(RestoreFailure) -> Bool {
        guard try content.layout.allHoles({ offset, length throws(RestoreFailure) in try isZero(existing, offset, length) })
        else {
            return false
        }
        let count = Int(content.layout.storedBytes)
        switch content.bytes {
        case .nothing: return true
        case .inline(let inline):
            guard let found = try read(count, at: 0, content.layout, of: existing) else { return false }
            return found.elementsEqual(inline)
        case .stored(let keys):
            guard count <= Limits.chunkBytesMax, let key = keys.keys.first else { return count == 0 }
            guard let found = try read(count, at: 0, content.layout, of: existing) else { return false }
            return run.source.matches(found, key)
        }
    }

    /// Writes stored bytes to their places in the file.
    func write(
        _ bytes: UnsafeRawBufferPointer, at stored: UInt64, _ layout: RestoreLayout, to file: TargetFile
    ) throws(RestoreFailure) {
        try layout.forEachRun(stored, bytes.count) { piece, offset throws(RestoreFailure) in
            try HostFilesError.of { () throws(HostFilesError) in
                let piece = UnsafeRawBufferPointer(rebasing: bytes[piece])
                if layout.isLarge { try file.writeUncached(piece, at: offset) } else { try file.write(piece, at: offset) }
            }
        }
        run.writtenBytes.add(bytes.count, ordering: .relaxed)
        run.progress.bytes.add(bytes.count, ordering: .relaxed)
    }

    /// Reads stored bytes back from the file; nil when it is too short.
    func read(
        _ count: Int, at stored: UInt64, _ layout: RestoreLayout, of file: some RestoreReadable
    ) throws(RestoreFailure) -> UnsafeRawBufferPointer? {
        let buffer = existingBytes
        var whole = true
        try layout.forEachRun(stored, count) { piece, offset throws(RestoreFailure) in
            let read = try HostFilesError.of { () throws(HostFilesError) in
                try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[piece]), at: offset)
            }
            whole = whole && read == piece.count
        }
        return whole ? UnsafeRawBufferPointer(rebasing: buffer[..<count]) : nil
    }

    /// Reads stored bytes back from the disk, and throws when they are not the chunk that `key` names.
    func verify(
        _ key: ChunkKey, _ count: Int, at stored: UInt64, _ layout: RestoreLayout, of file: TargetFile
    ) throws(RestoreFailure) {
        try layout.forEachRun(stored, count) { piece, offset throws(RestoreFailure) in
            try HostFilesError.of { () throws(HostFilesError) in try file.forgetCached(offset: offset, length: piece.count) }
        }
        guard let found = try read(count, at: stored, layout, of: file), run.source.matches(found, key) else {
            throw .entry(operation: "verify", reason: "the disk gives back other bytes than were written; check the disk")
        }
    }

    /// Whether a part of a file reads as zeros.
    func isZero(_ file: FileHandle, _ offset: UInt64, _ length: UInt64) throws(RestoreFailure) -> Bool {
        var position = offset
        while position < offset + length {
            if run.isStopping { throw .fatal(run.outcome ?? interrupted("restore")) }
            guard let data = try HostFilesError.of({ () throws(HostFilesError) in try file.nextData(from: position) }) else {
                return true
            }
            position = max(position, data)
            if position >= offset + length { return true }
            let count = Int(min(offset + length - position, 1 << 20))
            let buffer = UnsafeMutableRawBufferPointer(rebasing: existingBytes[..<count])
            let read = try HostFilesError.of { () throws(HostFilesError) in try file.read(into: buffer, at: position) }
            guard read == count, !buffer.contains(where: { $0 != 0 }) else { return false }
            position += UInt64(count)
        }
        return true
    }
}

/// What can be read back from the target.
protocol RestoreReadable {
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(HostFilesError) -> Int
}

extension FileHandle: RestoreReadable {}
extension TargetFile: RestoreReadable {}

/// A file's content as its entry gives it, with lengths that agree.
struct RestoreContent {
    enum Bytes {
        case nothing
        case inline([UInt8])
        case stored(KeyList)
    }

    let bytes: Bytes
    let layout: RestoreLayout

    init(_ entry: TreeEntry) throws(RestoreFailure) {
        guard let layout = RestoreLayout(entry) else { throw RestoreContent.wrongLength }
        self.layout = layout
        switch entry.content {
        case .none:
            guard layout.storedBytes == 0 else {
                throw .entry(operation: "read", reason: "the snapshot does not hold its content; it could not be read then")
            }
            bytes = .nothing
        case .inline(let inline):
            guard UInt64(inline.count) == layout.storedBytes else { throw RestoreContent.wrongLength }
            bytes = .inline(inline)
        case .stored(let keys): bytes = keys == .empty ? .nothing : .stored(keys)
        }
        if case .nothing = bytes, layout.storedBytes != 0 { throw RestoreContent.wrongLength }
    }

    static let wrongLength = RestoreFailure.entry(
        operation: "read", reason: "its content is not as long as its size says; use another snapshot")
}
