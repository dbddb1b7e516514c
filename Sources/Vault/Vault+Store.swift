package import BackupFormat
package import Cryptography
internal import HostFiles

extension Vault {
    /// How often a file is written again after a sweep took its temporary file for a dead one's.
    private static let writeAttemptsMax = 8

    /// Stores a pack whose id the caller has computed from `bytes`. Its bytes are durable then; its name after ``sync()``.
    ///
    /// A pack that is there already is left as it is, unless `replacing`, which mends one that is beyond repair.
    /// Returns whether it was written.
    @discardableResult
    package func store(pack: PackID, bytes: UnsafeRawBufferPointer, replacing: Bool = false) throws(VaultError) -> Bool {
        guard bytes.count <= Limits.packBytesMax else {
            throw VaultError(.rejected, "store", "pack \(pack)", detail: "it is longer than a pack may be")
        }
        return try store(.pack(pack), bytes, replacing: replacing)
    }

    /// Stores a pack that came from elsewhere; `rejected` if its bytes are not those that its id names. Returns their hash tree.
    @discardableResult
    package func storeVerified(pack: PackID, bytes: UnsafeRawBufferPointer, replacing: Bool = false) throws(VaultError)
        -> MerkleTree
    {
        let rejected = VaultError(.rejected, "store", "pack \(pack)", detail: "its bytes are not those that its name says")
        guard bytes.count <= Limits.packBytesMax else { throw rejected }
        let tree = MerkleTree(hashing: bytes)
        var isRight = tree.packID == pack
        #if MUTANTS
            if Mutant.storeUnverified.isOn { isRight = true }
        #endif
        guard isRight else { throw rejected }
        _ = try store(.pack(pack), bytes, replacing: replacing)
        return tree
    }

    /// Stores a page of a pack list, as it is encoded. Returns its id. Its name is durable after ``sync()``.
    @discardableResult
    package func storePage(_ bytes: [UInt8]) throws(VaultError) -> PageID {
        let id = PageID(bytes.withUnsafeBytes { sha256($0) })
        let isPage = bytes.withUnsafeBytes { (try? PackListPage(decoding: $0)) != nil }
        guard isPage else { throw VaultError(.rejected, "store", "page \(id)", detail: "it is not a page of a pack list") }
        // A page is small, and a damaged one stops the sweep: writing it again mends that.
        let isThere = (try? page(id)) != nil
        _ = try bytes.withVaultBytes { bytes throws(VaultError) in try store(.page(id), bytes, replacing: !isThere) }
        return id
    }

    func store(_ stored: Stored, _ bytes: UnsafeRawBufferPointer, replacing: Bool) throws(VaultError) -> Bool {
        let home = home(stored)
        let there = try files("look for", stored) { () throws(HostFilesError) in try disk.status(home) }
        // Another process may have stored it and not synced it yet: its name is this one's to make durable too.
        if there != nil && !replacing {
            noteUnsynced(stored)
            return false
        }
        try makeFolder(for: stored)
        try write(bytes, to: home, "store", "\(stored)")
        noteUnsynced(stored)
        if case .pack(let id) = stored, replacing { state.withLock { $0.openPacks.remove(id) } }
        return true
    }

    /// Writes a protected file: a temporary one, synced, then renamed to `path`. The name is not durable yet.
    func write(
        _ bytes: UnsafeRawBufferPointer, to path: RawPath, _ operation: String, _ subject: String
    ) throws(VaultError) {
        let encoder = state.withLock { $0.encoders.popLast() } ?? ProtectedFileEncoder()
        defer { state.withLock { state in if state.encoders.count < Vault.encodersKept { state.encoders.append(encoder) } } }
        for _ in 0..<Vault.writeAttemptsMax {
            let temporary = newTemporaryPath()
            do throws(HostFilesError) {
                try ProtectedFile.write(bytes, disk, temporary, encoder)
                try disk.rename(temporary, to: path)
                return
            } catch {
                // A sweep may take the temporary file of a process that was stopped for long: it is written again.
                if error.code == .notFound { continue }
                try? disk.unlink(temporary)
                throw VaultError(error, operation, subject)
            }
        }
        throw VaultError(.busy, operation, subject, detail: "sweeps kept removing the temporary file")
    }

    private static let encodersKept = 4
}

extension Array<UInt8> {
    /// Calls `body` with the bytes; unlike `withUnsafeBytes`, keeps the type of its error.
    func withVaultBytes<R>(_ body: (UnsafeRawBufferPointer) throws(VaultError) -> R) throws(VaultError) -> R {
        try withUnsafeBufferPointer { buffer throws(VaultError) in try body(UnsafeRawBufferPointer(buffer)) }
    }
}
