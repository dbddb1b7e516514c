internal import CLinux
internal import Glibc

/// A temporary folder of one test, removed with it.
final class Scratch {
    enum Place {
        /// In memory: fast, and times without bounds.
        case memory
        /// On the machine's disk.
        case disk
    }

    let path: String
    let folder: Folder
    private var mounts: [Mount] = []
    private let parent: String
    private let name: String

    init(_ place: Place = .memory) throws {
        _ = linux_raise_open_files()
        let wanted = place == .memory ? environmentText("BAKARE_TEST_FOLDER") ?? "/dev/shm" : "/tmp"
        parent = access(wanted, W_OK) == 0 ? wanted : "/tmp"
        name = "bakare-e2e-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        path = parent + "/" + name
        try Folder(parent).makeFolder(name)
        folder = try Folder(path)
    }

    /// A new folder in it.
    @discardableResult
    func makeFolder(_ name: String) throws -> Folder { try folder.makeFolder(Bytes(name.utf8)) }

    /// A mount at a new folder in it, unmounted before the folder is removed.
    func mountMemory(at name: String, size: String) throws -> Mount {
        guard mkdir(path(name), 0o755) == 0 else { throw TestFailure("cannot make \(name)") }
        let mount = try Mount(memoryAt: path(name), size: size)
        mounts.append(mount)
        return mount
    }

    func path(_ name: String) -> String { path + "/" + name }

    deinit {
        for mount in mounts { mount.unmount() }
        if environmentText("BAKARE_TEST_KEEP") != nil {
            print("kept \(path)")
            return
        }
        do { try Folder(parent).remove(name) } catch { print("left \(path): \(error)") }
    }
}
