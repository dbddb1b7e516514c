internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// The folder `.bakare-restore` in which files are built before they get their names: one in each file system that the
/// restore reaches, since a rename cannot cross into another.
///
/// Below it, a folder for each worker, and `links`, with one name of each finished file that has several.
final class RestoreStaging: Sendable {
    static let name: RawPath = ".bakare-restore"
    private static let linksName: RawPath = "links"

    private let host: RestoreHandle
    private let folder: RestoreHandle
    private let workers: [RestoreHandle]
    let links: RestoreHandle
    private let counter = Atomic<UInt64>(0)
    /// A restore before this one did not come to its end: what it gave names to may not be on the disk, after a power cut.
    let followsInterruption: Bool

    /// Makes it in `host`. What an interrupted restore left there is removed; one that is running is not disturbed.
    init(in host: RestoreHandle, workers: Int) throws(HostFilesError) {
        self.host = host
        var opened: RestoreHandle?
        var wasThere = false
        // Once more, for a staging folder that another restore removes in between.
        for _ in 0..<8 where opened == nil {
            wasThere = try !RestoreStaging.makeFolder(in: host)
            do throws(HostFilesError) {
                let folder = try host.openFolder(RestoreStaging.name)
                let status = try folder.status()
                guard status.uid == Accounts.effectiveUser, status.mode & 0o022 == 0 else {
                    throw HostFilesError(
                        .permission, "use the folder for unfinished files", path: RestoreStaging.name,
                        detail: "it belongs to someone else; remove it")
                }
                guard try folder.lock() else {
                    throw HostFilesError(
                        .exists, "begin to restore", path: RestoreStaging.name, detail: "another restore writes to this target")
                }
                if let now = try host.find(RestoreStaging.name), now.inode == status.inode, now.device == status.device {
                    opened = folder
                }
            } catch  where error.code == .notFound {
                continue
            }
        }
        guard let folder = opened else {
            throw HostFilesError(
                .exists, "begin to restore", path: RestoreStaging.name, detail: "another restore writes to this target")
        }
        self.folder = folder
        followsInterruption = wasThere
        try RestoreStaging.empty(folder)
        // A default ACL of the target would pass on to the files built here.
        for attribute in try folder.extendedAttributes() where !RestoreMetadata.isLocal(attribute.name) {
            try folder.removeAttribute(nil, attribute.name)
        }
        var handles: [RestoreHandle] = []
        for worker in 0..<workers {
            let name = RawPath(String(worker))
            try folder.makeDirectory(name)
            handles.append(try folder.openFolder(name))
        }
        self.workers = handles
        try folder.makeDirectory(RestoreStaging.linksName)
        links = try folder.openFolder(RestoreStaging.linksName)
    }

    /// False if it is there.
    private static func makeFolder(in host: RestoreHandle) throws(HostFilesError) -> Bool {
        do { try host.makeDirectory(name) } catch  where error.code == .exists {
            guard let status = try host.find(name), status.type != .directory else { return false }
            // Not a folder: no restore made it, and nothing may be built behind a planted link.
            try host.remove(name)
            try host.makeDirectory(name)
        }
        return true
    }

    /// The folder in which this worker builds.
    func folder(ofWorker index: Int) -> RestoreHandle { workers[index] }

    /// A name that no other file being built has.
    func newName() -> RawPath { RawPath(String(counter.add(1, ordering: .relaxed).newValue, radix: 36)) }

    /// Writes all that was restored in this file system to its disk. Throws too for an earlier write that failed since.
    func sync() throws(HostFilesError) { try folder.syncFileSystem() }

    /// Removes the folder with all that is in it. Until a restore has come to its end since one that was cut off, it stays, empty.
    func remove(isFinished: Bool) throws(HostFilesError) {
        try RestoreStaging.empty(folder)
        if followsInterruption && !isFinished { return }
        try host.removeDirectory(RestoreStaging.name)
    }

    private static func empty(_ folder: RestoreHandle) throws(HostFilesError) {
        try RestoreRemoval(spillFolder: "/tmp", isDry: false) { false }.removeContents(of: folder)
    }
}

/// The staging folders of one restore, by file system.
final class RestoreStagings: Sendable {
    private struct Mount: Hashable {
        var device: UInt64
        var mountID: UInt64
    }

    private let workers: Int
    private let made = Mutex<[Mount: RestoreStaging]>([:])

    init(workers: Int) { self.workers = workers }

    /// The staging folder for files that go into `folder`: made there, unless its file system has one already.
    func staging(
        for folder: RestoreHandle, _ status: FileStatus
    ) throws(HostFilesError) -> (staging: RestoreStaging, isHere: Bool) {
        let mount = Mount(device: status.device, mountID: status.mountID)
        if let staging = made.withLock({ $0[mount] }) { return (staging, false) }
        let staging = try RestoreStaging(in: folder, workers: workers)
        made.withLock { $0[mount] = staging }
        return (staging, true)
    }

    /// See ``RestoreStaging/sync()``: all file systems that the restore has reached.
    func sync() throws(HostFilesError) {
        for staging in made.withLock({ Array($0.values) }) { try staging.sync() }
    }

    /// Removes them all; the first error, if any.
    func remove(isFinished: Bool) -> HostFilesError? {
        var first: HostFilesError?
        for staging in made.withLock({ Array($0.values) }) {
            do throws(HostFilesError) { try staging.remove(isFinished: isFinished) } catch { first = first ?? error }
        }
        return first
    }
}
