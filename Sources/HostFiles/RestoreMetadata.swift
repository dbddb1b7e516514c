package import BackupFormat
internal import CLinux

/// What a restored file has besides its content.
package struct FileMetadata: Sendable {
    /// Permission, set-id and sticky bits.
    package var mode: UInt16
    package var uid: UInt32
    package var gid: UInt32
    package var modified: Timestamp
    /// All that it shall have, ACLs and capabilities among them; others are removed.
    package var attributes: [ExtendedAttribute]

    package init(mode: UInt16, uid: UInt32, gid: UInt32, modified: Timestamp, attributes: [ExtendedAttribute] = []) {
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modified = modified
        self.attributes = attributes
    }
}

/// What metadata is set on: an open file, or an entry of a directory that can't or must not be opened.
struct MetadataPlace {
    let fd: Int32
    /// Empty for the descriptor itself.
    let name: UnsafeRawBufferPointer

    func chown(_ uid: UInt32, _ gid: UInt32) -> Int32 { linux_chown(fd, name.baseAddress, name.count, uid, gid) }

    func chmod(_ mode: UInt32) -> Int32 {
        name.isEmpty ? linux_fchmod(fd, mode) : linux_chmod(fd, name.baseAddress, name.count, mode)
    }

    func setModified(_ time: Timestamp) -> Int32 {
        linux_set_mtime(fd, name.baseAddress, name.count, time.seconds, time.nanoseconds)
    }

    func list(_ buffer: UnsafeMutableRawBufferPointer) -> Int64 {
        name.isEmpty
            ? linux_flistxattr(fd, buffer.baseAddress, buffer.count)
            : linux_listxattrat(fd, name.baseAddress, name.count, buffer.baseAddress, buffer.count)
    }

    func set(_ attribute: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int32 {
        name.isEmpty
            ? linux_fsetxattr(fd, attribute.baseAddress, attribute.count, value.baseAddress, value.count)
            : linux_setxattrat(
                fd, name.baseAddress, name.count, attribute.baseAddress, attribute.count, value.baseAddress, value.count)
    }

    func remove(_ attribute: UnsafeRawBufferPointer) -> Int32 {
        name.isEmpty
            ? linux_fremovexattr(fd, attribute.baseAddress, attribute.count)
            : linux_removexattrat(fd, name.baseAddress, name.count, attribute.baseAddress, attribute.count)
    }
}

/// Sets owner, attributes, mode and time, in the order in which none undoes another; what could not be set.
///
/// `path` is for the errors. `hasAttributes`: the file may have some already, which it must not keep.
func apply(
    _ metadata: FileMetadata, to place: MetadataPlace, type: EntryType, uid: UInt32, gid: UInt32, hasAttributes: Bool,
    path: RawPath
) -> [HostFilesError] {
    var problems: [HostFilesError] = []
    func check(_ result: Int32, _ operation: String, _ detail: @autoclosure () -> String = "") {
        if result == 0 { return }
        problems.append(
            HostFilesError(HostFilesError.code(of: -result), operation, path: path, errno: -result, detail: detail()))
    }
    var mode = UInt32(metadata.mode)
    if metadata.uid != uid || metadata.gid != gid {
        let result = place.chown(metadata.uid, metadata.gid)
        check(result, "set the owner of", "\(metadata.uid):\(metadata.gid)")
        if result != 0 {
            // The group alone may be permitted. A set-id bit must not lend another user's or group's rights.
            let regrouped = metadata.gid == gid || place.chown(UInt32.max, metadata.gid) == 0
            if metadata.uid != uid { mode &= ~0o4000 }
            if !regrouped { mode &= ~0o2000 }
        }
    }
    for (result, operation, name) in applyAttributes(metadata.attributes, to: place, hasAttributes: hasAttributes) {
        check(result, operation, String(decoding: name, as: UTF8.self))
    }
    if type != .symlink { check(place.chmod(mode), "set the mode of") }
    check(place.setModified(metadata.modified), "set the time of")
    return problems
}

/// Gives the place these attributes and no others; what failed.
private func applyAttributes(
    _ attributes: [ExtendedAttribute], to place: MetadataPlace, hasAttributes: Bool
) -> [(Int32, String, [UInt8])] {
    var problems: [(Int32, String, [UInt8])] = []
    if hasAttributes {
        let (result, names) = listAttributes(place.list)
        if result != 0 { problems.append((result, "list the extended attributes of", [])) }
        for name in names where !attributes.contains(where: { $0.name == name }) && !isGivenBySystem(name) {
            let removed = name.withUnsafeBytes { place.remove($0) }
            if removed != 0 && removed != linux_no_data { problems.append((removed, "remove an extended attribute of", name)) }
        }
    }
    for attribute in attributes {
        let set = attribute.name.withUnsafeBytes { name in attribute.value.withUnsafeBytes { place.set(name, $0) } }
        if set != 0 { problems.append((set, "set an extended attribute of", attribute.name)) }
    }
    return problems
}

/// Labels that the system's policy puts on every file, and that only it should take away.
private func isGivenBySystem(_ name: [UInt8]) -> Bool {
    ["security.selinux", "security.SMACK64", "security.ima", "security.evm"].contains { name.elementsEqual($0.utf8) }
}
