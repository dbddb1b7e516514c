package import BackupFormat
internal import Cryptography
internal import HostFiles

// A publisher need not keep what enough peers keep for it. A stub then stands for the pack: it says how long the pack is and, under the
// owner's footer key, what it holds, so that the chunk index is complete and nothing is stored twice.
//
// A stub is no copy. Whoever asks this vault for the pack, looks for it or commits a snapshot that needs it from elsewhere is told that it is
// not here; only this node's own backups may count on it, and only while a committed snapshot needs it, since peers let go of what none
// does. The stub is durable before the pack is removed: a crash leaves the pack, or both, or the stub.

/// Which packs that only peers have count as present for a commit.
package enum StubPolicy: Sendable, Equatable {
    /// None: whoever commits counts on this vault to hold every pack.
    case none
    /// Those that a committed snapshot needs: peers that have committed it hold them.
    case listed
    /// All: the snapshot comes from a peer that has them.
    case any
}

extension Vault {
    private func isThere(_ stored: Stored) throws(VaultError) -> Bool {
        try files("look for", stored) { () throws(HostFilesError) in try disk.status(home(stored)) } != nil
    }

    /// Whether only a stub of the pack is here.
    package func isElsewhere(_ pack: PackID) throws(VaultError) -> Bool {
        guard try !isThere(.pack(pack)), try isThere(.stub(pack)) else { return false }
        // It may have come back between the two looks.
        return try !isThere(.pack(pack))
    }

    /// Whether the pack is here, or a stub of it.
    package func knows(_ pack: PackID) throws(VaultError) -> Bool {
        if try isThere(.pack(pack)) { return true }
        if try isThere(.stub(pack)) { return true }
        return try isThere(.pack(pack))
    }

    /// Whether there may be packs that only peers have.
    package var hasStubs: Bool {
        get throws(VaultError) {
            for folder in try names(in: stubsFolder) where try !names(in: stubsFolder.appending(folder)).isEmpty { return true }
            return false
        }
    }

    /// Calls `body` with every pack of which a stub is here, the trash not counted; the pack may be here too. In no order to rely on.
    package func forEachStub(_ body: (PackID) throws(VaultError) -> Void) throws(VaultError) {
        for folder in try names(in: stubsFolder) {
            let path = stubsFolder.appending(folder)
            guard hexadecimalBytes(folder.text)?.count == 1 else { continue }
            for name in try names(in: path) {
                guard let id = PackID(hex: name), home(.stub(id)) == path.appending(name) else { continue }
                try body(id)
            }
        }
    }

    private func names(in folder: RawPath) throws(VaultError) -> [RawPath] {
        do throws(HostFilesError) { return try disk.list(folder) } catch {
            if error.code == .notFound { return [] }
            throw VaultError(error, "list", "\(folder)")
        }
    }

    /// The stub of a pack. Throws `notFound` if there is none, `damaged` for one beyond repair.
    package func stub(_ pack: PackID) throws(VaultError) -> PackStub {
        let bytes = try withFound(.stub(pack), "read") { path throws(HostFilesError) in
            try ProtectedFile.content(disk, path, limit: PackStub.encodedBytesMax)
        }
        do { return try bytes.withUnsafeBytes { try PackStub(decoding: $0) } } catch {
            throw VaultError(.damaged, "read", "\(Stored.stub(pack))", detail: "\(error)")
        }
    }

    /// Stores the stub of a pack, in place of another if that is no proven one. Its name is durable after ``sync()``.
    package func store(stub: PackStub, of pack: PackID) throws(VaultError) {
        let isBetter = (try? self.stub(pack)).map { stub.isProven && !$0.isProven } ?? true
        _ = try stub.encode().withVaultBytes { bytes throws(VaultError) in
            try store(.stub(pack), bytes, replacing: isBetter)
        }
    }

    /// Removes a stub on which nothing relies: no peer has the pack any more, or it is here.
    package func removeStub(of pack: PackID) throws(VaultError) {
        do throws(HostFilesError) { try disk.unlink(home(.stub(pack))) } catch {
            if error.code != .notFound { throw VaultError(error, "remove", "\(Stored.stub(pack))") }
        }
    }

    /// Puts stubs in the place of packs that peers have: the caller has seen to it that enough of them do. Returns those removed here.
    ///
    /// A pack that is not whole here stays: it is for `check` to mend.
    package func replaceByStubs(_ packs: [PackID]) throws(VaultError) -> [PackID] {
        var ready: [PackID] = []
        for pack in packs {
            do throws(VaultError) {
                guard let stub = try cut(pack) else { continue }
                try store(stub: stub, of: pack)
                ready.append(pack)
            } catch {
                // Gone meanwhile, or damaged.
                guard error.code == .notFound || error.code == .damaged || error.code == .elsewhere else { throw error }
            }
        }
        try sync()
        guard !ready.isEmpty else { return [] }
        // Whoever counts on this vault for something asks again. And no pack is removed where it belongs: while this one slept, it may have been
        // forgotten, swept with its stub, stored anew and committed. In the trash, at a path that no other has, it is still found by
        // whoever needs it; only while its stub stands is it removed from there.
        let generation = try newGeneration()
        var removed: [PackID] = []
        for pack in ready {
            let place = trashFolder(generation).appending(Stored.pack(pack).trashName)
            do throws(HostFilesError) {
                try disk.rename(home(.pack(pack)), to: place)
                if try disk.status(home(.stub(pack))) != nil {
                    try disk.unlink(place)
                    removed.append(pack)
                }
            } catch {
                if error.code != .notFound { throw VaultError(error, "remove", "pack \(pack)") }
            }
            _ = try moveHome(.pack(pack), from: generation)
            state.withLock { $0.openPacks.remove(pack) }
        }
        try sync()
        return removed
    }

    /// The stub of a pack that is here; nil if its bytes are not those that its id names, or it is no pack of data.
    private func cut(_ pack: PackID) throws(VaultError) -> PackStub? {
        let total = try packBytes(pack)
        let overheadBytes = PackFrame.headerBytes + PackFrame.trailerBytes + PackFrame.footerOverheadBytes
        guard total >= overheadBytes, total <= Limits.packBytesMax else { return nil }
        var trailer = [UInt8](repeating: 0, count: PackFrame.trailerBytes)
        let read = trailer.withUnsafeMutableBytes { buffer in
            Result { () throws(VaultError) in try readPackChecked(pack, total - buffer.count..<total, into: buffer) }
        }
        _ = try read.get()
        guard let sealedBytes = trailer.withUnsafeBytes({ try? PackFrame.sealedFooterBytes(ofTrailer: $0, packBytes: total) })
        else { return nil }
        // What the hash covers is what is kept.
        var header: [UInt8] = []
        var tail: [UInt8] = []
        let tailStart = total - PackFrame.trailerBytes - sealedBytes
        let tree = try tree(of: pack) { offset, piece in
            if offset == 0 { header = Array(piece.prefix(PackFrame.headerBytes)) }
            if offset + piece.count > tailStart { tail += piece[max(0, tailStart - offset)...] }
        }
        guard tree != nil, header.withUnsafeBytes({ try? PackFrame.kind(ofHeader: $0) }) == .data else { return nil }
        return try? PackStub(packBytes: total, header: header, tail: tail, isProven: true)
    }

    /// The packs that committed snapshots need: 32 bytes each. Snapshots that are forgotten meanwhile may be left out.
    package func committedPacks() throws(VaultError) -> Set<PackID> {
        var packs: Set<PackID> = []
        var seen: Set<PageID> = []
        for id in try snapshots() {
            guard let record = try? record(at: snapshotPath(id), "snapshot \(id)") else { continue }
            for entry in record.pages where seen.insert(entry.id).inserted {
                guard let page = try? page(entry.id) else { continue }
                packs.formUnion(page.packs)
            }
        }
        return packs
    }
}
