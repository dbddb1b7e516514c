internal import BackupFormat
internal import Ledger
internal import Synchronization
internal import Vault

extension ArchiveStore {
    /// Reads chunks: by way of the index; if that is of no help, once from the footers of all packs.
    func chunkSource() -> any ChunkSource {
        let rebuilt = FooterScan(self)
        return ChunkReader(
            vault: vault, index: index, cipher: cipher, elsewhere: packSource, place: { [self] in try? place(of: $0) },
            resolve: { rebuilt.locations(of: $0) })
    }
}

/// Where chunks lie according to the packs themselves. All footers are read into the index, at most once.
private final class FooterScan: Sendable {
    private let store: ArchiveStore
    private let done = Mutex(false)

    init(_ store: ArchiveStore) { self.store = store }

    func locations(of id: ChunkID) -> [ChunkLocation] {
        done.withLock { done in
            if done { return }
            done = true
            try? store.vault.forEachPack { (pack) throws(VaultError) in
                guard let entries = try? store.packEntries(pack) else { return }
                try? store.index.add(pack: pack, entries: entries)
            }
        }
        return (try? store.index.allLocations(of: id)) ?? []
    }
}
