internal import BackupFormat
internal import HostFiles

/// What has no content in chunks: links, FIFOs, sockets and devices; and further names of files.
extension RestoreWorker {
    /// Restores anything but a file or folder. `existing` is something of the same type that bears its name.
    func restoreSpecial(_ entry: TreeEntry, in directory: RestoreDirectory, _ existing: FileStatus?) throws(RestoreFailure) {
        if let existing, try isSame(entry, existing, in: directory) {
            if try adopt(entry, existing, .named(try directory.open(), entry.name), in: directory) { return }
        }
        guard let staging = directory.staging else { return run.count(entry, unchanged: false) }
        let folder = staging.folder(ofWorker: index)
        let name = staging.newName()
        try HostFilesError.of { () throws(HostFilesError) in try make(entry, name, in: folder) }
        try finish(entry, RestoreStagedFile(folder: folder, name: name), .named(folder, name), in: directory)
    }

    private func make(_ entry: TreeEntry, _ name: RawPath, in folder: RestoreHandle) throws(HostFilesError) {
        switch entry.type {
        case .symlink:
            guard case .inline(let target) = entry.content else {
                throw HostFilesError(.damaged, "make the link", detail: "the snapshot does not hold its target")
            }
            try folder.makeSymlink(name, to: target)
        case .file, .directory: break
        case .fifo, .socket, .characterDevice, .blockDevice:
            try folder.makeNode(name, entry.type, deviceNumber: entry.deviceNumber)
        }
    }

    /// Whether what is there is the same but for its metadata.
    private func isSame(_ entry: TreeEntry, _ existing: FileStatus, in directory: RestoreDirectory) throws(RestoreFailure) -> Bool
    {
        switch entry.type {
        case .symlink:
            let folder = try directory.open()
            let target = try HostFilesError.of { () throws(HostFilesError) in
                try entry.name.withBytes { name throws(HostFilesError) in try folder.readLink(name) }
            }
            return entry.content == .inline(target)
        case .characterDevice, .blockDevice: return existing.deviceNumber == entry.deviceNumber
        default: return true
        }
    }

    /// Keeps the file that is there, which is compared and open: it gets its metadata even if by now another bears its name,
    /// which must not gain the rights of this one.
    func adopt(_ entry: TreeEntry, _ existing: FileHandle, in directory: RestoreDirectory) throws(RestoreFailure) -> Bool {
        let file = try HostFilesError.of { () throws(HostFilesError) in try existing.asTarget() }
        return try adopt(entry, existing.status, .file(file), in: directory)
    }

    /// Keeps what is there and has the right content, and mends its metadata. False when it must be made anew: it has other
    /// names that the snapshot does not know, or that might be anywhere: their metadata is not ours to change.
    private func adopt(
        _ entry: TreeEntry, _ existing: FileStatus, _ place: RestoreMetadata.Place, in directory: RestoreDirectory
    ) throws(RestoreFailure) -> Bool {
        let metadata = RestoreMetadata(run)
        if existing.linkCount > 1, entry.linkCount == 1 { return false }
        if existing.linkCount > 1 || run.request.dryRun {
            let isRight = try metadata.isRight(entry, place)
            if run.request.dryRun {
                run.count(entry, unchanged: isRight)
                return true
            }
            if !isRight { return false }
        }
        let changed = try metadata.apply(entry, to: place, isNew: false) { directory.path(of: entry.name) }
        if entry.linkCount > 1, let staging = directory.staging {
            let folder = try directory.open()
            let staged = RestoreLinks.stagedName(entry)
            try HostFilesError.of { () throws(HostFilesError) in
                do throws(HostFilesError) { try folder.link(entry.name, to: staged, in: staging.links) } catch
                    where error.code == .exists
                {}
            }
        }
        run.count(entry, unchanged: !changed)
        return true
    }

    /// Gives a staged file its metadata, and then its name.
    func finish(
        _ entry: TreeEntry, _ staged: RestoreStagedFile, _ place: RestoreMetadata.Place, in directory: RestoreDirectory
    ) throws(RestoreFailure) {
        do throws(RestoreFailure) {
            if run.isStopping { throw RestoreFailure.fatal(run.outcome ?? interrupted("restore")) }
            try RestoreMetadata(run).apply(entry, to: place, isNew: true) { directory.path(of: entry.name) }
            let target = try directory.open()
            try HostFilesError.of { () throws(HostFilesError) in
                if entry.linkCount > 1, let staging = directory.staging {
                    try staged.folder.link(staged.name, to: RestoreLinks.stagedName(entry), in: staging.links)
                }
                try staged.folder.rename(staged.name, to: entry.name, in: target)
            }
        } catch {
            staged.discard()
            throw error
        }
        run.count(entry, unchanged: false)
    }

    /// Makes the entry another name of a file that is finished already; false when there is none.
    func linkToFinished(_ entry: TreeEntry, in directory: RestoreDirectory) throws(RestoreFailure) -> Bool {
        guard let staging = directory.staging else { return false }
        let staged = RestoreLinks.stagedName(entry)
        guard let finished = try HostFilesError.of({ () throws(HostFilesError) in try staging.links.find(staged) }) else {
            return false
        }
        if case .keep = try decide(entry, in: directory) {
            run.countKept()
            return true
        }
        let folder = try directory.open()
        let unchanged = try HostFilesError.of { () throws(HostFilesError) -> Bool in
            if !directory.isNew, let existing = try folder.find(entry.name), existing.inode == finished.inode,
                existing.device == finished.device
            {
                return true
            }
            // Under a name of its own first: a link can't replace what is there, a rename can.
            let own = staging.folder(ofWorker: index)
            let name = staging.newName()
            try staging.links.link(staged, to: name, in: own)
            do throws(HostFilesError) { try own.rename(name, to: entry.name, in: folder) } catch {
                try? own.remove(name)
                throw error
            }
            return false
        }
        run.count(entry, unchanged: unchanged)
        return true
    }

    /// Makes the names that came up while the first name of their file was being restored.
    func endLinks(_ group: RestoreLinks.Group, failure: RestoreFailure?) {
        while true {
            let names = run.links.end(group)
            if names.isEmpty { return }
            for name in names { restore(name, failure) }
        }
    }

    private func restore(_ name: RestoreLinks.Name, _ failure: RestoreFailure?) {
        do throws(RestoreFailure) {
            if let failure { throw failure }
            if !(try linkToFinished(name.entry, in: name.directory)) {
                // The first name was not to be touched.
                if let file = name.file { return beginAlone(file) }
                try restoreAlone(name.entry, in: name.directory)
            }
        } catch {
            run.report(name.directory.path(of: name.entry.name), error)
        }
        name.directory.release(run)
    }
}

/// A file in the staging folder, on its way to its name.
struct RestoreStagedFile: Sendable {
    let folder: RestoreHandle
    let name: RawPath

    /// Removes it. What cannot be removed goes with the staging folder.
    func discard() { try? folder.remove(name) }
}
