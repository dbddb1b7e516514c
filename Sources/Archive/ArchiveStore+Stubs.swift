internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Synchronization
internal import Vault

// Packs that only peers have. Of those whose stub was cut from the pack itself, the chunk index knows all chunks, and backups count on
// them. A stub that a peer has shown is a hint where to read, kept in an index of its own: whoever could make a publisher believe that a
// chunk is stored would make it leave that chunk out.

/// What an ``ArchiveStore`` knows of packs that are elsewhere.
struct Elsewhere {
    var source: (any PackSource)?
    /// Stubs that a peer has shown, as of the last look.
    var unproven: [PackID] = []
    /// Where chunks are according to them; made when it is needed.
    var hints: ChunkIndex?
}

extension ArchiveStore {
    /// From now on, what only peers have is read by way of `source`.
    package func readElsewhere(from source: any PackSource) { elsewhere.withLock { $0.source = source } }

    var packSource: (any PackSource)? { elsewhere.withLock { $0.source } }

    /// Says which packs a snapshot will be read from that are not here.
    func expectPacks(of snapshot: SnapshotID) {
        guard let source = packSource, let record = try? vault.snapshotRecord(snapshot) else { return }
        var packs: [PackID] = []
        for entry in record.pages {
            for pack in (try? vault.page(entry.id))?.packs ?? [] where (try? vault.isElsewhere(pack)) == true {
                packs.append(pack)
            }
        }
        source.expect(packs)
    }

    /// Reads packs into the index that it does not know: from their footers, or from stubs cut from the packs themselves.
    func index(unknown packs: [PackID]) throws {
        var unproven: [PackID] = []
        for pack in packs {
            if let entries = try? packEntries(pack) {
                try index.add(pack: pack, entries: entries)
            } else if let stub = try? vault.stub(pack), (try? vault.contains(pack)) == false {
                if !stub.isProven {
                    unproven.append(pack)
                } else if let entries = try? entries(of: stub) {
                    try index.add(pack: pack, entries: entries)
                }
            }
        }
        let found = unproven
        elsewhere.withLock { elsewhere in
            if elsewhere.unproven != found { elsewhere.hints = nil }
            elsewhere.unproven = found
        }
    }

    /// What a pack holds according to its stub, authenticated by the footer key.
    func entries(of stub: PackStub) throws -> [PackEntry] {
        let footer = try stub.sealedFooter.withUnsafeBytes { sealed in
            try stub.header.withUnsafeBytes { try footerCipher.open(sealed, associated: $0) }
        }
        let (kind, entries) = try footer.withUnsafeBytes { try PackFrame.decodeFooter($0, chunkBytes: stub.chunkBytes) }
        guard kind == .data else { throw FormatError(.inconsistent, "stub of a pack") }
        return entries
    }

    /// Where a chunk is, be it here or elsewhere, by the index or by what peers have shown.
    func place(of id: ChunkID) throws(LedgerError) -> ChunkLocation? {
        if let location = try index.lookup(id, reliably: true) { return location }
        if let location = try hints()?.lookup(id) { return location }
        return try index.lookup(id)
    }

    /// Nil where no peer has shown anything that is not known better.
    private func hints() throws(LedgerError) -> ChunkIndex? {
        try elsewhere.withLock { elsewhere throws(LedgerError) -> ChunkIndex? in
            guard !elsewhere.unproven.isEmpty else { return nil }
            if let hints = elsewhere.hints { return hints }
            let folder = scratchDirectory.appending("hints")
            do throws(HostFilesError) { try disk.makeDirectories(folder) } catch {
                throw LedgerError(error, "open the index of hints", path: folder)
            }
            let hints = try ChunkIndex.open(disk: disk, directory: folder, memoryBytes: plan.indexBytes / 2)
            for pack in hints.synchronise(present: elsewhere.unproven) {
                guard let stub = try? vault.stub(pack), let entries = try? entries(of: stub) else { continue }
                try hints.add(pack: pack, entries: entries)
            }
            try hints.flush()
            elsewhere.hints = hints
            return hints
        }
    }
}
