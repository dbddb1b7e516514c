internal import BackupFormat
internal import HostFiles

/// File systems that were mounted in a folder at the last backup.
extension BackupFolder {
    /// A folder that was the top of another file system and is no more: that one may be away, and its files not deleted.
    var isLostMount: Bool {
        guard let memo, let marks = memoView?.marks else { return false }
        return marks.contains(.mountPoint) && !isMountPoint && memo.tree != .empty
            && (selection.isNamed || !run.request.exclusions.oneFileSystem)
    }

    static let mountIsGone = HostFilesError(
        .io, "mount",
        detail: "the file system that was mounted here is gone, and what lies in its folder now is not backed up "
            + "(if it is gone for good, leave the path out of one backup)")

    /// Whether most of what a lost mount held is in its folder now, with the times it had, as where it was moved there. Else what lies there is
    /// what the mount hid, or was made while it was away.
    func holdsWhatWasThere(_ handle: DirectoryHandle, _ worker: BackupWorker) -> Bool {
        guard let memo else { return true }
        var cursor = MemoCursor(memo.tree)
        var (looked, found) = (0, 0)
        while looked < BackupFolder.lookedForMax,
            let view = cursor.next(read: { (key) throws(ArchiveError) in try run.readChunk(key, worker) })
        {
            looked += 1
            if let status = try? handle.status(of: view.name), status.type == view.type, status.modified == view.modified {
                found += 1
            }
        }
        // Of one that cannot be read, nothing is known and nothing can be kept.
        return looked == 0 || 2 * found >= looked
    }

    private static let lookedForMax = 64

    /// Folders that were tops of other file systems and are not there at all: these are away, their files not deleted.
    func keepSkippedMounts(_ directory: RawPath?, _ worker: BackupWorker) throws(ArchiveError) {
        let skipped = cursor?.takeSkippedMounts() ?? []
        guard isListedWhole, !run.request.exclusions.oneFileSystem else { return }
        for encoded in skipped {
            let result = encoded.withUnsafeBytes { bytes in
                Result { () throws(ArchiveError) in
                    var reader = ByteReader(bytes, "tree entry")
                    guard let view = try? TreeEntryView(parsing: &reader), let tree = try? view.storedKeys(), tree != .empty,
                        wanted(view.name, .directory, directory)?.isWhole == true
                    else { return }
                    try putLastKnown(view.name, view, BackupFolder.mountIsGone, worker)
                }
            }
            try result.get()
        }
    }
}
