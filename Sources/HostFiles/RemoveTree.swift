internal import BackupFormat
internal import CLinux

/// Removes an entry, a directory with all that is in it, never following a symlink nor entering a mount.
/// Nothing happens if it is not there.
func removeTree(_ parent: DirectoryHandle, _ name: UnsafeRawBufferPointer) throws(HostFilesError) {
    let removed = linux_unlinkat(parent.fd, name.baseAddress, name.count, 0)
    if removed == 0 || removed == linux_not_found { return }
    guard let status = try parent.statusIfPresent(of: name) else { return }
    guard status.type == .directory else { throw parent.failure(removed, "remove", name) }
    if status.isMountRoot {
        throw HostFilesError(.unsupported, "remove", path: RawPath(bytes: Array(name)), detail: "something is mounted on it")
    }
    try removeContents(try openForRemoval(parent, name, status))
    let emptied = linux_unlinkat(parent.fd, name.baseAddress, name.count, linux_AT_REMOVEDIR)
    guard emptied == 0 || emptied == linux_not_found else { throw parent.failure(emptied, "remove the folder", name) }
}

/// Removes all that is in a directory. One descriptor a level is open, and the stack does not grow with the depth.
func removeContents(_ directory: DirectoryHandle) throws(HostFilesError) {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
    defer { scratch.deallocate() }
    // The directories on the way down, each with its name in the one above.
    var levels: [(handle: DirectoryHandle, name: RawPath)] = [(directory, RawPath(bytes: []))]
    while let (current, name) = levels.last {
        if let child = try removeFiles(in: current, scratch) {
            levels.append(child)
            continue
        }
        levels.removeLast()
        guard let above = levels.last?.handle else { return }
        try name.withBytes { bytes throws(HostFilesError) in
            let result = linux_unlinkat(above.fd, bytes.baseAddress, bytes.count, linux_AT_REMOVEDIR)
            guard result == 0 || result == linux_not_found else { throw above.failure(result, "remove the folder", bytes) }
        }
    }
}

/// Removes what is no directory, and gives the first directory that still has something in it.
private func removeFiles(
    in directory: DirectoryHandle, _ scratch: UnsafeMutableRawBufferPointer
) throws(HostFilesError) -> (handle: DirectoryHandle, name: RawPath)? {
    try directory.rewind()
    while true {
        let count = try directory.readEntries(into: scratch)
        if count == 0 { return nil }
        var offset = 0
        while offset + 20 <= count {
            let length = Int(scratch.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            guard length >= 20, offset + length <= count else { break }
            let field = UnsafeRawBufferPointer(rebasing: scratch[offset + 19..<offset + length])
            let name = UnsafeRawBufferPointer(rebasing: field[..<linux_length(field.baseAddress, field.count)])
            offset += length
            if name.elementsEqual([0x2e]) || name.elementsEqual([0x2e, 0x2e]) { continue }
            if let child = try removeEntry(directory, name) { return (child, RawPath(bytes: Array(name))) }
        }
    }
}

/// Removes a file or an empty directory; a directory with something in it is given back, open.
private func removeEntry(_ directory: DirectoryHandle, _ name: UnsafeRawBufferPointer) throws(HostFilesError) -> DirectoryHandle?
{
    let removed = linux_unlinkat(directory.fd, name.baseAddress, name.count, 0)
    if removed == 0 || removed == linux_not_found { return nil }
    guard let status = try directory.statusIfPresent(of: name) else { return nil }
    guard status.type == .directory else { throw directory.failure(removed, "remove", name) }
    if status.isMountRoot {
        throw HostFilesError(.unsupported, "remove", path: RawPath(bytes: Array(name)), detail: "something is mounted on it")
    }
    let emptied = linux_unlinkat(directory.fd, name.baseAddress, name.count, linux_AT_REMOVEDIR)
    if emptied == 0 || emptied == linux_not_found { return nil }
    return try openForRemoval(directory, name, status)
}

/// Opens a directory, making it accessible first if it is ours and we have shut ourselves out.
private func openForRemoval(
    _ parent: DirectoryHandle, _ name: UnsafeRawBufferPointer, _ status: FileStatus
) throws(HostFilesError) -> DirectoryHandle {
    if status.permissions & 0o700 != 0o700 && linux_effective_uid() != 0 {
        _ = linux_chmod(parent.fd, name.baseAddress, name.count, UInt32(status.permissions) | 0o700)
    }
    return try parent.openDirectory(name)
}
