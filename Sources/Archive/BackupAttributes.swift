internal import BackupFormat
internal import HostFiles

extension BackupRun {
    /// Gives an entry its extended attributes. Where they cannot be read, the entry keeps what else is known of it, with the
    /// attributes that were last known; it is marked, so that the next backup looks again, and the problem is recorded.
    func addAttributes(
        to entry: inout TreeEntry, last: TreeEntry?, of path: @autoclosure () -> RawPath,
        _ read: () throws(HostFilesError) -> [ExtendedAttribute]
    ) {
        do throws(HostFilesError) { entry.attributes = try read() } catch {
            entry.attributes = last?.attributes ?? []
            entry.marks.insert(.incomplete)
            let kept = entry.attributes.isEmpty ? "all else of it is stored" : "those last known are kept"
            record(path(), error.operation, "\(error.cause); \(kept)")
        }
    }
}

/// An entry from its encoded bytes, or nil where there are none or they make no sense.
func decodeEntry(_ encoded: [UInt8]?) -> TreeEntry? {
    encoded?.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes, "tree entry")
        return try? TreeEntryView(parsing: &reader).entry()
    }
}
