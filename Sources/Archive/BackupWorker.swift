internal import BackupFormat
internal import HostFiles

/// One thread of a backup, with the buffers that are its own.
final class BackupWorker {
    let run: BackupRun
    let writer: ChunkWriter
    let scratch: ChunkScratch
    private let small = ChunkBuffer()
    private var spareNames: [FolderNames] = []
    private let listingScratch = ListingScratch()

    init(_ run: BackupRun) throws(ArchiveError) {
        self.run = run
        writer = try ChunkWriter(run.writerShared)
        scratch = try ChunkScratch()
    }

    /// Works until the backup is finished or has failed.
    func work() {
        do throws(ArchiveError) {
            while let work = run.scheduler.next() {
                switch work {
                case .chunk(let job): try process(job)
                case .file(let file): try file.read(self)
                case .folder(let folder): try folder.scan(self)
                }
            }
        } catch {
            run.scheduler.fail(error)
            run.linkedFiles.cancel()
        }
    }

    private func process(_ job: ChunkJob) throws(ArchiveError) {
        defer { run.scheduler.put(job.buffer) }
        let key = try writer.store(job.buffer.plain, .data)
        try job.content.stored(job.index, key, self)
    }

    /// Passes a chunk to whoever is free, or stores it here when enough wait.
    func submit(_ buffer: ChunkBuffer, of content: FileContent) throws(SmallFileError) {
        let job = ChunkJob(buffer: buffer, content: content, index: content.begin())
        if run.scheduler.tryPush(job) { return }
        do throws(ArchiveError) { try process(job) } catch { throw .archive(error) }
    }

    /// An empty buffer, after helping to free one if need be.
    func takeBuffer() throws(SmallFileError) -> ChunkBuffer {
        do throws(ArchiveError) {
            while true {
                switch try run.scheduler.bufferOrWork() {
                case .buffer(let buffer): return buffer
                case .chunk(let job): try process(job)
                }
            }
        } catch {
            throw .archive(error)
        }
    }

    /// Something to list a folder with.
    func names() -> FolderNames {
        spareNames.popLast()
            ?? FolderNames(listingScratch, budgetBytes: run.plan.listingBytes, spillFolder: run.scratchDirectory)
    }

    func giveBack(_ names: FolderNames) {
        names.reset()
        // Those of a folder that another worker began would read into that worker's buffer while it does so, too.
        if names.scratch === listingScratch, spareNames.count < 4 { spareNames.append(names) }
    }

    /// Reads a file of at most one chunk in one go; its encoded entry, or nil if it turned out to be larger.
    ///
    /// `last` is its entry in the last backup.
    func backUpSmallFile(
        _ name: UnsafeRawBufferPointer, _ listed: FileStatus, last: TreeEntryView?, in folder: BackupFolder
    ) throws(SmallFileError) -> SlotValue? {
        guard let handle = folder.handle else { return nil }
        let file = try onFile { () throws(HostFilesError) in try handle.openFile(name) }
        var before = listed
        var attempt = 1
        while true {
            small.count = 0
            while true {
                let room = UnsafeMutableRawBufferPointer(rebasing: small.free.prefix(Limits.chunkBytesMin + 1 - small.count))
                if room.isEmpty { return nil }
                let got = try onFile { () throws(HostFilesError) in try file.read(into: room, at: UInt64(small.count)) }
                if got == 0 { break }
                small.count += got
                if got < room.count, UInt64(small.count) == before.size { break }
            }
            let after = try onFile { () throws(HostFilesError) in try file.currentStatus() }
            let changed = after.modified != before.modified || after.changed != before.changed || after.size != before.size
            if changed, attempt < 3 {
                attempt += 1
                before = after
                continue
            }
            var entry = run.entry(name: RawPath(bytes: Array(name)), status: after, content: .none)
            entry.size = UInt64(small.count)
            if changed {
                entry.marks.insert(.changedWhileRead)
                run.record(folder.path(of: name), "read", "it changed while it was read; what is stored may mix two states")
            }
            run.addAttributes(to: &entry, last: try? last?.entry(), of: folder.path(of: name)) { () throws(HostFilesError) in
                try file.extendedAttributes()
            }
            run.progress.bytes.add(small.count, ordering: .relaxed)
            if small.count <= Limits.inlineFileBytesMax {
                entry.content = .inline(Array(small.plain))
            } else {
                do throws(ArchiveError) {
                    entry.content = .stored(KeyList(levels: 0, keys: [try writer.store(small.plain, .data)]))
                } catch {
                    throw .archive(error)
                }
            }
            run.linkedFiles.keep(entry)
            return .encoded(encode(entry))
        }
    }
}
