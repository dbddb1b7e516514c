package import BackupFormat
package import Cryptography
internal import HostFiles

/// What lies in a vault's folder, by names and lengths alone.
package struct VaultFootprint: Sendable, Equatable {
    /// Those where they belong; the trash not counted.
    package var packs = 0
    package var snapshots = 0
    /// Of all files, whatever they are; the reserve counts whole also while it is given up.
    package var bytes = 0

    package init() {}
}

extension Vault {
    /// A folder beside the vault's own, where whoever receives for it keeps what has not all come; no part of the vault.
    package static let incomingName = "incoming"
    /// Folders within folders are looked into so far.
    private static let depthMax = 4

    /// Looks at every file below the vault's folder. Files may come and go meanwhile.
    package func footprint() throws(VaultError) -> VaultFootprint {
        var footprint = VaultFootprint()
        var kept = 0
        footprint.bytes = try bytes(below: root, depth: 0) { folder, name, bytes in
            if folder == root {
                if name == Vault.reserveName { kept = bytes }
            } else if folder == snapshotsFolder {
                if SnapshotID(hex: name) != nil { footprint.snapshots += 1 }
            } else if let id = PackID(hex: name), folder == home(.pack(id)).parent {
                footprint.packs += 1
            }
        }
        footprint.bytes = Vault.sum(footprint.bytes - kept, Vault.reserveBytes)
        return footprint
    }

    /// When the list of committed snapshots last changed, whoever did it; in seconds since 1970.
    package func commitSeconds() throws(VaultError) -> Int64 {
        try files("look at", snapshotsFolder) { () throws(HostFilesError) in
            try disk.status(snapshotsFolder)?.modifiedSeconds ?? 0
        }
    }

    /// Bytes of the files of commits under way.
    package func pendingBytes() throws(VaultError) -> Int {
        try bytes(below: pendingFolder, depth: Vault.depthMax) { _, _, _ in }
    }

    /// `visit` is told of each file: its folder, its name and its length.
    private func bytes(
        below folder: RawPath, depth: Int, visit: (RawPath, RawPath, Int) -> Void
    ) throws(VaultError) -> Int {
        let names: [RawPath]
        do throws(HostFilesError) { names = try disk.list(folder) } catch {
            if error.code == .notFound { return 0 }
            throw VaultError(error, "list", "\(folder)")
        }
        var total = 0
        for name in names {
            let path = folder.appending(name)
            guard let status = try files("look at", path, { () throws(HostFilesError) in try disk.status(path) }) else {
                continue
            }
            if !status.isDirectory {
                total = Vault.sum(total, status.size)
                visit(folder, name, status.size)
            } else if depth < Vault.depthMax {
                total = Vault.sum(total, try bytes(below: path, depth: depth + 1, visit: visit))
            }
        }
        return total
    }

    /// Sparse files may claim any length.
    private static func sum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? Int.max : max(0, sum)
    }

    /// The length of the file that keeps it where it belongs; nil if there is none.
    package func fileBytes(_ pack: PackID) throws(VaultError) -> Int? { try fileBytes(home(.pack(pack))) }
    package func fileBytes(_ page: PageID) throws(VaultError) -> Int? { try fileBytes(home(.page(page))) }
    package func fileBytes(_ snapshot: SnapshotID) throws(VaultError) -> Int? { try fileBytes(snapshotPath(snapshot)) }

    /// When the pack came to where it belongs, in seconds since 1970; nil if it is not there.
    package func storedSeconds(_ pack: PackID) throws(VaultError) -> Int64? {
        let path = home(.pack(pack))
        return try files("look at", path) { () throws(HostFilesError) in try disk.status(path)?.modifiedSeconds }
    }

    private func fileBytes(_ path: RawPath) throws(VaultError) -> Int? {
        try files("look for", path) { () throws(HostFilesError) in try disk.status(path)?.size }
    }

    private static let pieceBytes = 1 << 20

    /// Reads a whole pack, mends it if parity can, and answers its hash tree; nil if its bytes are not those that its name says.
    ///
    /// `visit` sees the pack piece by piece, each with its offset. Memory: one piece of 1 MiB.
    package func tree(
        of pack: PackID, visit: (Int, UnsafeRawBufferPointer) -> Void = { _, _ in }
    ) throws(VaultError) -> MerkleTree? {
        var file = try findPack(pack)
        let total = file.contentBytes
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, min(total, Vault.pieceBytes)), alignment: Limits.leafBytes)
        defer { buffer.deallocate() }
        var hasher = MerkleHasher(capacityBytes: total)
        do throws(VaultError) {
            for start in stride(from: 0, to: total, by: Vault.pieceBytes) {
                let range = start..<min(start + Vault.pieceBytes, total)
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
                // What was mended is read as it is now.
                if try readChecked(file, pack, range, into: piece) { file = try findPack(pack) }
                hasher.append(UnsafeRawBufferPointer(piece))
                visit(start, UnsafeRawBufferPointer(piece))
            }
        } catch {
            guard error.code == .damaged else { throw error }
            return nil
        }
        let tree = hasher.finish()
        return tree.packID == pack ? tree : nil
    }

    /// Whether a pack stands where it belongs, every byte of it right. Its name is durable after ``sync()`` then.
    package func holds(_ pack: PackID) throws(VaultError) -> Bool {
        guard try contains(pack) else { return false }
        noteUnsynced(.pack(pack))
        do throws(VaultError) { return try tree(of: pack) != nil } catch {
            // Gone meanwhile, or not even its table is left.
            if error.code == .notFound || error.code == .damaged { return false }
            throw error
        }
    }

    /// The same of a page.
    package func holds(_ page: PageID) throws(VaultError) -> Bool {
        guard try fileBytes(page) != nil else { return false }
        noteUnsynced(.page(page))
        do throws(VaultError) { _ = try self.page(page) } catch {
            if error.code == .notFound || error.code == .damaged { return false }
            throw error
        }
        return true
    }
}
