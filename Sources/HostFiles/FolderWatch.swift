package import BackupFormat
internal import CLinux

/// What a watch tells of.
package enum FolderEvent: Sendable, Equatable {
    /// Entries of this folder have changed, or the folder itself.
    case changed(RawPath)
    /// Entries that are left out came or went: the folder's own times have changed, which alone is no reason for a backup.
    case touched(RawPath)
    /// This folder was made, or moved to where it is: all below is new.
    case appeared(RawPath)
    /// Something may have changed anywhere; why, in words. With `isBroken`, the watch tells of nothing more, and a new one is due.
    case doubt(String, isBroken: Bool)
}

/// What a watch is to tell of.
package struct WatchScope: Sendable {
    /// Absolute paths, each of a folder or a file; what is there need not be.
    package let roots: [RawPath]
    /// Of the roots, the links that lead to others.
    private let links: Set<RawPath>
    /// Folders whose changes say nothing: the node's own home.
    package let hidden: [RawPath]
    /// Do not look into file systems that are mounted below the roots.
    package let oneFileSystem: Bool
    /// Whether an entry (the folder, its name, and whether it is a folder) is left out of backups.
    private let excludes: (@Sendable (RawPath, UnsafeRawBufferPointer, Bool) -> Bool)?

    package init(
        roots: [RawPath], links: Set<RawPath> = [], hidden: [RawPath] = [], oneFileSystem: Bool = false,
        excludes: (@Sendable (RawPath, UnsafeRawBufferPointer, Bool) -> Bool)? = nil
    ) {
        self.roots = roots
        self.links = links
        self.hidden = hidden
        self.oneFileSystem = oneFileSystem
        self.excludes = excludes
    }

    /// Whether what happens in a folder counts.
    package func counts(_ folder: RawPath) -> Bool {
        guard let root = roots.first(where: { folder.isWithin($0) }), !hidden.contains(where: { folder.isWithin($0) }) else {
            return false
        }
        guard excludes != nil else { return true }
        // A folder that is named stands for itself; below it, each name on the way may be excluded.
        var at = root
        for name in folder.components.dropFirst(root.components.count) {
            if excluded(at, name, isFolder: true) { return false }
            at = at.appending(name)
        }
        return true
    }

    /// Whether an entry of a folder that counts does.
    package func counts(_ name: RawPath, in folder: RawPath, isFolder: Bool) -> Bool {
        excludes == nil || !excluded(folder, name, isFolder: isFolder)
    }

    private func excluded(_ folder: RawPath, _ name: RawPath, isFolder: Bool) -> Bool {
        guard let excludes else { return false }
        return name.bytes.withUnsafeBytes { excludes(folder, $0, isFolder) }
    }

    /// How a path stands to the roots from above.
    package enum Above: Sendable {
        case root
        /// A root lies below it.
        case way
    }

    package func above(_ path: RawPath) -> Above? {
        if roots.contains(path) { return .root }
        return roots.contains { $0.isWithin(path) } ? .way : nil
    }
}

extension WatchScope {
    /// Whether the roots may be elsewhere, now that this entry came or went: it is a link that led to one, it is a root and a link now, or it
    /// is no folder and stands on the way to one.
    func mayLeadElsewhere(_ entry: RawPath, isFolder: Bool) -> Bool {
        if links.contains(entry) { return true }
        guard !isFolder else { return false }
        switch above(entry) {
        case .way: return true
        case .root: return FanotifyWatch.identity(entry)?.type == .symlink
        case nil: return false
        }
    }
}

/// Something that tells which folders change. Used by one thread.
///
/// What it has told of is a change before that moment; what it has not told of yet may have happened long ago. So whoever
/// takes note of all that was told, and then reads the folders, misses nothing: what comes later is told of later.
package protocol FolderWatch: AnyObject, Sendable {
    /// How it watches, for people.
    var method: String { get }
    /// Mounts below the roots of which it cannot tell.
    var unwatched: [RawPath] { get }
    /// Tells of what has happened, and waits at most so long for the first. True if there may be more at once.
    func wait(milliseconds: Int, tell: (FolderEvent) -> Void) -> Bool
}

/// Why there is no watch.
package struct WatchRefusal: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Watches as well as this system lets it: whole file systems by fanotify, else each folder by inotify.
package func watchFolders(_ scope: WatchScope) throws(WatchRefusal) -> any FolderWatch {
    do throws(WatchRefusal) { return try FanotifyWatch(scope) } catch {}
    return try InotifyWatch(scope)
}

/// The mounts that a watch is to be told of, and a descriptor that shows when they change.
struct WatchedMounts: Equatable {
    /// Those that the roots lie in, and those below.
    let relevant: [Mount]

    /// File systems that tell of no changes and hold nothing that lasts.
    private static let pseudo: Set<RawPath> = [
        "proc", "sysfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "mqueue", "hugetlbfs",
        "pstore", "bpf", "configfs", "fusectl", "binfmt_misc", "efivarfs", "rpc_pipefs", "nsfs",
    ]

    init(_ scope: WatchScope) throws(HostFilesError) {
        var top: [RawPath: Mount] = [:]
        for mount in try MountTable.current().mounts { top[mount.point] = mount }
        var found: [RawPath: Mount] = [:]
        for root in scope.roots {
            let over = top.values.filter { root.isWithin($0.point) }.max { $0.point.bytes.count < $1.point.bytes.count }
            if let over { found[over.point] = over }
            guard !scope.oneFileSystem else { continue }
            for mount in top.values where mount.point.isWithin(root) && scope.counts(mount.point) { found[mount.point] = mount }
        }
        relevant = found.values.filter { !WatchedMounts.pseudo.contains($0.type) }.sorted { $0.point < $1.point }
    }

    /// Changes made elsewhere, as on a file server, are told to nobody here.
    var silent: [Mount] { relevant.filter { $0.mayHang || $0.type == "fuseblk" } }
    var local: [Mount] { relevant.filter { !$0.mayHang && $0.type != "fuseblk" } }

    /// Open for ``linux_poll_events``; negative where it cannot be.
    static func openTable() -> Int32 {
        let path = RawPath("/proc/self/mountinfo")
        return path.bytes.withUnsafeBytes { linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY, 0) }
    }
}

/// A descriptor that is closed with its last reference.
final class OwnedDescriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { if number >= 0 { _ = linux_close(number) } }
}
