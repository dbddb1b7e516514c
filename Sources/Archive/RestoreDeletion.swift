internal import BackupFormat
internal import HostFiles

/// Removes folders with all they hold. Follows no link, and leaves what other file systems are mounted on.
///
/// Keeps one listing open a level; folders deeper than ``depthMax`` are first moved up, so that depth costs nothing.
final class RestoreRemoval {
    private let scratch = ListingScratch()
    private let spillFolder: RawPath
    private let isDry: Bool
    private let isOurs: (FileStatus) -> Bool
    private let isStopping: () -> Bool
    /// Entries removed so far.
    private(set) var removed = 0
    private var movedUp: UInt64 = 0

    private static let depthMax = 100
    private static let listingBytes = 256 << 10

    private struct Level {
        let handle: RestoreHandle
        let listing: SortedListing
        let name: RawPath
        /// Something in it stays.
        var isKept = false
    }

    /// `isOurs` tells of folders that stay with all they hold.
    init(
        spillFolder: RawPath, isDry: Bool, isOurs: @escaping (FileStatus) -> Bool = { _ in false },
        isStopping: @escaping () -> Bool
    ) {
        self.spillFolder = spillFolder
        self.isDry = isDry
        self.isOurs = isOurs
        self.isStopping = isStopping
    }

    /// Removes what is in a folder, but not the folder. The first error, after all else is removed.
    func removeContents(of folder: RestoreHandle) throws(HostFilesError) {
        let level = try open(folder, name: "")
        while let entry = try level.listing.next() { try remove(RawPath(bytes: Array(entry.name)), in: folder) }
    }

    /// Removes an entry of a folder, whatever it is.
    func remove(_ name: RawPath, in folder: RestoreHandle) throws(HostFilesError) {
        var failure: HostFilesError?
        var movedUpSeen = movedUp
        guard let first = try removeOrOpen(name, in: folder, depth: 0, top: folder) else { return }
        var levels = [first]
        while var level = levels.popLast() {
            if isStopping() { throw HostFilesError(.interrupted, "remove", path: name) }
            let parent = levels.last?.handle ?? folder
            do throws(HostFilesError) {
                guard let entry = try level.listing.next() else {
                    if levels.isEmpty, movedUp > movedUpSeen {
                        // Folders from far below came here since it was read.
                        movedUpSeen = movedUp
                        levels.append(try open(level.handle, name: level.name, isKept: level.isKept))
                        continue
                    }
                    if !level.isKept, !isDry { try parent.removeDirectory(level.name) }
                    removed += level.isKept ? 0 : 1
                    if level.isKept, !levels.isEmpty { levels[levels.count - 1].isKept = true }
                    continue
                }
                let child = try removeOrOpen(
                    RawPath(bytes: Array(entry.name)), in: level.handle, depth: levels.count, top: first.handle)
                levels.append(level)
                if let child { levels.append(child) }
            } catch {
                failure = failure ?? error
                // A folder that could not be removed is done with; an entry in it is left where it is.
                if error.operation == "remove the folder" {
                    if !levels.isEmpty { levels[levels.count - 1].isKept = true }
                } else {
                    level.isKept = true
                    levels.append(level)
                }
            }
        }
        if let failure { throw failure }
    }

    /// Removes an entry that is no folder; opens one that is.
    private func removeOrOpen(
        _ name: RawPath, in folder: RestoreHandle, depth: Int, top: RestoreHandle
    ) throws(HostFilesError) -> Level? {
        guard let status = try folder.find(name) else { return nil }
        guard status.type == .directory else {
            if !isDry { try folder.remove(name) }
            removed += 1
            return nil
        }
        if isOurs(status) {
            throw HostFilesError(.unsupported, "remove", path: name, detail: "this node keeps its own files in it")
        }
        if status.isMountRoot {
            throw HostFilesError(.unsupported, "remove", path: name, detail: "another file system is mounted on it")
        }
        if depth >= RestoreRemoval.depthMax, !isDry {
            movedUp += 1
            try folder.rename(name, to: RawPath(".bakare-removed-\(movedUp)-\(status.inode)"), in: top)
            return nil
        }
        return try open(try folder.openFolder(name), name: name)
    }

    private func open(_ handle: RestoreHandle, name: RawPath, isKept: Bool = false) throws(HostFilesError) -> Level {
        let listing = SortedListing(scratch: scratch, budgetBytes: RestoreRemoval.listingBytes, spillFolder: spillFolder)
        try listing.read(handle)
        return Level(handle: handle, listing: listing, name: name, isKept: isKept)
    }
}

/// `--delete`: removes from a folder what the snapshot's folder does not hold.
struct RestoreDeletion {
    private let run: RestoreRun

    init(_ run: RestoreRun) { self.run = run }

    /// Both lists of names are sorted: they are read side by side.
    func deleteExtraneous(in directory: RestoreDirectory, _ tree: KeyList, _ scratch: ChunkScratch) throws(RestoreFailure) {
        let folder = try directory.open()
        let listing = SortedListing(scratch: ListingScratch(), spillFolder: run.request.target)
        try HostFilesError.of { () throws(HostFilesError) in try listing.read(folder) }
        let reader = TreeReader(tree, run.source, scratch)
        var wanted = try next(reader)
        while let found = try HostFilesError.of({ () throws(HostFilesError) in try listing.next() }), !run.isStopping {
            while let view = wanted, compareNames(view.name, found.name) < 0 { wanted = try next(reader) }
            if let view = wanted, compareNames(view.name, found.name) == 0 { continue }
            let name = RawPath(bytes: Array(found.name))
            if name == RestoreStaging.name, directory.isStagingHost { continue }
            do { try remove(name, in: folder) } catch { run.report(directory.path(of: name), error) }
        }
    }

    private func next(_ reader: TreeReader) throws(RestoreFailure) -> TreeEntryView? {
        do { return try reader.next() } catch { throw RestoreFailure(error) }
    }

    /// Removes an entry of the target with all it holds, and counts it.
    func remove(_ name: RawPath, in folder: RestoreHandle) throws(RestoreFailure) {
        let run = run
        let removal = RestoreRemoval(
            spillFolder: run.request.target, isDry: run.request.dryRun, isOurs: { run.isOurs($0) }, isStopping: { run.isStopping }
        )
        defer { run.deleted.add(removal.removed, ordering: .relaxed) }
        try HostFilesError.of { () throws(HostFilesError) in try removal.remove(name, in: folder) }
    }
}
