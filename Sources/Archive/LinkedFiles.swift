internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// Files with several names that were read in this backup, so that most are read once, not once a name.
///
/// Bounded: when it is full it begins anew, and a further name of a file from before is read again.
final class LinkedFiles: Sendable {
    private struct State {
        /// Encoded entries, under any of their names.
        var entries: [FileIdentity: [UInt8]] = [:]
        var bytes = 0
        /// Large files that are being read under one name, each with the names that came up meanwhile.
        var reading: [FileIdentity: [BackupFile]] = [:]
    }

    private let state = Mutex(State())
    private static let bytesMax = 2 << 20
    /// What a table's place takes besides the entry, in bytes.
    private static let placeBytes = 64

    /// Keeps the entry of a file that was read in one state.
    func keep(_ entry: TreeEntry) {
        guard entry.linkCount > 1, entry.marks.isEmpty else { return }
        let encoded = encode(entry)
        let bytes = encoded.count + LinkedFiles.placeBytes
        guard bytes < LinkedFiles.bytesMax / 4 else { return }
        state.withLock { state in
            if state.bytes + bytes > LinkedFiles.bytesMax {
                state.entries = [:]
                state.bytes = 0
            }
            state.entries[FileIdentity(device: entry.device, inode: entry.inode)] = encoded
            state.bytes += bytes
        }
    }

    /// True if `file` is to be read; false if it waits for another of its names, which is being read.
    func begin(_ file: BackupFile, _ identity: FileIdentity) -> Bool {
        state.withLock { state in
            if state.reading[identity] == nil {
                state.reading[identity] = []
                return true
            }
            state.reading[identity]?.append(file)
            return false
        }
    }

    /// The names that waited for this one.
    func end(_ identity: FileIdentity) -> [BackupFile] { state.withLock { $0.reading.removeValue(forKey: identity) ?? [] } }

    /// Lets go of all names: the backup cannot go on.
    func cancel() { state.withLock { $0.reading = [:] } }

    /// The encoded entry under another name, if the file was read already and is still in that state.
    func entry(_ name: UnsafeRawBufferPointer, _ status: FileStatus) -> [UInt8]? {
        guard status.linkCount > 1 else { return nil }
        let identity = FileIdentity(device: status.device, inode: status.inode)
        guard let encoded = state.withLock({ $0.entries[identity] }) else { return nil }
        return encoded.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, "tree entry")
            guard let view = try? TreeEntryView(parsing: &reader), isUnchanged(view, status), var entry = try? view.entry() else {
                return nil
            }
            entry.name = RawPath(bytes: Array(name))
            return encode(entry)
        }
    }
}
