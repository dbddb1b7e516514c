package import BackupFormat
package import HostFiles

/// Small notes that survive a run, each under a key of 32 bytes: what the last run found, say. A cache, like the index.
///
/// Each note is a protected file `<hex of key>.memo` whose content is: magic `bakareM1`, the key, the value. A note is
/// replaced atomically, also between processes: a reader sees the old value or the new one.
package struct MemoStore: Sendable {
    package static let valueBytesMax = 64 << 10
    private static let magic = Array("bakareM1".utf8)
    private static let headBytes = 8 + Bytes32.count

    private let folder: IndexFolder

    /// Opens the folder, and makes it if it is missing.
    package init(disk: any Disk, directory: RawPath) throws(LedgerError) {
        do { folder = try IndexFolder(disk, directory) } catch {
            throw LedgerError(error, "open the folder of memos", path: directory)
        }
    }

    /// The value last put under `key`; nil if there is none, or if it is damaged beyond repair.
    package func get(key: Bytes32) throws(LedgerError) -> [UInt8]? {
        let path = folder.path.appending(MemoStore.name(key))
        do {
            let content = try ProtectedFile.content(
                folder.disk, path, limit: MemoStore.headBytes + MemoStore.valueBytesMax)
            guard content.starts(with: MemoStore.magic + key.bytes) else { return nil }
            return Array(content.dropFirst(MemoStore.headBytes))
        } catch {
            if error.code == .notFound || error.code == .damaged { return nil }
            throw LedgerError(error, "read a memo", path: path)
        }
    }

    /// Puts `value` (at most 64 KiB, else `tooLarge`) in place of what was there. Durable when it returns.
    package func put(key: Bytes32, value: [UInt8]) throws(LedgerError) {
        let name = MemoStore.name(key)
        guard value.count <= MemoStore.valueBytesMax else {
            throw LedgerError(.tooLarge, "write a memo", path: folder.path.appending(name), detail: "\(value.count) bytes")
        }
        let temporary = RawPath(IndexFolder.randomName() + ".tmp")
        do {
            try ProtectedFile.write(MemoStore.magic + key.bytes + value, folder.disk, folder.path.appending(temporary))
            try folder.publish(temporary, as: name)
        } catch {
            // What is left of the temporary file goes when it is stale, if not now.
            try? folder.remove(temporary)
            throw LedgerError(error, "write a memo", path: folder.path.appending(name))
        }
    }

    /// Removes what is under `key`, if anything is.
    package func remove(key: Bytes32) throws(LedgerError) {
        do { try folder.remove(MemoStore.name(key)) } catch { throw LedgerError(error, "remove a memo") }
    }

    private static func name(_ key: Bytes32) -> RawPath { RawPath(key.hex + ".memo") }
}
