package import BackupFormat
internal import CLinux

/// Watches whole file systems by fanotify: no work and no memory a folder. For root.
///
/// An event names its folder by a handle, which is looked up when the event is read: the path is where the folder is by then. Where
/// a folder moves after that, its own move is told of later, at the path that it has then, and all below it counts as new.
package final class FanotifyWatch: FolderWatch, @unchecked Sendable {
    // SAFETY: used by one thread, as the protocol says.
    private let scope: WatchScope
    private let group: OwnedDescriptor
    private let table: OwnedDescriptor
    private var mounts: WatchedMounts
    /// A folder of each mount, by the number of its file system.
    private let doors: [UInt64: [OwnedDescriptor]]
    private let rootIdentities: [FileStatus?]
    package let unwatched: [RawPath]
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    /// Where folders are, by their handles; nil for those that do not count.
    private var known: [[UInt8]: RawPath?] = [:]

    private static let knownMax = 4096

    package var method: String { "fanotify" }

    package init(_ scope: WatchScope) throws(WatchRefusal) {
        let group = linux_fanotify()
        guard group >= 0 else { throw WatchRefusal("fanotify: \(HostFilesError(errno: -group, "watch").reason)") }
        self.group = OwnedDescriptor(group)
        self.scope = scope
        table = OwnedDescriptor(WatchedMounts.openTable())
        let mounts: WatchedMounts
        do { mounts = try WatchedMounts(scope) } catch { throw WatchRefusal(error.description) }
        self.mounts = mounts
        var doors: [UInt64: [OwnedDescriptor]] = [:]
        var unwatched = mounts.silent.map(\.point)
        for mount in mounts.local {
            let isBelow = scope.roots.contains { mount.point.isWithin($0) && mount.point != $0 }
            do throws(WatchRefusal) {
                let (id, door) = try FanotifyWatch.watch(mount.point, group)
                doors[id, default: []].append(door)
            } catch {
                // Without the file systems of the roots it is no watch.
                guard isBelow else { throw error }
                unwatched.append(mount.point)
            }
        }
        self.doors = doors
        self.unwatched = unwatched.sorted()
        rootIdentities = scope.roots.map { FanotifyWatch.identity($0) }
    }

    /// Of what is at a path; a link is not followed.
    static func identity(_ path: RawPath) -> FileStatus? {
        var raw = linux_status()
        let result = path.bytes.withUnsafeBytes {
            linux_statx(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_AT_SYMLINK_NOFOLLOW, &raw)
        }
        return result == 0 ? FileStatus(raw) : nil
    }

    private static func watch(_ point: RawPath, _ group: Int32) throws(WatchRefusal) -> (UInt64, OwnedDescriptor) {
        func check(_ result: Int32) throws(WatchRefusal) {
            guard result < 0 else { return }
            throw WatchRefusal(HostFilesError(errno: -result, "watch", path: point).description)
        }
        let fd = point.bytes.withUnsafeBytes {
            linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY | linux_O_DIRECTORY, 0)
        }
        try check(fd)
        let door = OwnedDescriptor(fd)
        var id: UInt64 = 0
        try check(linux_filesystem_id(fd, &id))
        try check(linux_fanotify_mark_filesystem(group, fd))
        return (id, door)
    }

    package func wait(milliseconds: Int, tell: (FolderEvent) -> Void) -> Bool {
        let ready = linux_poll_events(group.number, table.number, Int32(clamping: milliseconds))
        if ready < 0 {
            tell(.doubt("waiting for events failed: \(HostFilesError(errno: -ready, "wait").reason)", isBroken: true))
            return false
        }
        if ready & 2 != 0 { lookAtMounts(tell) }
        guard ready & 1 != 0 else { return false }
        let count = buffer.withUnsafeMutableBytes { linux_read(group.number, $0.baseAddress, $0.count) }
        if count == Int64(linux_would_block) { return false }
        guard count > 0 else {
            tell(.doubt("reading events failed: \(HostFilesError(errno: Int32(-count), "read").reason)", isBroken: true))
            return false
        }
        let events: [FanotifyEvent] = buffer.withUnsafeBytes { bytes in
            parseFanotify(UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(count))))
        }
        for event in events { take(event, tell) }
        return Int(count) > buffer.count / 2
    }

    private func lookAtMounts(_ tell: (FolderEvent) -> Void) {
        guard let now = try? WatchedMounts(scope), now == mounts else {
            return tell(.doubt("what is mounted has changed", isBroken: true))
        }
    }

    private func take(_ event: FanotifyEvent, _ tell: (FolderEvent) -> Void) {
        if event.mask & linux_FAN_Q_OVERFLOW != 0 {
            return tell(.doubt("more happened at once than the kernel keeps events of", isBroken: false))
        }
        guard let folder = event.folder else {
            // Of a file that is open without a name, or a kind of event that is not asked for.
            return
        }
        let entries = linux_FAN_MOVED_FROM | linux_FAN_MOVED_TO | linux_FAN_CREATE | linux_FAN_DELETE
        let isFolder = event.mask & linux_FAN_ONDIR != 0
        let isMove = isFolder && event.mask & linux_FAN_MOVE_SELF != 0
        if isMove { known = [:] }
        let paths: [RawPath]
        do throws(HostFilesError) { paths = try find(folder) } catch {
            return tell(.doubt("a changed folder cannot be found: \(error.reason)", isBroken: false))
        }
        for path in paths {
            if isMove {
                tell(.appeared(path))
                continue
            }
            guard event.name.bytes != [0x2e], !event.name.bytes.isEmpty else {
                tell(.changed(path))
                continue
            }
            let entry = path.appending(event.name)
            if event.mask & entries != 0, scope.mayLeadElsewhere(entry, isFolder: isFolder) {
                tell(.doubt("\(entry) may lead elsewhere now", isBroken: true))
            }
            if scope.counts(path) {
                if scope.counts(event.name, in: path, isFolder: isFolder) {
                    tell(.changed(path))
                } else if event.mask & entries != 0 {
                    tell(.touched(path))
                }
            } else if scope.above(entry) != nil {
                tell(.changed(path))
            }
        }
        if isFolder, event.mask & (entries | linux_FAN_MOVE_SELF) != 0 { lookAtRoots(tell) }
    }

    /// A folder above a root may have been moved, and another be where it was.
    private func lookAtRoots(_ tell: (FolderEvent) -> Void) {
        for (root, before) in zip(scope.roots, rootIdentities) {
            let now = FanotifyWatch.identity(root)
            if now?.inode != before?.inode || now?.device != before?.device || now?.mountID != before?.mountID {
                return tell(.doubt("\(root) is another than before", isBroken: true))
            }
        }
    }

    /// The paths of a folder that count, or lead to a root.
    private func find(_ folder: FanotifyEvent.Folder) throws(HostFilesError) -> [RawPath] {
        guard let doors = doors[folder.filesystem] else { return [] }
        if let path = known[folder.handle] { return path.map { [$0] } ?? [] }
        var paths: [RawPath] = []
        for door in doors {
            guard let path = try path(of: folder, by: door) else { continue }
            if scope.counts(path) || scope.above(path) != nil, !paths.contains(path) { paths.append(path) }
        }
        if paths.count <= 1 {
            if known.count >= FanotifyWatch.knownMax { known = [:] }
            known[folder.handle] = .some(paths.first)
        }
        return paths
    }

    /// Nil for a folder that is not there any more: the one that it was in has told of that.
    private func path(of folder: FanotifyEvent.Folder, by door: OwnedDescriptor) throws(HostFilesError) -> RawPath? {
        let fd = folder.handle.withUnsafeBytes { bytes in
            // The type of a handle stands before it.
            let type = bytes.loadUnaligned(as: Int32.self)
            let rest = UnsafeRawBufferPointer(rebasing: bytes[4...])
            return linux_open_by_handle(door.number, type, rest.baseAddress, rest.count)
        }
        let error = HostFilesError(errno: -fd, "open")
        if fd < 0 {
            if error.code == .notFound || fd == linux_stale { return nil }
            throw error
        }
        defer { _ = linux_close(fd) }
        // In the midst of its removal a folder may be found and be nowhere.
        var raw = linux_status()
        if linux_statx(fd, nil, 0, linux_AT_EMPTY_PATH, &raw) == 0, FileStatus(raw).linkCount == 0 { return nil }
        var length: Int64 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { space, used in
            length = linux_descriptor_path(fd, space.baseAddress, space.count)
            used = Int(max(0, length))
        }
        guard length > 0, length < 4096, bytes.first == 0x2f else {
            throw HostFilesError(.nameTooLong, "find the path of a folder")
        }
        return RawPath(bytes: bytes)
    }
}

/// One event, as the kernel lays it out in fanotify(7).
package struct FanotifyEvent: Sendable, Equatable {
    package struct Folder: Sendable, Equatable {
        package var filesystem: UInt64
        /// The handle's type, 4 bytes, and its bytes.
        package var handle: [UInt8]
    }
    package var mask: UInt64
    package var folder: Folder?
    /// `.` for the folder itself.
    package var name: RawPath = ""
}

/// What `read` gave. What makes no sense ends it: an event with the overflow's bit stands for the rest.
package func parseFanotify(_ bytes: UnsafeRawBufferPointer) -> [FanotifyEvent] {
    var events: [FanotifyEvent] = []
    var offset = 0
    while offset + 24 <= bytes.count {
        let length = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let head = Int(bytes.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self))
        guard length >= 24, head >= 24, head <= length, length <= bytes.count - offset else { break }
        var event = FanotifyEvent(mask: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
        let record = UnsafeRawBufferPointer(rebasing: bytes[offset + head..<offset + length])
        (event.folder, event.name) = folderAndName(record)
        events.append(event)
        offset += length
    }
    if offset != bytes.count { events.append(FanotifyEvent(mask: linux_FAN_Q_OVERFLOW)) }
    return events
}

/// The first record of a folder's handle, with or without a name.
private func folderAndName(_ records: UnsafeRawBufferPointer) -> (FanotifyEvent.Folder?, RawPath) {
    var offset = 0
    while offset + 20 <= records.count {
        let (type, length) = (records[offset], Int(records.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self)))
        guard length >= 20, length <= records.count - offset else { break }
        let handleBytes = Int(records.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
        // FAN_EVENT_INFO_TYPE_DFID_NAME and FAN_EVENT_INFO_TYPE_DFID
        if type == 2 || type == 3, handleBytes <= length - 20 {
            let filesystem = records.loadUnaligned(fromByteOffset: offset + 4, as: UInt64.self)
            let handle = Array(records[offset + 16..<offset + 20 + handleBytes])
            let name = records[offset + 20 + handleBytes..<offset + length].prefix { $0 != 0 }
            return (FanotifyEvent.Folder(filesystem: filesystem, handle: handle), RawPath(bytes: type == 2 ? Array(name) : []))
        }
        offset += length
    }
    return (nil, "")
}
