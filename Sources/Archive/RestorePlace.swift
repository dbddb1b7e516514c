internal import BackupFormat
internal import HostFiles

/// Finds or makes the folders of the target.
struct RestorePlace {
    private let run: RestoreRun

    init(_ run: RestoreRun) { self.run = run }

    /// The target's folder for an entry. Nil when something that is there is to stay in its place.
    ///
    /// `isWanted`: it is to get the entry's metadata, even if it is there already.
    func folder(
        _ entry: TreeEntry, in parent: RestoreDirectory, isWanted: Bool
    ) throws(RestoreFailure) -> RestoreDirectory? {
        var metadata = entry
        metadata.content = .none
        if parent.isMissing { return missing(metadata, in: parent) }
        let folder = try parent.open()
        var existing = parent.isNew ? nil : try status(of: entry.name, in: folder)
        if let found = existing, found.type != .directory {
            guard run.mayReplace(found, by: entry) else {
                run.countKept()
                return nil
            }
            if run.request.dryRun { return missing(metadata, in: parent) }
            try HostFilesError.of { () throws(HostFilesError) in try folder.remove(entry.name) }
            existing = nil
        }
        if existing == nil {
            if run.request.dryRun { return missing(metadata, in: parent) }
            let made = try HostFilesError.of { () throws(HostFilesError) -> Bool in
                do throws(HostFilesError) { try folder.makeDirectory(entry.name) } catch  where error.code == .exists {
                    return false
                }
                return true
            }
            if made {
                let handle = try open(entry.name, in: folder)
                return try directory(metadata, in: parent, handle, isNew: true)
            }
            existing = try status(of: entry.name, in: folder)
        }
        let handle = try open(entry.name, in: folder)
        var setsMetadata = isWanted
        if let existing, isWanted { setsMetadata = run.mayReplace(existing, by: entry) }
        return try directory(setsMetadata ? metadata : nil, named: entry.name, in: parent, handle, isNew: false)
    }

    private func status(of name: RawPath, in folder: RestoreHandle) throws(RestoreFailure) -> FileStatus? {
        try HostFilesError.of { () throws(HostFilesError) in try folder.find(name) }
    }

    /// Opens a folder. One of our own whose mode shuts us out is opened up; it gets its right mode in the end.
    private func open(_ name: RawPath, in folder: RestoreHandle) throws(RestoreFailure) -> RestoreHandle {
        try HostFilesError.of { () throws(HostFilesError) in
            do throws(HostFilesError) {
                return try folder.openFolder(name)
            } catch  where error.code == .permission && !run.owners.isRoot && !run.request.dryRun {
                try folder.setMode(name, 0o700)
                return try folder.openFolder(name)
            }
        }
    }

    private func missing(_ entry: TreeEntry, in parent: RestoreDirectory) -> RestoreDirectory {
        RestoreDirectory(parent: parent, name: entry.name, entry: nil, handle: nil, status: nil, isNew: false, staging: nil)
    }

    private func directory(
        _ entry: TreeEntry?, named name: RawPath? = nil, in parent: RestoreDirectory, _ handle: RestoreHandle, isNew: Bool
    ) throws(RestoreFailure) -> RestoreDirectory {
        let status = try HostFilesError.of { () throws(HostFilesError) in try handle.status() }
        var staging = parent.staging
        var isHost = false
        if !run.request.dryRun, status.device != parent.status?.device || status.mountID != parent.status?.mountID {
            let (made, isHere) = try HostFilesError.of { () throws(HostFilesError) in
                try run.stagings.staging(for: handle, status)
            }
            staging = made
            isHost = isHere
        }
        if !isNew, !run.owners.isRoot, !run.request.dryRun, status.permissions & 0o700 != 0o700, entry != nil {
            try? handle.setMode(nil, status.permissions | 0o700)
        }
        let directory = RestoreDirectory(
            parent: parent, name: name ?? entry?.name ?? "", entry: entry, handle: handle, status: status, isNew: isNew,
            staging: staging, isStagingHost: isHost)
        if isHost { run.addHost(directory) }
        return directory
    }
}
