internal import BackupFormat
internal import HostFiles

/// Sets the metadata of an entry: owner, extended attributes, mode and time, in the order in which none undoes another.
///
/// (Giving a file away clears its set-id bits and capabilities; an ACL changes the mode; everything changes the time but
/// the time itself.) What cannot be set is one problem, and the file is kept.
struct RestoreMetadata {
    /// What the metadata is set on; never what a symbolic link there points to.
    enum Place {
        case file(TargetFile)
        case folder(RestoreHandle)
        case named(RestoreHandle, RawPath)
    }

    private let run: RestoreRun

    init(_ run: RestoreRun) { self.run = run }

    /// Makes what is in `place` as `entry` says. True if anything had to change; with `isNew` nothing is read first.
    @discardableResult
    func apply(_ entry: TreeEntry, to place: Place, isNew: Bool, path: () -> RawPath) throws(RestoreFailure) -> Bool {
        var failed: [(String, HostFilesError)] = []
        func attempt(_ what: String, _ body: () throws(HostFilesError) -> Void) {
            do throws(HostFilesError) { try body() } catch { failed.append((what, error)) }
        }
        let status = try HostFilesError.of { () throws(HostFilesError) in try place.status() }
        var changed = false
        var ownerStands = true
        let owner = wantedOwner(entry, status)
        if let owner {
            do throws(HostFilesError) {
                try place.setOwner(owner.user, owner.group)
                changed = true
            } catch {
                ownerStands = false
                // Only root can give files away: from anyone else it is not expected.
                if run.owners.isRoot || error.code != .permission { failed.append(("owner", error)) }
            }
        }
        // Without its owner or group, a program must not gain the rights of whoever restores it.
        var mode = entry.mode
        if !ownerStands { mode &= ~0o6000 }
        let isPlainNew = isNew && entry.type != .directory
        if !isPlainNew || !entry.attributes.isEmpty {
            let attributesChanged = setAttributes(entry, place, isPlainNew) { failed.append(("attributes", $0)) }
            changed = changed || attributesChanged
        }
        if entry.type != .symlink, owner != nil || changed || status.permissions != mode {
            if status.permissions != mode { changed = true }
            attempt("mode") { () throws(HostFilesError) in try place.setMode(mode) }
        }
        if isNew || changed || status.modified != entry.modified {
            if status.modified != entry.modified { changed = true }
            attempt("time") { () throws(HostFilesError) in try setTime(entry.modified, place) }
        }
        if let first = failed.first {
            for (_, error) in failed {
                if case .fatal(let fatal) = RestoreFailure(error) { throw .fatal(fatal) }
            }
            let reasons = failed.map { "\($0.0): \($0.1.cause)" }.joined(separator: "; ")
            run.report(path(), first.0, "restored, but not all of its metadata could be set (\(reasons))")
        }
        return changed
    }

    /// A file system that has no room for a time takes the nearest, and says nothing.
    private func setTime(_ time: Timestamp, _ place: Place) throws(HostFilesError) {
        try place.setTime(time)
        guard time.seconds < 0 || time.seconds > Int64(Int32.max), try place.status().modified.seconds != time.seconds else {
            return
        }
        throw HostFilesError(.unsupported, "set the time", detail: "the file system cannot hold a time so far from now")
    }

    /// Whether `apply` would find nothing to do.
    func isRight(_ entry: TreeEntry, _ place: Place) throws(RestoreFailure) -> Bool {
        let status = try HostFilesError.of { () throws(HostFilesError) in try place.status() }
        guard wantedOwner(entry, status) == nil, status.modified == entry.modified,
            entry.type == .symlink || status.permissions == entry.mode
        else { return false }
        let found = (try? place.attributes()) ?? []
        return found.filter { !RestoreMetadata.isLocal($0.name) } == entry.attributes.filter { !RestoreMetadata.isLocal($0.name) }
    }

    /// The owner to set; nil when it is right already, or not to be tried.
    private func wantedOwner(_ entry: TreeEntry, _ status: FileStatus) -> (user: UInt32, group: UInt32)? {
        let user = run.owners.isRoot ? run.owners.user(entry.uid) : entry.uid
        let group = run.owners.isRoot ? run.owners.group(entry.gid) : entry.gid
        return user == status.uid && group == status.gid ? nil : (user, group)
    }

    /// Given by the machine's security policy, not by the user: never removed.
    static func isLocal(_ name: [UInt8]) -> Bool { name.starts(with: "security.selinux".utf8) }

    private func setAttributes(_ entry: TreeEntry, _ place: Place, _ isPlainNew: Bool, _ failed: (HostFilesError) -> Void) -> Bool
    {
        var changed = false
        var found: [ExtendedAttribute] = []
        if !isPlainNew {
            do throws(HostFilesError) { found = try place.attributes() } catch {
                if error.code != .unsupported || !entry.attributes.isEmpty { failed(error) }
                return false
            }
        }
        for attribute in found where !RestoreMetadata.isLocal(attribute.name) {
            if entry.attributes.contains(where: { $0.name == attribute.name }) { continue }
            changed = true
            do throws(HostFilesError) { try place.removeAttribute(attribute.name) } catch { failed(error) }
        }
        for attribute in entry.attributes where !found.contains(attribute) {
            changed = true
            do throws(HostFilesError) { try place.setAttribute(attribute) } catch { failed(error) }
        }
        return changed
    }
}
