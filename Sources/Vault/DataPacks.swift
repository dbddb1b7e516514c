package import BackupFormat

/// Which packs of data a vault holds: a value that remembers which hold trees, so that each header is read once.
package struct DataPacks: Sendable {
    package struct Local: Sendable, Hashable {
        package let id: PackID
        package let fileBytes: Int
        /// When it came, in seconds since 1970.
        package let seconds: Int64
    }

    /// What a pack holds never changes.
    private var kinds: [PackID: PackKind] = [:]

    package init() {}

    /// Those that are here now. One that cannot be read is left out: it is for a check to mend.
    package mutating func list(_ vault: Vault) throws(VaultError) -> [Local] {
        var found: [Local] = []
        var seen: [PackID: PackKind] = [:]
        let known = kinds
        try vault.forEachPack { pack throws(VaultError) in
            guard let kind = known[pack] ?? DataPacks.kind(of: pack, vault) else { return }
            seen[pack] = kind
            guard kind == .data, let bytes = try vault.fileBytes(pack), let seconds = try vault.storedSeconds(pack) else {
                return
            }
            found.append(Local(id: pack, fileBytes: bytes, seconds: seconds))
        }
        kinds = seen
        return found
    }

    private static func kind(of pack: PackID, _ vault: Vault) -> PackKind? {
        var header = [UInt8](repeating: 0, count: PackFrame.headerBytes)
        return header.withUnsafeMutableBytes { buffer in
            guard (try? vault.readPackChecked(pack, 0..<buffer.count, into: buffer)) != nil else { return nil }
            return try? PackFrame.kind(ofHeader: UnsafeRawBufferPointer(buffer))
        }
    }
}
