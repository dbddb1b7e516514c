import BackupFormat
import HostFiles

/// A disk that calls a test before and after each operation that changes something.
struct HookedDisk: Disk {
    let disk: SimulatedDisk
    /// Told in words, before it is done.
    var before: @Sendable (String) -> Void = { _ in }
    /// After it was done, or failed.
    var after: @Sendable (String) -> Void = { _ in }

    fileprivate func hooked<R>(_ operation: String, _ body: () throws(HostFilesError) -> R) throws(HostFilesError) -> R {
        before(operation)
        defer { after(operation) }
        return try body()
    }

    func openForReading(_ path: RawPath) throws(HostFilesError) -> any DiskFile { try disk.openForReading(path) }
    func openForUpdating(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        HookedFile(try disk.openForUpdating(path), self, path)
    }
    func createExclusively(_ path: RawPath, expectedBytes: Int) throws(HostFilesError) -> any DiskFile {
        try hooked("create \(path)") { () throws(HostFilesError) in
            HookedFile(try disk.createExclusively(path, expectedBytes: expectedBytes), self, path)
        }
    }
    func rename(_ from: RawPath, to: RawPath) throws(HostFilesError) {
        try hooked("rename \(from) to \(to)") { () throws(HostFilesError) in try disk.rename(from, to: to) }
    }
    func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError) {
        try hooked("swap \(a) and \(b)") { () throws(HostFilesError) in try disk.exchange(a, b) }
    }
    func unlink(_ path: RawPath) throws(HostFilesError) {
        try hooked("unlink \(path)") { () throws(HostFilesError) in try disk.unlink(path) }
    }
    func makeDirectory(_ path: RawPath) throws(HostFilesError) {
        try hooked("make \(path)") { () throws(HostFilesError) in try disk.makeDirectory(path) }
    }
    func removeDirectory(_ path: RawPath) throws(HostFilesError) {
        try hooked("remove \(path)") { () throws(HostFilesError) in try disk.removeDirectory(path) }
    }
    func list(_ path: RawPath) throws(HostFilesError) -> [RawPath] { try disk.list(path) }
    func status(_ path: RawPath) throws(HostFilesError) -> DiskStatus? { try disk.status(path) }
    func syncDirectory(_ path: RawPath) throws(HostFilesError) {
        try hooked("sync \(path)") { () throws(HostFilesError) in try disk.syncDirectory(path) }
    }
    func freeBytes(_ path: RawPath) throws(HostFilesError) -> Int { try disk.freeBytes(path) }
}

private final class HookedFile: DiskFile {
    private let file: any DiskFile
    private let disk: HookedDisk
    private let path: RawPath

    init(_ file: any DiskFile, _ disk: HookedDisk, _ path: RawPath) {
        self.file = file
        self.disk = disk
        self.path = path
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int {
        try file.read(at: offset, into: buffer)
    }
    func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        try disk.hooked("write \(path)") { () throws(HostFilesError) in try file.write(at: offset, bytes) }
    }
    func truncate(to size: Int) throws(HostFilesError) {
        try disk.hooked("truncate \(path)") { () throws(HostFilesError) in try file.truncate(to: size) }
    }
    func sync() throws(HostFilesError) {
        try disk.hooked("sync \(path)") { () throws(HostFilesError) in try file.sync() }
    }
    func size() throws(HostFilesError) -> Int { try file.size() }
    func close() { file.close() }
}
