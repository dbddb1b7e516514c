package import Archive
package import BackupFormat
internal import HostFiles
internal import Ledger
internal import Vault

/// On how many peers a snapshot is, and on how many it should be.
package struct ReplicaCount: Sendable, Hashable {
    package var replicas: Int
    package var target: Int
    package var isProtected: Bool { replicas >= target }

    package init(replicas: Int, target: Int) {
        self.replicas = replicas
        self.target = target
    }

    package var bytes: [UInt8] { [UInt8(clamping: replicas), UInt8(clamping: target)] }

    package init?(bytes: [UInt8]) {
        guard bytes.count == 2 else { return nil }
        self.init(replicas: Int(bytes[0]), target: Int(bytes[1]))
    }
}

extension ReplicaCount {
    /// As JSON shows it, in `backup` and `snapshots`.
    var members: [(key: String, value: JSON)] {
        [
            (key: "replicas", value: .int(replicas)), (key: "target", value: .int(target)),
            (key: "protected", value: .bool(isProtected)),
        ]
    }
}

/// How far this node's snapshots are spread over peers, by what the ledger says of them.
package struct ReplicaCounts: Sendable {
    private let table: ReplicaTable
    private let targets: SnapshotTargets
    private let now: Int64
    private let vault: Vault

    init(table: ReplicaTable, targets: SnapshotTargets, now: Int64, vault: Vault) {
        self.table = table
        self.targets = targets
        self.now = now
        self.vault = vault
    }

    package subscript(snapshot: SnapshotID) -> ReplicaCount { count(snapshot, of: targets[snapshot]) }
    package subscript(snapshot: SnapshotSummary) -> ReplicaCount { count(snapshot.id, of: targets[snapshot]) }

    private func count(_ snapshot: SnapshotID, of target: Int) -> ReplicaCount {
        let revision = (try? vault.snapshotRecord(snapshot))?.revision ?? 0
        return ReplicaCount(replicas: table.proven(snapshot, revision: revision, now: now), target: target)
    }

    /// How many packs that snapshots need are proven on 0, 1, 2… peers, and how many snapshots are on too few.
    func spread(of snapshots: [SnapshotSummary]) -> (packs: [Int: Int], unprotected: Int) {
        // A bit for each peer; no node has more than 64 in its placement set.
        let peers = table.replicas.values.filter { $0.state(now: now) == .proven }.prefix(64)
        var pages: [PageID: UInt64] = [:]
        var unprotected = 0
        for snapshot in snapshots {
            let id = snapshot.id
            guard let record = try? vault.snapshotRecord(id) else { continue }
            var holders: UInt64 = 0
            for (bit, peer) in peers.enumerated() where peer.snapshots[id] ?? 0 >= record.revision && peer.snapshots[id] != nil {
                holders |= 1 << UInt64(bit)
            }
            if holders.nonzeroBitCount < targets[snapshot] { unprotected += 1 }
            for page in record.pages { pages[page.id, default: 0] |= holders }
        }
        var packs: [PackID: UInt64] = [:]
        for (page, holders) in pages {
            for pack in (try? vault.page(page))?.packs ?? [] { packs[pack, default: 0] |= holders }
        }
        var counts: [Int: Int] = [:]
        for holders in packs.values { counts[holders.nonzeroBitCount, default: 0] += 1 }
        return (counts, unprotected)
    }
}

extension Home {
    /// Whether somebody else may hold snapshots of this owner; in doubt it says so.
    var hasHadPeers: Bool {
        if !ReplicaTable.read(disk, directory: ledgerDirectory).replicas.isEmpty { return true }
        do { return try disk.list(peersDirectory).contains { $0 != "orders" } } catch { return error.code != .notFound }
    }
}

extension Node {
    /// `now` is nanoseconds since 1970.
    package func replicaCounts(now: Int64) -> ReplicaCounts {
        ReplicaCounts(
            table: ReplicaTable.read(home.disk, directory: home.ledgerDirectory), targets: targets,
            now: now / 1_000_000_000, vault: store.vault)
    }
}
