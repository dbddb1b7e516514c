internal import BackupFormat
internal import HostFiles

typealias RestoreHandle = DirectoryHandle

extension DirectoryHandle {
    /// What bears this name; nil when nothing does.
    func find(_ name: RawPath) throws(HostFilesError) -> FileStatus? {
        try name.withBytes { bytes throws(HostFilesError) in try statusIfPresent(of: bytes) }
    }

    func openFolder(_ name: RawPath) throws(HostFilesError) -> DirectoryHandle {
        try name.withBytes { bytes throws(HostFilesError) in try openDirectory(bytes) }
    }

    func openExisting(_ name: RawPath) throws(HostFilesError) -> FileHandle {
        try name.withBytes { bytes throws(HostFilesError) in try openFile(bytes) }
    }

    /// The extended attributes of an entry, or (nil) of the directory itself.
    func attributes(of name: RawPath?) throws(HostFilesError) -> [ExtendedAttribute] {
        guard let name else { return try extendedAttributes() }
        return try name.withBytes { bytes throws(HostFilesError) in try extendedAttributes(of: bytes) }
    }

    /// Opens a directory by its path, following links in it, and makes what is missing of it.
    static func openOrMake(_ path: RawPath) throws(HostFilesError) -> DirectoryHandle {
        do { return try open(path) } catch  where error.code == .notFound {
            var made = RawPath(bytes: path.bytes.first == 0x2f ? [0x2f] : [0x2e])
            var handle = try open(made)
            for component in path.components {
                made = made.appending(component)
                do { handle = try open(made) } catch  where error.code == .notFound {
                    do { try handle.makeDirectory(component) } catch  where error.code == .exists {}
                    try handle.setMode(component, 0o755)
                    handle = try handle.openFolder(component)
                }
            }
            return handle
        }
    }
}

extension RestoreMetadata.Place {
    func status() throws(HostFilesError) -> FileStatus {
        switch self {
        case .file(let file): try file.status()
        case .folder(let folder): try folder.status()
        case .named(let folder, let name): try name.withBytes { bytes throws(HostFilesError) in try folder.status(of: bytes) }
        }
    }

    func setOwner(_ user: UInt32, _ group: UInt32) throws(HostFilesError) {
        switch self {
        case .file(let file): try file.setOwner(user: user, group: group)
        case .folder(let folder): try folder.setOwner(nil, user: user, group: group)
        case .named(let folder, let name): try folder.setOwner(name, user: user, group: group)
        }
    }

    func setMode(_ mode: UInt16) throws(HostFilesError) {
        switch self {
        case .file(let file): try file.setMode(mode)
        case .folder(let folder): try folder.setMode(nil, mode)
        case .named(let folder, let name): try folder.setMode(name, mode)
        }
    }

    func setTime(_ time: Timestamp) throws(HostFilesError) {
        switch self {
        case .file(let file): try file.setModified(time)
        case .folder(let folder): try folder.setModified(nil, time)
        case .named(let folder, let name): try folder.setModified(name, time)
        }
    }

    func attributes() throws(HostFilesError) -> [ExtendedAttribute] {
        switch self {
        case .file(let file): try file.extendedAttributes()
        case .folder(let folder): try folder.extendedAttributes()
        case .named(let folder, let name): try folder.attributes(of: name)
        }
    }

    func setAttribute(_ attribute: ExtendedAttribute) throws(HostFilesError) {
        switch self {
        case .file(let file): try file.setAttribute(attribute)
        case .folder(let folder): try folder.setAttribute(nil, attribute)
        case .named(let folder, let name): try folder.setAttribute(name, attribute)
        }
    }

    func removeAttribute(_ attribute: [UInt8]) throws(HostFilesError) {
        switch self {
        case .file(let file): try file.removeAttribute(attribute)
        case .folder(let folder): try folder.removeAttribute(nil, attribute)
        case .named(let folder, let name): try folder.removeAttribute(name, attribute)
        }
    }
}
