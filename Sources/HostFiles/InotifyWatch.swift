package import BackupFormat
internal import CLinux

/// Watches each folder by inotify: for those who may not use fanotify. Memory, here and in the kernel, grows with the number of folders.
///
/// The kernel tells of a watch by its number, and this keeps the folders' names: ``WatchedFolders``. A new folder is watched, with all
/// below, before it is told of, so that what happened in it before the watch stood is looked at too.
package final class InotifyWatch: FolderWatch, @unchecked Sendable {
    // SAFETY: used by one thread, as the protocol says.
    private let scope: WatchScope
    private let inotify: OwnedDescriptor
    private let table: OwnedDescriptor
    private let mounts: WatchedMounts
    private let foldersMax: Int
    private var folders = WatchedFolders()
    /// Numbers of the roots, and of folders in which a root may appear.
    private var anchors: Set<Int32> = []
    package private(set) var unwatched: [RawPath]
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    /// The first look, before anything is told.
    private var isStarting = true
    /// Why the watch is good for nothing, once it is.
    private var failure: String?

    package var method: String { "inotify" }

    /// More folders would take too much memory here (about 200 bytes each) and in the kernel (about 1 KiB).
    package static let foldersMax = 200_000

    /// Throws where there are more folders than may be watched.
    package init(_ scope: WatchScope, foldersMax: Int = InotifyWatch.foldersMax) throws(WatchRefusal) {
        self.scope = scope
        self.foldersMax = foldersMax
        let fd = linux_inotify()
        guard fd >= 0 else { throw WatchRefusal("inotify: \(HostFilesError(errno: -fd, "watch").reason)") }
        inotify = OwnedDescriptor(fd)
        table = OwnedDescriptor(WatchedMounts.openTable())
        do { mounts = try WatchedMounts(scope) } catch { throw WatchRefusal(error.description) }
        unwatched = mounts.silent.map(\.point)
        for root in scope.roots {
            let parent = watchAnchor(of: root)
            watchTree(root, in: parent)
        }
        if let failure { throw WatchRefusal(failure) }
        unwatched.sort()
        isStarting = false
    }

    /// Watches the nearest folder above a root that is there, in which the root may appear, vanish or be replaced.
    private func watchAnchor(of root: RawPath) -> Int32? {
        var path = root.parent
        while true {
            if let number = add(path) {
                if folders.path(number) != path { folders.set(number, parent: nil, name: path) }
                anchors.insert(number)
                return path == root.parent ? number : nil
            }
            guard path.bytes.count > 1 else { return nil }
            path = path.parent
        }
    }

    /// Adds a watch for one folder; nil where there is none, or it cannot be read, which the backup will say.
    private func add(_ path: RawPath) -> Int32? {
        let fd = path.bytes.withUnsafeBytes { linux_open_folder_directly($0.baseAddress, $0.count) }
        guard fd >= 0 else { return nil }
        let folder = OwnedDescriptor(fd)
        return add(folder)
    }

    private func add(_ folder: OwnedDescriptor) -> Int32? {
        guard folders.count < foldersMax else {
            failure = "there are more than \(foldersMax) folders to watch"
            return nil
        }
        let number = linux_inotify_add(inotify.number, folder.number)
        if number < 0, HostFilesError.code(of: -number) == .noSpace {
            failure = "there are more folders than may be watched: raise fs.inotify.max_user_watches"
        }
        return number < 0 ? nil : number
    }

    /// Watches a folder and all below it that counts.
    private func watchTree(_ top: RawPath, in parent: Int32?) {
        var waiting = [(path: top, parent: parent)]
        while let (path, parent) = waiting.popLast(), failure == nil {
            guard scope.counts(path), !mounts.silent.contains(where: { $0.point == path }) else { continue }
            let fd = path.bytes.withUnsafeBytes { linux_open_folder_directly($0.baseAddress, $0.count) }
            guard fd >= 0 else {
                noteUnopened(path, HostFilesError(errno: -fd, "watch", path: path))
                continue
            }
            let folder = OwnedDescriptor(fd)
            guard let number = add(folder) else { continue }
            if isStarting, let other = folders.path(number), other != path, !anchors.contains(number) {
                // One folder in two places (a bind mount): what happens there is told of at one of them.
                unwatched.append(path)
                continue
            }
            let components = path.components
            if let parent, let name = components.last {
                folders.set(number, parent: parent, name: name)
            } else {
                folders.set(number, parent: nil, name: path)
            }
            if scope.roots.contains(path) { anchors.insert(number) }
            for name in subfolders(of: folder, at: path) { waiting.append((path: path.appending(name), parent: number)) }
        }
    }

    /// What is gone is told of, and what may not be read is not backed up; anything else leaves a gap.
    private func noteUnopened(_ path: RawPath, _ error: HostFilesError) {
        switch error.code {
        case .notFound, .notADirectory, .permission, .tooManyLinks: break
        default: failure = error.description
        }
    }

    private func subfolders(of folder: OwnedDescriptor, at path: RawPath) -> [RawPath] {
        var found: [RawPath] = []
        var entries = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            let count = entries.withUnsafeMutableBytes { linux_getdents64(folder.number, $0.baseAddress, $0.count) }
            guard count > 0 else { return found }
            entries.withUnsafeBytes { bytes in
                var offset = 0
                while offset + 19 <= Int(count) {
                    let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
                    guard length > 19, offset + length <= Int(count) else { return }
                    let name = RawPath(bytes: Array(bytes[offset + 19..<offset + length].prefix { $0 != 0 }))
                    let type = bytes[offset + 18]
                    if type == linux_DT_DIR || type == linux_DT_UNKNOWN, name != ".", name != ".." { found.append(name) }
                    offset += length
                }
            }
        }
    }

    package func wait(milliseconds: Int, tell: (FolderEvent) -> Void) -> Bool {
        let ready = linux_poll_events(inotify.number, table.number, Int32(clamping: milliseconds))
        if ready < 0 {
            tell(.doubt("waiting for events failed: \(HostFilesError(errno: -ready, "wait").reason)", isBroken: true))
            return false
        }
        if ready & 2 != 0, (try? WatchedMounts(scope)) != mounts {
            tell(.doubt("what is mounted has changed", isBroken: true))
        }
        guard ready & 1 != 0 else { return false }
        let count = buffer.withUnsafeMutableBytes { linux_read(inotify.number, $0.baseAddress, $0.count) }
        if count == Int64(linux_would_block) { return false }
        guard count > 0 else {
            tell(.doubt("reading events failed: \(HostFilesError(errno: Int32(-count), "read").reason)", isBroken: true))
            return false
        }
        let events = buffer.withUnsafeBytes { parseInotify(UnsafeRawBufferPointer(rebasing: $0.prefix(Int(count)))) }
        for event in events { take(event, tell) }
        if let failure { tell(.doubt(failure, isBroken: true)) }
        return Int(count) > buffer.count / 2
    }

    private func take(_ event: InotifyEvent, _ tell: (FolderEvent) -> Void) {
        let mask = event.mask
        if mask & linux_IN_Q_OVERFLOW != 0 {
            // New folders may be among what was lost, and would not be watched.
            return tell(.doubt("more happened at once than the kernel keeps events of", isBroken: true))
        }
        if mask & linux_IN_UNMOUNT != 0 { tell(.doubt("a file system was unmounted", isBroken: true)) }
        if mask & linux_IN_IGNORED != 0 {
            if anchors.contains(event.number) { tell(.doubt("a folder of the sources is gone", isBroken: true)) }
            return folders.remove(event.number)
        }
        guard let path = folders.path(event.number) else {
            // Of a folder that was moved out of sight.
            _ = linux_inotify_remove(inotify.number, event.number)
            return
        }
        if event.name.bytes.isEmpty { return takeOwn(event, path, tell) }
        let isFolder = mask & linux_IN_ISDIR != 0
        let entries = linux_IN_CREATE | linux_IN_DELETE | linux_IN_MOVED_TO | linux_IN_MOVED_FROM
        let entry = path.appending(event.name)
        if mask & entries != 0, scope.mayLeadElsewhere(entry, isFolder: isFolder) {
            tell(.doubt("\(entry) may lead elsewhere now", isBroken: true))
        }
        guard scope.counts(path) else {
            // An anchor: only what leads to a root counts.
            guard scope.above(entry) != nil else { return }
            if isFolder, mask & entries != 0 { tell(.doubt("\(entry) is another than before", isBroken: true)) }
            return tell(.changed(path))
        }
        guard scope.counts(event.name, in: path, isFolder: isFolder) else {
            if mask & entries != 0 { tell(.touched(path)) }
            return
        }
        if isFolder, mask & (linux_IN_CREATE | linux_IN_MOVED_TO) != 0 {
            watchTree(entry, in: event.number)
            tell(.appeared(entry))
        }
        tell(.changed(path))
    }

    /// What happened to a watched folder itself.
    private func takeOwn(_ event: InotifyEvent, _ path: RawPath, _ tell: (FolderEvent) -> Void) {
        if event.mask & linux_IN_MOVE_SELF != 0 {
            if anchors.contains(event.number) {
                tell(.doubt("\(path) was moved", isBroken: true))
            } else if add(path) != event.number {
                // It is not where it was thought to be, so it was moved out of sight.
                _ = linux_inotify_remove(inotify.number, event.number)
                folders.remove(event.number)
                return
            }
        }
        if scope.counts(path) || scope.above(path) != nil { tell(.changed(path)) }
    }
}

/// Which folder a watch's number stands for: names, each below the number of the folder that it is in.
package struct WatchedFolders: Sendable {
    private struct Node {
        var parent: Int32?
        /// The whole path for one without a parent.
        var name: RawPath
    }

    private var nodes: [Int32: Node] = [:]
    /// Longer ways up are circles, which only a mistake could make.
    private static let depthMax = 40_000

    package init() {}

    package var count: Int { nodes.count }

    package mutating func set(_ number: Int32, parent: Int32?, name: RawPath) {
        nodes[number] = Node(parent: parent == number ? nil : parent, name: name)
    }

    package mutating func remove(_ number: Int32) { nodes[number] = nil }

    /// Where the folder is, as far as was told. Nil if one above it is not known any more.
    package func path(_ number: Int32) -> RawPath? {
        var names: [RawPath] = []
        var at = number
        while let node = nodes[at], names.count < WatchedFolders.depthMax {
            names.append(node.name)
            guard let parent = node.parent else {
                var path = names.removeLast()
                for name in names.reversed() { path = path.appending(name) }
                return path
            }
            at = parent
        }
        return nil
    }
}

/// One event, as the kernel lays it out in inotify(7).
package struct InotifyEvent: Sendable, Equatable {
    package var number: Int32
    package var mask: UInt32
    /// Empty for the folder itself.
    package var name: RawPath
}

/// What `read` gave. What makes no sense ends it: an event with the overflow's bit stands for the rest.
package func parseInotify(_ bytes: UnsafeRawBufferPointer) -> [InotifyEvent] {
    var events: [InotifyEvent] = []
    var offset = 0
    while offset + 16 <= bytes.count {
        let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
        guard length <= bytes.count - offset - 16 else { break }
        let name = Array(bytes[offset + 16..<offset + 16 + length].prefix { $0 != 0 })
        events.append(
            InotifyEvent(
                number: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self),
                mask: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self), name: RawPath(bytes: name)))
        offset += 16 + length
    }
    if offset != bytes.count { events.append(InotifyEvent(number: -1, mask: linux_IN_Q_OVERFLOW, name: "")) }
    return events
}
