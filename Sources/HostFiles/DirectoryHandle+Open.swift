package import BackupFormat
internal import CLinux

extension DirectoryHandle {
    /// Opens a directory by its path, of any length (PATH_MAX is no limit), following the symlinks in it.
    ///
    /// `mounts` says where calls may hang; without it, nothing is guarded. A relative path begins at the working directory.
    package static func open(_ path: RawPath, mounts: MountTable? = nil) throws(HostFilesError) -> DirectoryHandle {
        try resolve(path, mounts: mounts).directory
    }

    /// Opens the directory that a path lies in, and gives the last component, which itself is not followed.
    ///
    /// A path that ends in `.`, `..` or is `/` alone names a directory: this gives it, and no name.
    package static func openParent(
        of path: RawPath, mounts: MountTable? = nil
    ) throws(HostFilesError) -> (directory: DirectoryHandle, name: RawPath?) {
        let components = path.components
        guard let last = components.last, last != ".", last != ".." else { return (try open(path, mounts: mounts), nil) }
        var parent = RawPath(bytes: path.bytes.first == 0x2f ? [0x2f] : [0x2e])
        for component in components.dropLast() { parent = parent.appending(component) }
        return (try resolve(parent, mounts: mounts, mustBeListed: false).directory, last)
    }

    /// As `open`, with the directory's own path: absolute, without symlinks, `.` and `..`.
    package static func resolve(
        _ path: RawPath, mounts: MountTable? = nil, mustBeListed: Bool = true
    ) throws(HostFilesError) -> (directory: DirectoryHandle, path: RawPath) {
        var walk = PathWalk(root: try openRoot(mounts))
        if path.bytes.first != 0x2f { walk.push(try workingDirectory()) }
        walk.pushLast(path)
        do throws(HostFilesError) {
            while try walk.step() {}
            do throws(HostFilesError) {
                return (try walk.directory.passage(to: ".", linux_O_RDONLY), walk.canonical)
            } catch  where error.code == .permission && !mustBeListed {
                return (walk.directory, walk.canonical)
            }
        } catch {
            throw HostFilesError(error.code, error.operation, path: path, errno: error.errno, detail: error.detail)
        }
    }

    /// Follows an absolute path, and the links that it leads through, the last component too.
    package static func places(of path: RawPath, mounts: MountTable? = nil) -> PathPlaces {
        var places = PathPlaces(path: path)
        guard let root = try? openRoot(mounts) else { return places }
        var walk = PathWalk(root: root)
        walk.pushLast(path)
        do throws(HostFilesError) {
            while try walk.step() {}
            places.end = walk.canonical
            places.isThere = true
        } catch {
            if error.code == .notFound {
                places.end = walk.canonicalMissing
            } else if walk.isAtEnd {
                // Something else than a folder, where nothing has to be below.
                places.end = walk.canonicalLast
                places.isThere = true
            }
        }
        places.links = walk.links
        return places
    }

    private static func openRoot(_ mounts: MountTable?) throws(HostFilesError) -> DirectoryHandle {
        let root = RawPath("/")
        let fd = root.bytes.withUnsafeBytes {
            linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_PATH | linux_O_DIRECTORY, 0)
        }
        guard fd >= 0 else { throw HostFilesError(errno: -fd, "open the folder", path: root) }
        return DirectoryHandle(fd: fd, mountGuard: mounts?.branches?.mountGuard, branch: mounts?.branches)
    }

    private static func workingDirectory() throws(HostFilesError) -> RawPath {
        var length: Int64 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, used in
            length = linux_working_directory(buffer.baseAddress, buffer.count)
            used = Int(max(0, length))
        }
        guard length >= 0 else { throw HostFilesError(errno: Int32(-length), "find the working folder") }
        return RawPath(bytes: bytes)
    }
}

/// Where what an absolute path leads to stands, each by a path without links.
package struct PathPlaces: Sendable, Equatable {
    package let path: RawPath
    /// The links that it leads through, in order.
    package fileprivate(set) var links: [RawPath] = []
    /// What is at the end, or would be there; nil where nobody can tell.
    package fileprivate(set) var end: RawPath?
    /// Whether something is there.
    package fileprivate(set) var isThere = false

    /// What a backup of the path takes in, and a watch of it looks at: the links, and what is at the end. Where nothing is, as with a disk that
    /// is not mounted, the backup names that, and the watch sees it appear.
    package var taken: [RawPath] { links.isEmpty ? [path] : links + (end.map { [$0] } ?? []) }
}

/// A path on its way to be opened, one component at a time.
private struct PathWalk {
    private let root: DirectoryHandle
    private(set) var directory: DirectoryHandle
    /// The components of `directory`.
    private var names: [RawPath] = []
    /// What guards and mounts the directories above have.
    private var above: [(mountGuard: SyscallGuard?, branch: MountBranch?)] = []
    /// Components still to go, the next one last.
    private var pending: [RawPath] = []
    private var linksLeft = 40
    /// The component that was looked at last.
    private var last: RawPath = "."
    /// The links that were followed, by paths without links.
    private(set) var links: [RawPath] = []

    init(root: DirectoryHandle) {
        self.root = root
        directory = root
    }

    var isAtEnd: Bool { pending.isEmpty }

    /// The component that was looked at last, which may be no folder.
    var canonicalLast: RawPath { canonical.appending(last) }

    /// Where what was not there would be, with all that was to go; nil where that leads up again.
    var canonicalMissing: RawPath? {
        pending.contains("..") ? nil : pending.reversed().reduce(canonicalLast) { $1 == "." ? $0 : $0.appending($1) }
    }

    var canonical: RawPath {
        var bytes: [UInt8] = []
        for name in names {
            bytes.append(0x2f)
            bytes += name.bytes
        }
        return RawPath(bytes: bytes.isEmpty ? [0x2f] : bytes)
    }

    /// Puts the components of a path in front of those to go; an absolute one begins at the root.
    mutating func push(_ path: RawPath) {
        pending += path.components.reversed()
        guard path.bytes.first == 0x2f else { return }
        directory = root
        names = []
        above = []
    }

    /// Puts the components of a path behind those to go.
    mutating func pushLast(_ path: RawPath) { pending.insert(contentsOf: path.components.reversed(), at: 0) }

    /// One component. False when there is none left.
    mutating func step() throws(HostFilesError) -> Bool {
        guard let name = pending.popLast() else { return false }
        last = name
        if name == "." { return true }
        if name == ".." {
            guard let upper = above.popLast() else { return true }
            names.removeLast()
            directory = try directory.passage(to: "..", linux_O_PATH, mountGuard: upper.mountGuard, branch: upper.branch)
            return true
        }
        do throws(HostFilesError) {
            let child = try directory.passage(toChild: name)
            above.append((directory.mountGuard, directory.branch))
            names.append(name)
            directory = child
        } catch {
            guard error.code == .notADirectory || error.code == .tooManyLinks else { throw error }
            guard let target = try? name.withBytes({ bytes throws(HostFilesError) in try directory.readLink(bytes) }) else {
                throw error
            }
            guard linksLeft > 0 else { throw HostFilesError(.tooManyLinks, "open the folder") }
            linksLeft -= 1
            links.append(canonicalLast)
            push(RawPath(bytes: target))
        }
        return true
    }
}

extension DirectoryHandle {
    /// A child on the way to another: it need not be readable, so that `/home` with mode 0711 can be passed.
    fileprivate func passage(toChild name: RawPath) throws(HostFilesError) -> DirectoryHandle {
        let childBranch = try name.withBytes { bytes throws(HostFilesError) in branch?.child(bytes) }
        return try passage(to: name, linux_O_PATH, mountGuard: mountGuard ?? childBranch?.mountGuard, branch: childBranch)
    }

    /// This directory once more, opened otherwise.
    fileprivate func passage(to name: RawPath, _ flags: Int32) throws(HostFilesError) -> DirectoryHandle {
        try passage(to: name, flags, mountGuard: mountGuard, branch: branch)
    }

    /// Opens `name`, which may be `.` or `..` here and nowhere else.
    fileprivate func passage(
        to name: RawPath, _ flags: Int32, mountGuard: SyscallGuard?, branch: MountBranch?
    ) throws(HostFilesError) -> DirectoryHandle {
        let handle = try name.withBytes { bytes throws(HostFilesError) in
            let opened = try perform("open the folder", bytes) { fd, name in
                let flags = flags | linux_O_DIRECTORY | linux_O_NOFOLLOW
                let result = linux_openat(fd, name.baseAddress, name.count, flags, 0)
                return Opened(
                    result, result < 0 ? nil : DirectoryHandle(fd: result, mountGuard: mountGuard, branch: branch))
            }
            guard let handle = opened.handle else { throw failure(opened.result, "open the folder", bytes) }
            return handle
        }
        return handle
    }
}

extension RawPath {
    /// Gives the bytes to `body`, without a copy.
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(HostFilesError) -> R) throws(HostFilesError) -> R {
        // The closure of the standard library's call can't carry a typed error out.
        let result: Result<R, HostFilesError> = bytes.withUnsafeBytes { buffer in
            do throws(HostFilesError) { return .success(try body(buffer)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
