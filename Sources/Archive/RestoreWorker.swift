internal import BackupFormat
internal import HostFiles

/// One thread's part of a restore: its buffers, and what it does with each entry.
final class RestoreWorker {
    let run: RestoreRun
    let index: Int
    let scratch: ChunkScratch
    /// Bytes read back from files of the target; made when first needed.
    private var readBack: UnsafeMutableRawBufferPointer?

    /// What is to be done with an entry, after a look at what bears its name in the target.
    enum Decision {
        case build
        /// Something of the same type is there.
        case compare(FileStatus)
        /// What is there stays, as the user wished.
        case keep
    }

    init(_ run: RestoreRun, index: Int) throws(ArchiveError) {
        self.run = run
        self.index = index
        scratch = try ChunkScratch()
    }

    deinit { readBack?.deallocate() }

    var existingBytes: UnsafeMutableRawBufferPointer {
        if let readBack { return readBack }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Limits.chunkBytesMax, alignment: 4096)
        readBack = buffer
        return buffer
    }

    /// Works until the scheduler has nothing left.
    func work() {
        while let task = run.scheduler.next() {
            switch task {
            case .help(let file): help(file)
            case .job(.file(let file)): begin(file)
            case .job(.batch(let batch)): restore(batch)
            }
            run.scheduler.finished()
        }
    }

    private func restore(_ batch: RestoreBatch) {
        batch.encoded.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, "tree")
            while !reader.isAtEnd, !run.isStopping {
                guard let view = try? TreeEntryView(parsing: &reader) else { break }
                do throws(ArchiveError) {
                    restore(try decodeEntry(view), in: batch.directory)
                } catch {
                    run.report(batch.directory.path(of: RawPath(bytes: Array(view.name))), "read a folder", error.message)
                }
            }
        }
        batch.directory.release(run)
    }

    /// Restores one small entry, or puts it aside for whoever restores another name of the same file.
    private func restore(_ entry: TreeEntry, in directory: RestoreDirectory) {
        if entry.type == .file, case .stored(let keys) = entry.content, keys.keys.count > 1 || keys.levels > 0 {
            // Small for a file of several chunks; the walk did not look.
            directory.retain()
            do throws(RestoreFailure) {
                begin(try RestoreFile(entry, keys, in: directory, run.source))
            } catch {
                run.report(directory.path(of: entry.name), error)
                directory.release(run)
            }
            return
        }
        guard let group = linkGroup(entry, directory) else {
            do { try restoreAlone(entry, in: directory) } catch { run.report(directory.path(of: entry.name), error) }
            return
        }
        directory.retain()
        guard run.links.begin(group, RestoreLinks.Name(entry: entry, directory: directory, file: nil)) else { return }
        do {
            if !(try linkToFinished(entry, in: directory)) { try restoreAlone(entry, in: directory) }
            endLinks(group, failure: nil)
        } catch {
            run.report(directory.path(of: entry.name), error)
            endLinks(group, failure: error)
        }
        directory.release(run)
    }

    /// Restores an entry that is no further name of a finished file.
    func restoreAlone(_ entry: TreeEntry, in directory: RestoreDirectory) throws(RestoreFailure) {
        if entry.type == .file { return try restoreFile(entry, in: directory) }
        switch try decide(entry, in: directory) {
        case .keep: run.countKept()
        case .compare(let status): try restoreSpecial(entry, in: directory, status)
        case .build: try restoreSpecial(entry, in: directory, nil)
        }
    }

    /// Looks at what is in the entry's place. Removes a folder that may go; throws when one is in the way.
    func decide(_ entry: TreeEntry, in directory: RestoreDirectory) throws(RestoreFailure) -> Decision {
        if directory.isNew || directory.isMissing { return .build }
        let folder = try directory.open()
        guard let status = try HostFilesError.of({ () throws(HostFilesError) in try folder.find(entry.name) }) else {
            return .build
        }
        // One that an interrupted restore has made is compared whatever is asked for.
        let isOurs = directory.staging?.followsInterruption == true && looksRestored(status, entry)
        guard isOurs || run.mayReplace(status, by: entry) else { return .keep }
        if status.type == .directory {
            try clear(entry.name, in: folder, directory)
            return .build
        }
        return status.type == entry.type ? .compare(status) : .build
    }

    /// Of a file that was written in one go, a power cut may leave less than its length.
    private func looksRestored(_ status: FileStatus, _ entry: TreeEntry) -> Bool {
        status.type == .file && entry.type == .file && status.size <= entry.size && status.modified == entry.modified
    }

    /// Removes a folder that is in the way of a file: an empty one, or with `--delete` any.
    private func clear(_ name: RawPath, in folder: RestoreHandle, _ directory: RestoreDirectory) throws(RestoreFailure) {
        if run.request.dryRun { return }
        if run.request.deleteExtraneous {
            return try RestoreDeletion(run).remove(name, in: folder)
        }
        do throws(HostFilesError) { try folder.removeDirectory(name) } catch {
            if error.code == .notEmpty || error.code == .exists {
                throw .entry(
                    operation: "write", reason: "a folder that is not empty is in its place; move it away, or use --delete")
            }
            throw RestoreFailure(error)
        }
    }

    /// The group to which a file with several names belongs; nil for one with one name, and in a dry run.
    func linkGroup(_ entry: TreeEntry, _ directory: RestoreDirectory) -> RestoreLinks.Group? {
        guard entry.linkCount > 1, let staging = directory.staging else { return nil }
        return RestoreLinks.Group(staging: ObjectIdentifier(staging), identity: linkIdentity(entry))
    }
}

extension RestoreRun {
    /// Whether the user wishes what is there to be replaced by the snapshot's entry.
    func mayReplace(_ status: FileStatus, by entry: TreeEntry) -> Bool {
        switch request.overwrite {
        case .always: true
        case .never: false
        case .ifNewer: entry.modified > status.modified
        }
    }
}
