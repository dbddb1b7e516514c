internal import BackupFormat
internal import HostFiles
internal import Ledger
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

/// Where chunks lie according to the packs themselves. All footers are read into the index, at most once; whoever else asks waits for that.
private final class FooterScan: Sendable {
    private enum Standing { case due, underWay, done }

    private let store: ArchiveStore
    private let standing = ConditionLock(Standing.due)

    init(_ store: ArchiveStore) { self.store = store }

    func locations(of id: ChunkID) -> [ChunkLocation] {
        let isDue = standing.wait { standing -> Bool? in
            switch standing {
            case .due:
                standing = .underWay
                return true
            case .underWay: return nil
            case .done: return false
            }
        }
        if isDue {
            try? store.vault.forEachPack { (pack) throws(VaultError) in
                guard let entries = try? store.packEntries(pack) else { return }
                try? store.index.add(pack: pack, entries: entries)
            }
            standing.withLock { $0 = .done }
        }
        return (try? store.index.allLocations(of: id)) ?? []
    }
}
