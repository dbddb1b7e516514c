internal import BackupFormat
internal import Chunking
internal import HostFiles
internal import Synchronization

/// A file of more than one chunk, or with holes: read and cut by one worker, while others hash and seal its chunks.
final class BackupFile: Sendable {
    private let folder: BackupFolder
    private let slot: Int
    private let name: RawPath
    /// Of a file with several names.
    private let identity: FileIdentity?
    /// Its entry in the last backup, encoded.
    private let last: [UInt8]?

    /// A file that keeps changing is read this many times, if it is not larger than that.
    private static let attemptsMax = 3
    private static let rereadBytesMax = 1 << 30
    static let readBytes = 256 << 10

    init(_ folder: BackupFolder, _ slot: Int, _ name: RawPath, _ identity: FileIdentity?, last: [UInt8]?) {
        self.folder = folder
        self.slot = slot
        self.name = name
        self.identity = identity
        self.last = last
    }

    private var path: RawPath { folder.path.appending(name) }

    /// Reads the file. Its entry follows once the last chunk is stored.
    func read(_ worker: BackupWorker) throws(ArchiveError) {
        do throws(SmallFileError) {
            try readUntilStill(worker)
        } catch {
            switch error {
            case .archive(let error): throw error
            case .file(let error):
                try resolve(try lastKnown(error, worker), worker)
                // Each of the others has a last known state of its own.
                for other in identity.map({ folder.run.linkedFiles.end($0) }) ?? [] { folder.run.scheduler.push(other) }
            }
        }
    }

    private func open() throws(SmallFileError) -> FileHandle {
        defer { folder.releaseHandle() }
        guard let handle = folder.handle else { throw .file(HostFilesError(.other, "open")) }
        return try onFile { () throws(HostFilesError) in try handle.openFile(name) }
    }

    private func readUntilStill(_ worker: BackupWorker) throws(SmallFileError) {
        let file = try open()
        // As it was when it was opened: the listing may be long ago.
        var before = file.status
        for attempt in 1...BackupFile.attemptsMax {
            let content = FileContent(self)
            let (size, extents) = try readContent(of: file, before, into: content, worker)
            let after = try onFile { () throws(HostFilesError) in try file.currentStatus() }
            let changed =
                after.modified != before.modified || after.changed != before.changed || after.size != before.size
                || size != after.size
            if changed, attempt < BackupFile.attemptsMax, after.size <= UInt64(BackupFile.rereadBytesMax) {
                before = after
                continue
            }
            var entry = folder.run.entry(name: name, status: after, content: .none)
            entry.size = size
            entry.extents = extents
            if changed {
                entry.marks.insert(.changedWhileRead)
                folder.run.record(path, "read", "it changed while it was read; what is stored may mix two states")
            }
            folder.run.addAttributes(to: &entry, last: decodeEntry(last), of: path) { () throws(HostFilesError) in
                try file.extendedAttributes()
            }
            folder.run.progress.bytes.add(Int(clamping: size), ordering: .relaxed)
            do throws(ArchiveError) { try content.finish(entry, worker) } catch { throw .archive(error) }
            return
        }
    }

    /// Reads and cuts all data; the size that was found, and the extents if there are holes.
    private func readContent(
        of file: FileHandle, _ status: FileStatus, into content: FileContent, _ worker: BackupWorker
    ) throws(SmallFileError) -> (size: UInt64, extents: [Extent]?) {
        let extents = try onFile { () throws(HostFilesError) in try file.dataExtents(of: status) }
        var cutter = ChunkCutting(content, worker)
        defer {
            cutter.giveBack()
            // From here on, the file counts with its size.
            folder.run.progress.bytes.subtract(cutter.countedBytes, ordering: .relaxed)
        }
        guard let extents else {
            file.willReadSequentially()
            var position: UInt64 = 0
            while true {
                let count = try cutter.read(file, at: position, atMost: BackupFile.readBytes)
                if count == 0 { break }
                position += UInt64(count)
            }
            try cutter.finish()
            return (position, nil)
        }
        var found: [Extent] = []
        for extent in extents {
            var done: UInt64 = 0
            while done < extent.length {
                let wanted = Int(min(UInt64(BackupFile.readBytes), extent.length - done))
                let count = try cutter.read(file, at: extent.offset + done, atMost: wanted)
                if count == 0 { break }
                done += UInt64(count)
            }
            if done > 0 { found.append(Extent(offset: extent.offset, length: done)) }
            if done < extent.length {
                // It was cut short meanwhile: what is stored ends here.
                try cutter.finish()
                return (extent.offset + done, found)
            }
        }
        try cutter.finish()
        return (status.size, found)
    }

    private func lastKnown(_ error: HostFilesError, _ worker: BackupWorker) throws(ArchiveError) -> SlotValue {
        let isKept = error.code != .notFound
        guard let last else { return try folder.lastKnown(nil, path, error, isKept: isKept, worker) }
        let result = last.withUnsafeBytes { bytes in
            Result { () throws(ArchiveError) in
                var reader = ByteReader(bytes, "tree entry")
                return try folder.lastKnown(try? TreeEntryView(parsing: &reader), path, error, isKept: isKept, worker)
            }
        }
        return try result.get()
    }

    /// Hands the entry to the folder, and to those of its other names.
    func resolve(_ entry: TreeEntry, _ worker: BackupWorker) throws(ArchiveError) {
        folder.run.linkedFiles.keep(entry)
        try resolve(.encoded(encode(entry)), worker)
        guard let identity else { return }
        for other in folder.run.linkedFiles.end(identity) {
            if entry.marks.isEmpty { try other.take(entry, worker) } else { folder.run.scheduler.push(other) }
        }
    }

    /// Takes over what was read under another name.
    private func take(_ entry: TreeEntry, _ worker: BackupWorker) throws(ArchiveError) {
        folder.releaseHandle()
        folder.run.progress.bytes.add(Int(clamping: entry.size), ordering: .relaxed)
        var entry = entry
        entry.name = name
        try resolve(.encoded(encode(entry)), worker)
    }

    private func resolve(_ value: SlotValue, _ worker: BackupWorker) throws(ArchiveError) {
        folder.slots.resolve(slot, value)
        try BackupFolder.settle(folder, worker)
    }
}

/// Why one file could not be backed up: its own trouble, or that of the whole backup.
enum SmallFileError: Error {
    case file(HostFilesError)
    case archive(ArchiveError)
}

/// Runs an operation on a file, and marks its error as that file's.
func onFile<R>(_ body: () throws(HostFilesError) -> R) throws(SmallFileError) -> R {
    do { return try body() } catch { throw .file(error) }
}

/// Cuts what is read of one file into chunks and passes them on.
private struct ChunkCutting {
    private let content: FileContent
    private let worker: BackupWorker
    private var buffer: ChunkBuffer?
    private var search = GearCutter.Progress()
    /// What progress was told of so far: a large file takes long.
    private(set) var countedBytes = 0

    init(_ content: FileContent, _ worker: BackupWorker) {
        self.content = content
        self.worker = worker
    }

    /// Reads on into the current chunk, and cuts it where the content says. The number of bytes read; 0 at the end.
    mutating func read(_ file: FileHandle, at position: UInt64, atMost count: Int) throws(SmallFileError) -> Int {
        if worker.run.progress.isStopping { throw .archive(ArchiveError(.interrupted, "back up", "stopped on request")) }
        let buffer = try current()
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer.free.prefix(count))
        let got = try onFile { () throws(HostFilesError) in try file.read(into: room, at: position) }
        buffer.count += got
        countedBytes += got
        worker.run.progress.bytes.add(got, ordering: .relaxed)
        if let length = worker.run.cutter.cut(buffer.plain, &search) {
            let next = try worker.takeBuffer()
            let rest = UnsafeRawBufferPointer(rebasing: buffer.plain[length...])
            next.free.copyMemory(from: rest)
            next.count = rest.count
            buffer.count = length
            self.buffer = next
            search = GearCutter.Progress()
            try worker.submit(buffer, of: content)
        }
        return got
    }

    private mutating func current() throws(SmallFileError) -> ChunkBuffer {
        if let buffer { return buffer }
        let fresh = try worker.takeBuffer()
        buffer = fresh
        return fresh
    }

    /// Passes on the last chunk.
    mutating func finish() throws(SmallFileError) {
        guard let last = buffer, last.count > 0 else { return }
        buffer = nil
        try worker.submit(last, of: content)
    }

    mutating func giveBack() {
        if let buffer { worker.run.scheduler.put(buffer) }
        buffer = nil
    }
}

/// The keys of one reading of a file, as its chunks are stored in any order.
final class FileContent: Sendable {
    private struct State {
        /// Runs of ``ChunkWriter/listKeysMax`` keys that are not complete yet, by their number.
        var runs: [Int: [ChunkKey?]] = [:]
        var filled: [Int: Int] = [:]
        /// Keys of the complete runs, stored as chunks.
        var lists: [ChunkKey?] = []
        var count = 0
        /// Chunks under way, and one for the reading itself.
        var outstanding = 1
        var entry: TreeEntry?
    }

    private let file: BackupFile
    private let state = Mutex(State())

    init(_ file: BackupFile) { self.file = file }

    /// The index of the next chunk.
    func begin() -> Int {
        state.withLock { state in
            defer { state.count += 1 }
            state.outstanding += 1
            return state.count
        }
    }

    /// Notes the key of a stored chunk.
    func stored(_ index: Int, _ key: ChunkKey, _ worker: BackupWorker) throws(ArchiveError) {
        let (run, place) = index.quotientAndRemainder(dividingBy: worker.writer.listKeysMax)
        let complete: [ChunkKey]? = state.withLock { state in
            var keys = state.runs.removeValue(forKey: run) ?? []
            if keys.count <= place { keys.append(contentsOf: repeatElement(nil, count: place + 1 - keys.count)) }
            keys[place] = key
            let filled = (state.filled[run] ?? 0) + 1
            state.filled[run] = filled
            if filled == worker.writer.listKeysMax { return keys.compactMap { $0 } }
            state.runs[run] = keys
            return nil
        }
        if let complete {
            let list = try KeyListBuilder.store(complete, worker.writer)
            state.withLock { state in
                if state.lists.count <= run {
                    state.lists.append(contentsOf: repeatElement(nil, count: run + 1 - state.lists.count))
                }
                state.lists[run] = list
            }
        }
        try release(worker)
    }

    /// Ends the reading; `entry` is complete but for its content.
    func finish(_ entry: TreeEntry, _ worker: BackupWorker) throws(ArchiveError) {
        state.withLock { $0.entry = entry }
        try release(worker)
    }

    private func release(_ worker: BackupWorker) throws(ArchiveError) {
        let done: State? = state.withLock { state in
            state.outstanding -= 1
            guard state.outstanding == 0, state.entry != nil else { return nil }
            return state
        }
        guard let done, var entry = done.entry else { return }
        entry.content = .stored(try keyList(done, worker))
        try file.resolve(entry, worker)
    }

    private func keyList(_ state: State, _ worker: BackupWorker) throws(ArchiveError) -> KeyList {
        if state.lists.isEmpty { return KeyList(levels: 0, keys: (state.runs[0] ?? []).compactMap { $0 }) }
        var lists = state.lists.compactMap { $0 }
        if let rest = state.runs[lists.count] { lists.append(try KeyListBuilder.store(rest.compactMap { $0 }, worker.writer)) }
        // These keys are content like any other, one level further up.
        var above = KeyListBuilder()
        for list in lists { try above.append(list, worker.writer) }
        let top = try above.finish(worker.writer)
        return try KeyList(keys: top.keys, levels: Int(top.levels) + 1)
    }
}

extension DirectoryHandle {
    /// As with the bytes of a name.
    func openFile(_ name: RawPath) throws(HostFilesError) -> FileHandle {
        let result = name.bytes.withUnsafeBytes { name in Result { () throws(HostFilesError) in try openFile(name) } }
        return try result.get()
    }
}
