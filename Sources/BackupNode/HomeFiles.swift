package import BackupFormat
internal import Cryptography
package import HostFiles

extension Home {
    /// Writes a file that must not exist, and that only its owner may read; durable once this returns.
    package func writeNewFile(_ path: RawPath, _ bytes: [UInt8]) throws(NodeError) {
        do {
            let file = try disk.createExclusively(path, expectedBytes: bytes.count)
            defer { file.close() }
            let result = bytes.withUnsafeBytes { buffer in
                Result { () throws(HostFilesError) in try file.write(at: 0, buffer) }
            }
            try result.get()
            try file.sync()
            try disk.syncDirectory(path.parent)
        } catch {
            throw NodeError(.failed, "", "\(error)")
        }
    }
}

extension Disk {
    /// Writes a whole plain file, durable under its name once this returns; until then the old one stays.
    package func replaceFile(_ path: RawPath, with bytes: [UInt8]) throws(HostFilesError) {
        let staged = RawPath(bytes: path.bytes + ".new-".utf8 + hexadecimal(Bytes32.random().bytes.prefix(8)).utf8)
        let file = try createExclusively(staged, expectedBytes: bytes.count)
        do throws(HostFilesError) {
            defer { file.close() }
            let result = bytes.withUnsafeBytes { buffer in
                Result { () throws(HostFilesError) in try file.write(at: 0, buffer) }
            }
            try result.get()
            try file.sync()
        } catch {
            try? unlink(staged)
            throw error
        }
        try rename(staged, to: path)
        try syncDirectory(path.parent)
    }

    /// All bytes of a plain file, or nil if there is none; at most `limit`, else `damaged`.
    package func readFile(_ path: RawPath, limit: Int) throws(HostFilesError) -> [UInt8]? {
        let file: any DiskFile
        do throws(HostFilesError) {
            file = try openForReading(path)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
        defer { file.close() }
        let size = try file.size()
        guard size <= limit else { throw HostFilesError(.damaged, "read", path: path, detail: "longer than \(limit) bytes") }
        var bytes = [UInt8](repeating: 0, count: size)
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(HostFilesError) in try file.read(at: 0, into: buffer) }
        }
        bytes.removeLast(size - (try result.get()))
        return bytes
    }
}
