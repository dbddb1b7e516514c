internal import BackupFormat
internal import Glibc
internal import HostFiles

/// The names in a folder of the ledger: new ones appear whole and durable, stale temporary ones go.
struct IndexFolder: Sendable {
    static let segmentSuffix = Array(".segment".utf8)
    static let temporarySuffix = Array(".tmp".utf8)
    /// A temporary file this old was left by a process that died. A live one whose file vanishes fails and starts again.
    private static let staleSeconds: Int64 = 24 * 3600

    let disk: any Disk
    let path: RawPath

    /// Makes the folder if it is missing, and removes what dead processes left in it.
    init(_ disk: any Disk, _ path: RawPath) throws(HostFilesError) {
        self.disk = disk
        self.path = path
        try disk.makeDirectories(path)
        let oldest = Int64(time(nil)) - IndexFolder.staleSeconds
        for name in try disk.list(path) where name.bytes.hasSuffix(IndexFolder.temporarySuffix) {
            guard let status = try disk.status(path.appending(name)), status.modifiedSeconds < oldest else { continue }
            // What cannot be removed, as on a disk mounted read-only, is in nobody's way.
            try? remove(name)
        }
    }

    /// The names of the segments, in byte order.
    func segmentNames() throws(HostFilesError) -> [RawPath] {
        try disk.list(path).filter { $0.bytes.hasSuffix(IndexFolder.segmentSuffix) }
    }

    /// A name that no file has or had: 32 random hexadecimal digits.
    static func randomName() -> String {
        var generator = RandomNumbers()
        let number = (generator.next(), generator.next())
        return withUnsafeBytes(of: number) { hexadecimal($0) }
    }

    /// Gives a synced temporary file its name, and makes that durable.
    func publish(_ temporary: RawPath, as name: RawPath) throws(HostFilesError) {
        try disk.rename(path.appending(temporary), to: path.appending(name))
        try disk.syncDirectory(path)
    }

    /// Removes a file, unless somebody did already.
    func remove(_ name: RawPath) throws(HostFilesError) {
        do {
            try disk.unlink(path.appending(name))
        } catch  where error.code == .notFound {
            return
        }
    }
}

extension [UInt8] {
    func hasSuffix(_ suffix: [UInt8]) -> Bool { self.suffix(suffix.count).elementsEqual(suffix) }
}
