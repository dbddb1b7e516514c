internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// A folder of the target while entries are restored into it. The walk and each job in it hold a use; when the last one
/// ends, the folder gets its own metadata.
final class RestoreDirectory: Sendable {
    let parent: RestoreDirectory?
    let name: RawPath
    /// The folder's metadata to set, without its content; nil for one that is left as it is.
    let entry: TreeEntry?
    /// Made by this restore, so that nothing can be in it that was not put there.
    let isNew: Bool
    /// Where files for this folder are built; nil in a dry run.
    let staging: RestoreStaging?
    /// In a dry run: there is no such folder.
    let isMissing: Bool
    let status: FileStatus?
    /// The staging folder is in it.
    let isStagingHost: Bool
    private let handle: Mutex<RestoreHandle?>
    private let uses = Atomic<Int>(1)

    init(
        parent: RestoreDirectory?, name: RawPath, entry: TreeEntry?, handle: RestoreHandle?, status: FileStatus?, isNew: Bool,
        staging: RestoreStaging?, isStagingHost: Bool = false
    ) {
        self.parent = parent
        self.name = name
        self.entry = entry
        self.isNew = isNew
        self.staging = staging
        self.status = status
        self.isStagingHost = isStagingHost
        isMissing = handle == nil
        self.handle = Mutex(handle)
    }

    func retain() { uses.add(1, ordering: .relaxed) }

    /// Ends one use.
    func release(_ run: RestoreRun) {
        guard uses.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        guard let entry, !run.request.dryRun else { return }
        do {
            let handle = try open()
            try RestoreMetadata(run).apply(entry, to: .folder(handle), isNew: isNew) { path }
        } catch {
            run.report(path, error)
        }
        close()
    }

    /// The path in the target, below the target folder's own path.
    var path: RawPath {
        var names: [RawPath] = []
        var folder = self
        while let parent = folder.parent {
            names.append(folder.name)
            folder = parent
        }
        return names.reversed().reduce(into: folder.name) { path, name in
            if path.bytes != [0x2f] { path.bytes.append(0x2f) }
            path.bytes += name.bytes
        }
    }

    func path(of name: RawPath) -> RawPath { path.appending(name) }

    /// The open folder. One that was closed in between is opened anew from the folders above it, and must be the same.
    func open() throws(RestoreFailure) -> RestoreHandle {
        if let open = handle.withLock({ $0 }) { return open }
        guard let parent, let status else { throw .entry(operation: "open", reason: "the folder does not exist") }
        let above = try parent.open()
        let opened = try HostFilesError.of { () throws(HostFilesError) in try above.openFolder(name) }
        let found = try HostFilesError.of { () throws(HostFilesError) in try opened.status() }
        guard found.inode == status.inode, found.device == status.device else {
            throw .entry(operation: "open", reason: "another folder was put in its place during the restore")
        }
        handle.withLock { $0 = $0 ?? opened }
        return opened
    }

    /// Gives up the descriptor; ``open()`` gets another one.
    func close() {
        if parent != nil { handle.withLock { $0 = nil } }
    }
}
