package import BackupFormat
internal import CLinux

extension DirectoryHandle {
    /// The extended attributes of an entry of any type, symlinks themselves included, sorted by name.
    ///
    /// ACLs (`system.posix_acl_*`) and capabilities (`security.capability`) are among them. Empty where the file system
    /// has none. Beyond the bounds in ``Limits``: `unsupported`.
    package func extendedAttributes(of name: UnsafeRawBufferPointer) throws(HostFilesError) -> [ExtendedAttribute] {
        let (result, attributes) = try perform("read the extended attributes of", name) { fd, name in
            readAttributes(
                list: { linux_listxattrat(fd, name.baseAddress, name.count, $0.baseAddress, $0.count) },
                get: { linux_getxattrat(fd, name.baseAddress, name.count, $0.baseAddress, $0.count, $1.baseAddress, $1.count) })
        }
        guard result == 0 else { throw failure(result, "read the extended attributes of", name) }
        return attributes
    }

    /// The extended attributes of the directory itself.
    package func extendedAttributes() throws(HostFilesError) -> [ExtendedAttribute] {
        let (result, attributes) = try perform("read the extended attributes of", emptyName) { fd, _ in
            readAttributes(descriptor: fd)
        }
        guard result == 0 else { throw HostFilesError(errno: -result, "read the extended attributes of the folder") }
        return attributes
    }
}

extension FileHandle {
    /// The extended attributes of the open file, as ``DirectoryHandle/extendedAttributes(of:)`` gives them.
    package func extendedAttributes() throws(HostFilesError) -> [ExtendedAttribute] {
        let (result, attributes) = try perform("read the extended attributes of") { fd in readAttributes(descriptor: fd) }
        guard result == 0 else { throw HostFilesError(errno: -result, "read the extended attributes of") }
        return attributes
    }
}

/// The attributes of an open descriptor, and 0 or a negated errno.
func readAttributes(descriptor fd: Int32) -> (Int32, [ExtendedAttribute]) {
    readAttributes(
        list: { linux_flistxattr(fd, $0.baseAddress, $0.count) },
        get: { linux_fgetxattr(fd, $0.baseAddress, $0.count, $1.baseAddress, $1.count) })
}

/// The names of the attributes, sorted, and 0 or a negated errno. No names where there are no extended attributes at all.
func listAttributes(_ list: (UnsafeMutableRawBufferPointer) -> Int64) -> (Int32, [[UInt8]]) {
    // Most files have none or few: these fit on the stack.
    let (result, names) = withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { space in
        let count = list(space)
        return count > 0 ? (count, splitNames(UnsafeRawBufferPointer(rebasing: space[..<Int(count)]))) : (count, [])
    }
    if result >= 0 { return (0, names) }
    if HostFilesError.code(of: Int32(-result)) == .unsupported { return (0, []) }
    guard result == Int64(linux_too_large) else { return (Int32(result), []) }
    // The kernel's own bound (XATTR_LIST_MAX) is 64 KiB.
    var all = [UInt8](repeating: 0, count: 64 << 10)
    let count = all.withUnsafeMutableBytes { list($0) }
    guard count >= 0 else { return (Int32(count), []) }
    return (0, all[..<Int(count)].withUnsafeBytes { splitNames($0) })
}

private func splitNames(_ list: UnsafeRawBufferPointer) -> [[UInt8]] {
    var names: [[UInt8]] = list.split(separator: 0).map { Array($0) }
    names.sort { $0.lexicographicallyPrecedes($1) }
    return names
}

private func readAttributes(
    list: (UnsafeMutableRawBufferPointer) -> Int64,
    get: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Int64
) -> (Int32, [ExtendedAttribute]) {
    let (result, names) = listAttributes(list)
    if result != 0 || names.isEmpty { return (result, []) }
    if names.count > Limits.xattrsMax { return (linux_not_supported, []) }
    var attributes: [ExtendedAttribute] = []
    attributes.reserveCapacity(names.count)
    var total = 0
    var value = [UInt8](repeating: 0, count: 1024)
    for name in names {
        var count = name.withUnsafeBytes { name in value.withUnsafeMutableBytes { get(name, $0) } }
        if count == Int64(linux_too_large), value.count < Limits.xattrValueBytesMax {
            value = [UInt8](repeating: 0, count: Limits.xattrValueBytesMax)
            count = name.withUnsafeBytes { name in value.withUnsafeMutableBytes { get(name, $0) } }
        }
        // Removed since the list was read.
        if count == Int64(linux_no_data) { continue }
        if count < 0 { return (Int32(count), []) }
        total += name.count + Int(count)
        if name.count > Limits.xattrNameBytesMax || total > Limits.xattrsTotalBytesMax { return (linux_not_supported, []) }
        attributes.append(ExtendedAttribute(name: name, value: Array(value[..<Int(count)])))
    }
    return (0, attributes)
}
