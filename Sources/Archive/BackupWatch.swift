internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// Where a folder stands in what a watch has told.
enum WatchPlace: Sendable {
    /// Nothing is told: everything is looked at.
    case unwatched
    /// It is new where it is, with all below.
    case new
    /// It has changed, or leads to what has.
    case known(ChangedNode)
    /// Nothing in it or below has changed, says the watch.
    case quiet

    func child(_ name: UnsafeRawBufferPointer) -> WatchPlace {
        switch self {
        case .unwatched, .new, .quiet: return self
        case .known(let node):
            guard let child = node.children[RawPath(bytes: Array(name))] else { return .quiet }
            return child.extent == .everything ? .new : .known(child)
        }
    }

    /// The watch has told of a change in the folder itself.
    var isTold: Bool {
        switch self {
        case .unwatched, .new: true
        case .known(let node): node.extent != nil
        case .quiet: false
        }
    }
}

/// Changed folders by the names that lead to them.
final class ChangedNode: Sendable {
    /// Nil for a folder on the way.
    let extent: ChangedFolders.Extent?
    let children: [RawPath: ChangedNode]

    convenience init(_ changes: ChangedFolders) {
        self.init(changes.folders.map { (names: $0.key.components[...], extent: $0.value) })
    }

    private init(_ folders: [(names: ArraySlice<RawPath>, extent: ChangedFolders.Extent)]) {
        extent = folders.filter(\.names.isEmpty).map(\.extent).max()
        let below = folders.filter { !$0.names.isEmpty }
        children = Dictionary(grouping: below) { $0.names.first ?? "" }
            .mapValues { inside in ChangedNode(inside.map { (names: $0.names.dropFirst(), extent: $0.extent) }) }
    }
}

/// What a backup that a watch guides finds out besides the tree: how its counts differ from the last snapshot's, whether names of
/// one file lie where nobody looked, and what has changed without the watch having told.
final class BackupWatch: Sendable {
    private struct State {
        var files = 0
        /// The top folder is looked at anew in any case.
        var directories = 1
        var bytes = 0
        var links: [FileIdentity: LinkCount] = [:]
        var doubt: String?
        var untold: Set<RawPath> = []
        var untoldCount = 0
    }

    /// The names of one file in the folders that were looked at.
    private struct LinkCount {
        var found = 0
        var gone = 0
        /// Of the file now, and in the last snapshot.
        var links: UInt32 = 0
        var linksBefore: UInt32 = 0
        var isChanged = false
    }

    let root: WatchPlace
    /// Folders of which the watch says nothing are taken over as they were; else all is walked, to see whether the watch was right.
    let takesOver: Bool
    private let state = Mutex(State())
    private let sourcesDiffer = Atomic<Bool>(false)

    private static let linksMax = 20_000
    private static let untoldMax = 1000

    init(_ changes: WatchedChanges) {
        let node = ChangedNode(changes.folders)
        root = node.extent == .everything ? .new : .known(node)
        takesOver = changes.use == .instead
    }

    /// What was backed up is not as it was in the last snapshot.
    var isDifferent: Bool { sourcesDiffer.load(ordering: .relaxed) }
    func noteDifference() { sourcesDiffer.store(true, ordering: .relaxed) }

    /// An entry of the last snapshot is looked at anew: what comes of it is counted as if there had been none.
    func replace(_ view: TreeEntryView) {
        guard takesOver else { return }
        state.withLock { state in
            if view.type == .directory {
                state.directories += 1
            } else {
                state.files += 1
                if view.type == .file { state.bytes += Int(clamping: view.size) }
            }
        }
    }

    /// A folder stays as it was.
    func keepFolder() { state.withLock { $0.directories -= 1 } }

    /// How many entries are gone, or counted anew: of the last snapshot's these are to be taken off.
    var replaced: (files: Int, directories: Int, bytes: Int) {
        state.withLock { (files: $0.files, directories: $0.directories, bytes: $0.bytes) }
    }

    /// A name of a file is there. `view` is what the last snapshot has under this name.
    func found(_ view: TreeEntryView?, _ status: FileStatus, isChanged: Bool) {
        guard takesOver else { return }
        if let view, view.linkCount > 1, view.inode != status.inode { gone(view) }
        let before = view.flatMap { $0.inode == status.inode ? $0.linkCount : nil } ?? 0
        guard status.type != .directory, status.linkCount > 1 || before > 1 else { return }
        change(FileIdentity(device: status.device, inode: status.inode)) { link in
            link.found += 1
            link.links = status.linkCount
            link.linksBefore = max(link.linksBefore, before)
            if isChanged { link.isChanged = true }
        }
    }

    /// A name of the last snapshot is not there any more, or is another file's.
    func gone(_ view: TreeEntryView) {
        guard takesOver, view.type != .directory, view.linkCount > 1 else { return }
        change(FileIdentity(device: view.device, inode: view.inode)) { link in
            link.gone += 1
            link.linksBefore = max(link.linksBefore, view.linkCount)
            link.isChanged = true
        }
    }

    private func change(_ identity: FileIdentity, _ body: (inout LinkCount) -> Void) {
        state.withLock { state in
            guard state.links[identity] != nil || state.links.count < BackupWatch.linksMax else {
                state.doubt = "more files with several names are in changed folders than are kept apart"
                return
            }
            body(&state.links[identity, default: LinkCount()])
        }
    }

    func doubt(_ reason: String) { state.withLock { $0.doubt = reason } }

    /// Why a walk may find more, if it may: a file changed of which a name lies in a folder that nobody looked at.
    var doubt: String? {
        state.withLock { state in
            if let doubt = state.doubt { return doubt }
            let isOpen = state.links.values.contains { link in
                guard link.isChanged else { return false }
                return link.found > 0 ? link.found != Int(link.links) : link.gone != Int(link.linksBefore)
            }
            return isOpen ? "a file with several names has changed" : nil
        }
    }

    /// Something in this folder has changed, and the watch has not told.
    func noteUntold(_ folder: RawPath) {
        state.withLock { state in
            guard !state.untold.contains(folder) else { return }
            state.untoldCount += 1
            if state.untold.count < BackupWatch.untoldMax { state.untold.insert(folder) }
        }
    }

    var untold: (folders: [RawPath], count: Int) {
        state.withLock { (folders: $0.untold.sorted(), count: $0.untoldCount) }
    }
}
