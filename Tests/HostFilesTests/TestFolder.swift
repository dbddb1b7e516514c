import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

/// A temporary folder on the real file system, removed at the end with all that is in it.
final class TestFolder {
    let path: RawPath
    let handle: DirectoryHandle
    var fd: Int32 { descriptor }
    private let descriptor: Int32

    init() throws {
        var random: UInt64 = 0
        _ = linux_random(&random, 8)
        let base = getenv("BAKARE_TEST_FOLDER").map { String(cString: $0) } ?? "/var/tmp"
        path = RawPath("\(base)/bakare-files-\(random)")
        #expect(path.bytes.withUnsafeBytes { linux_mkdirat(linux_AT_FDCWD, $0.baseAddress, $0.count, 0o700) } == 0)
        descriptor = path.bytes.withUnsafeBytes {
            linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_RDONLY | linux_O_DIRECTORY, 0)
        }
        try #require(descriptor >= 0)
        handle = try DirectoryHandle.open(path)
    }

    deinit {
        close(descriptor)
        var text = "rm -rf -- "
        text += String(decoding: path.bytes, as: UTF8.self)
        _ = runShell(text)
    }

    func write(_ name: RawPath, _ content: [UInt8] = [], mode: UInt32 = 0o644) {
        let fd = openat(name, linux_O_WRONLY | linux_O_CREAT | linux_O_TRUNC, mode)
        #expect(fd >= 0)
        #expect(content.withUnsafeBytes { linux_pwrite_full(fd, $0.baseAddress, $0.count, 0) } == 0)
        close(fd)
    }

    func openat(_ name: RawPath, _ flags: Int32, _ mode: UInt32 = 0) -> Int32 {
        name.bytes.withUnsafeBytes { linux_openat(descriptor, $0.baseAddress, $0.count, flags, mode) }
    }

    func makeDirectory(_ name: RawPath, mode: UInt32 = 0o755) {
        #expect(name.bytes.withUnsafeBytes { linux_mkdirat(descriptor, $0.baseAddress, $0.count, mode) } == 0)
    }

    func link(_ name: RawPath, to target: RawPath) {
        let result = name.bytes.withUnsafeBytes { name in
            target.bytes.withUnsafeBytes {
                linux_symlinkat($0.baseAddress, $0.count, descriptor, name.baseAddress, name.count)
            }
        }
        #expect(result == 0)
    }

    func makeNode(_ name: RawPath, mode: UInt32, device: UInt64 = 0) -> Int32 {
        name.bytes.withUnsafeBytes { linux_mknodat(descriptor, $0.baseAddress, $0.count, mode, device) }
    }

    func setAttribute(_ entry: RawPath, _ name: String, _ value: [UInt8]) -> Int32 {
        entry.bytes.withUnsafeBytes { entry in
            Array(name.utf8).withUnsafeBytes { name in
                value.withUnsafeBytes {
                    linux_setxattrat(
                        descriptor, entry.baseAddress, entry.count, name.baseAddress, name.count, $0.baseAddress, $0.count)
                }
            }
        }
    }

    func status(_ name: RawPath) throws -> FileStatus {
        try name.withBytes { name throws(HostFilesError) in try handle.status(of: name) }
    }
    func content(_ name: RawPath) throws -> [UInt8] {
        let file = try name.withBytes { name throws(HostFilesError) in try handle.openFile(name) }
        var bytes = [UInt8](repeating: 0, count: Int(file.status.size) + 1)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return Array(bytes[..<count])
    }

    /// The names that a listing gives.
    func names(budgetBytes: Int = 8 << 20) throws -> [RawPath] {
        let listing = SortedListing(scratch: ListingScratch(), budgetBytes: budgetBytes, spillFolder: path)
        try listing.read(handle)
        var names: [RawPath] = []
        while let entry = try listing.next() { names.append(RawPath(bytes: Array(entry.name))) }
        return names
    }
}

let isRoot = linux_effective_uid() == 0

/// Runs a command line; its exit code.
func runShell(_ command: String) -> Int32 {
    let pid = startShell(command)
    guard pid > 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return (status >> 8) & 0xff
}

/// Starts a command line without waiting for it; its process id.
func startShell(_ command: String) -> pid_t {
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = (["/bin/sh", "-c", command] as [String]).map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    return posix_spawn(&pid, "/bin/sh", nil, nil, arguments, environ) == 0 ? pid : -1
}
