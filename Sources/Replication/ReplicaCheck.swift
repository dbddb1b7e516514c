package import BackupFormat
internal import Cryptography
package import PeerProtocol
package import Vault

/// Finds out whether a peer really has the packs of the snapshots that are committed there, and sends those that it lacks.
package struct ReplicaCheck: Sendable {
    let vault: Vault
    let peer: PeerVault
    let progress: ReplicationProgress
    private let relay: PackRelay?

    /// What an audit showed.
    package struct Findings: Sendable, Hashable {
        package var proven = 0
        /// Those that the peer does not have, or not whole, or for which it showed something else.
        package var lost: [PackID] = []
    }

    /// `relay` gives packs that only other peers have.
    package init(
        of vault: Vault, at link: any PeerLink, progress: ReplicationProgress = ReplicationProgress(), relay: PackRelay? = nil
    ) {
        self.relay = relay
        self.vault = vault
        self.peer = PeerVault(link)
        self.progress = progress
    }

    /// All packs that these snapshots need, be they here or not: by the later list of the peer's where `readings` has one, else by the list
    /// that is here. In ascending order; 32 bytes each. And the snapshots of which a list cannot be read: they may need more.
    package func packs(
        of snapshots: some Sequence<SnapshotID>, by readings: Readings = Readings()
    ) -> (packs: [PackID], unread: Set<SnapshotID>) {
        var isRead: [PageID: Bool] = [:]
        var packs: Set<PackID> = []
        var unread: Set<SnapshotID> = []
        for id in snapshots {
            guard let pages = pages(of: id, readings) else {
                unread.insert(id)
                continue
            }
            for page in pages {
                if isRead[page] == nil {
                    let found = self.packs(on: page, readings)
                    packs.formUnion(found ?? [])
                    isRead[page] = found != nil
                }
                if isRead[page] == false { unread.insert(id) }
            }
        }
        return (packs.sorted(), unread)
    }

    /// Those of the snapshots that need one of the `lost` packs, by the same lists.
    package func snapshots(
        _ snapshots: some Sequence<SnapshotID>, needing lost: Set<PackID>, by readings: Readings = Readings()
    ) -> Set<SnapshotID> {
        var isHit: [PageID: Bool] = [:]
        var found: Set<SnapshotID> = []
        for id in snapshots {
            let needs = (pages(of: id, readings) ?? []).contains { page in
                if let known = isHit[page] { return known }
                let hit = (packs(on: page, readings) ?? []).contains(where: lost.contains)
                isHit[page] = hit
                return hit
            }
            if needs { found.insert(id) }
        }
        return found
    }

    /// Nil for what was forgotten or damaged meanwhile.
    private func pages(of id: SnapshotID, _ readings: Readings) -> [PageID]? {
        readings.laterLists[id] ?? (try? vault.knownRecord(id))?.pages.map(\.id)
    }

    private func packs(on page: PageID, _ readings: Readings) -> [PackID]? {
        readings.pages[page] ?? (try? vault.page(page))?.packs
    }

    /// Those of the packs that can be sent: they, or stubs of them, are here.
    package func sendable(_ packs: [PackID]) throws(ReplicationError) -> [PackID] {
        var there: [PackID] = []
        do { for pack in packs where try vault.knows(pack) { there.append(pack) } } catch { throw ReplicationError(error) }
        return there
    }

    /// Those of the packs that the peer has to keep: it has committed one of these snapshots with the list of packs that it has here, and the
    /// list names them. In no order.
    package func bound(
        to wanted: Set<PackID>, by records: [SnapshotRecord]
    ) throws(ReplicationError) -> [PackID] {
        let there = Set(try peer.snapshots(of: Set(records.map(\.id))))
        var rest = wanted
        var pages: Set<PageID> = []
        var held: [PackID] = []
        for record in records where there.contains(record.id) && !rest.isEmpty {
            try progress.requireGoing()
            var found: [PackID] = []
            for entry in record.pages where !pages.contains(entry.id) {
                guard let page = try? vault.page(entry.id) else { continue }
                found += page.packs.filter { rest.contains($0) }
            }
            // Only with the same list of packs does it keep the same packs.
            guard !found.isEmpty, try peer.record(record.id, owner: vault.owner) == record else { continue }
            for entry in record.pages { pages.insert(entry.id) }
            rest.subtract(found)
            held += found
        }
        return held
    }

    /// Those that the peer says it does not have, in the order given, and the least generation of its vault meanwhile.
    package func missing(of packs: [PackID]) throws(ReplicationError) -> (packs: [PackID], generation: UInt64?) {
        var missing: [PackID] = []
        var generation: UInt64?
        for start in stride(from: 0, to: packs.count, by: Limits.idsMax) {
            try progress.requireGoing()
            let some = packs[start..<min(start + Limits.idsMax, packs.count)].map { ObjectID($0.value) }
            let reply = try peer.ask(.have(Have(kind: .pack, ids: some)), "ask for packs")
            guard case .missing(let found) = reply.answer else { throw peer.unexpected("ask for packs") }
            missing += found.ids.map { PackID($0.value) }
            generation = min(generation ?? .max, found.generation)
        }
        return (missing, generation)
    }

    /// Asks for a leaf of each of these packs that nobody could tell before. `seed` is 32 fresh random bytes.
    ///
    /// Some packs at a time, and two such questions on the way: the peer, which reads each pack to its end, reads for one while it
    /// hashes for another.
    package func audit(_ packs: [PackID], seed: Bytes32) throws(ReplicationError) -> Findings {
        var findings = Findings()
        var asked: [(audit: Audit, answer: PeerVault.Pending)] = []
        var rest = packs[...]
        while !rest.isEmpty || !asked.isEmpty {
            try progress.requireGoing()
            if !rest.isEmpty, asked.count < 2 {
                let audit = Audit(seed: seed, packs: Array(rest.prefix(ReplicaCheck.auditPacksAtOnce)))
                rest = rest.dropFirst(audit.packs.count)
                asked.append((audit, try peer.begin(.audit(audit))))
                continue
            }
            let (audit, answer) = asked.removeFirst()
            let reply = try peer.end(answer, "ask for proofs")
            guard case .samples = reply.answer, let verdicts = try? audit.verdicts(of: reply.bulk) else {
                throw peer.unexpected("ask for proofs")
            }
            for (pack, verdict) in zip(audit.packs, verdicts) {
                if verdict == .proven { findings.proven += 1 } else { findings.lost.append(pack) }
            }
        }
        return findings
    }

    private static let auditPacksAtOnce = min(8, Limits.auditPacksMax)

    /// Sends packs, whatever snapshots need them: those that were lost there, or those of a backup that is still running.
    /// All are durable there on return; a pack that is gone here meanwhile is passed over.
    package func send(_ packs: [PackID]) throws(ReplicationError) {
        let there = try sendable(packs)
        if !there.isEmpty { try PackUpload(vault, peer.link, progress, relay).send(there) }
    }
}
