internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import NodeRuntime
internal import PeerProtocol
internal import Replication
internal import Vault

/// Sees to it that this node keeps as much of its own backups as `local_copy` says, on a thread of its own.
///
/// Nothing is removed here before as many peers as `replicas` have just proven that they have it, and have committed a snapshot that needs it:
/// they are asked each time, and what the ledger says counts for nothing. With a full copy, what is missing is brought back.
struct LocalCopy {
    private let core: DaemonCore
    /// Nil for all.
    private let limitBytes: Int?
    /// Those that hold trees stay at hand.
    private var data = DataPacks()
    /// How many of the oldest could not be let go of lately.
    private var passedOver = 0
    /// Of packs that are elsewhere, their lengths.
    private var lengths: [PackID: Int] = [:]
    /// Those whose stub a peer has shown.
    private var unproven: Set<PackID> = []
    private var complaint = ""

    private static let restMilliseconds = 5_000
    /// In one turn: peers read all that they prove.
    private static let packsMax = 256
    private static let broughtMax = 16

    init(_ core: DaemonCore) {
        self.core = core
        let isBounded = core.keys.owner != nil && core.configuration.role != .persister
        limitBytes = isBounded ? core.configuration.localCopyBytes : nil
        if core.configuration.localCopyBytes != nil, !isBounded {
            // It could not bring to another peer what only some have.
            core.log("`local_copy` has no effect on a write-only device or a persister: all is kept here")
        }
    }

    /// Until the node stops.
    mutating func run() {
        while !core.isStopping {
            do throws(VaultError) { try turn() } catch { complain("\(error)") }
            core.rest(milliseconds: LocalCopy.restMilliseconds)
        }
    }

    private mutating func complain(_ text: String) {
        if text != complaint, !text.isEmpty { core.log(text) }
        complaint = text
    }

    private mutating func turn() throws(VaultError) {
        try countElsewhere()
        guard !core.state.read({ $0.isSweeping }) else { return }
        guard let limitBytes else { return try bringBack() }
        try prove()
        let here = try data.list(core.vault)
        let excess = here.reduce(0) { $0 + $1.fileBytes } - limitBytes
        guard excess > 0 else {
            passedOver = 0
            return complain("")
        }
        // What no snapshot needs is a sweep's, or that of a backup under way.
        let listed = try core.vault.committedPacks()
        // The oldest go first; small ones, which a sweep merges as long as they are here, last.
        func isSmall(_ pack: DataPacks.Local) -> Int { pack.fileBytes < Limits.packBytesMax / 4 ? 1 : 0 }
        let order = here.filter { listed.contains($0.id) }
            .sorted { (isSmall($0), $0.seconds, $0.id) < (isSmall($1), $1.seconds, $1.id) }
        var chosen: [DataPacks.Local] = []
        var bytes = 0
        for pack in order.dropFirst(passedOver) where bytes < excess && chosen.count < LocalCopy.packsMax {
            chosen.append(pack)
            bytes += pack.fileBytes
        }
        let proven = try provenPacks(chosen.map(\.id))
        guard !core.state.read({ $0.isSweeping }) else { return }
        let removed = proven.isEmpty ? [] : try core.vault.replaceByStubs(proven)
        if !removed.isEmpty {
            core.log(
                "\(describeCount(removed.count, "pack")) are with peers only now, as \(core.targets.largest) of them have proven"
            )
        }
        // Others may be let go of where these cannot.
        passedOver = removed.isEmpty && !chosen.isEmpty ? passedOver + chosen.count : 0
        complain(
            removed.isEmpty
                ? "more of the own backups is here than `local_copy` says, until \(core.targets.largest) peers prove that they have it"
                : "")
    }

    private mutating func countElsewhere() throws(VaultError) {
        var found: [PackID: Int] = [:]
        var hints: Set<PackID> = []
        try core.vault.forEachStub { pack throws(VaultError) in
            guard try core.vault.isElsewhere(pack) else { return }
            if let length = lengths[pack], !unproven.contains(pack) {
                found[pack] = length
            } else if let stub = try? core.vault.stub(pack) {
                found[pack] = stub.packBytes
                if !stub.isProven { hints.insert(pack) }
            }
        }
        lengths = found
        unproven = hints
        core.elsewhereBytes.store(found.values.reduce(0, +), ordering: .relaxed)
    }

    // MARK: Letting go

    /// Sessions with peers that hold this node's backups, one for each device.
    private func holders() -> [PeerSession] {
        let (sessions, replicas) = core.state.read { ($0.sessions, $0.replicas) }
        var devices: Set<DeviceID> = []
        return sessions.filter { session in
            guard let device = session.device, session.isPaired, session.ended == nil, core.share(of: session) != nil else {
                return false
            }
            return !replicas[device].isDamaged && devices.insert(device).inserted
        }
    }

    /// Those of the packs that enough peers prove now, and hold for a snapshot that is committed here and there.
    private func provenPacks(_ packs: [PackID]) throws(VaultError) -> [PackID] {
        let holders = holders()
        let target = core.targets.largest
        guard holders.count >= target else { return [] }
        var records: [SnapshotRecord] = []
        for id in try core.vault.snapshots() {
            if let record = try? core.vault.snapshotRecord(id) { records.append(record) }
        }
        records.sort { ($0.sequence, $0.id) > ($1.sequence, $1.id) }
        let wanted = Set(packs)
        var proofs: [PackID: Int] = [:]
        for holder in holders {
            do throws(ReplicationError) {
                for pack in try proven(wanted, records, holder) { proofs[pack, default: 0] += 1 }
            } catch {
                if error.code != .cutOff, error.code != .stopped { core.log("\(holder.name): \(error)") }
            }
        }
        return packs.filter { proofs[$0] ?? 0 >= target }
    }

    /// What one peer proves of these packs.
    private func proven(
        _ wanted: Set<PackID>, _ records: [SnapshotRecord], _ holder: PeerSession
    ) throws(ReplicationError) -> [PackID] {
        let progress = ReplicationProgress(isStopping: { [core] in core.isStopping })
        let check = ReplicaCheck(of: core.vault, at: holder.connection, progress: progress)
        let held = try check.bound(to: wanted, by: records)
        guard !held.isEmpty else { return [] }
        let lost = try check.audit(held, seed: .random()).lost
        if !lost.isEmpty, let device = holder.device {
            core.updateReplica(device) { $0.isDamaged = true }
            core.log("\(holder.name) has lost \(describeCount(lost.count, "pack"))")
            core.poke()
        }
        let absent = Set(lost)
        return held.filter { !absent.contains($0) }
    }

    // MARK: Bringing back

    /// With a full copy: brings here what only peers have, as far as there is room.
    private mutating func bringBack() throws(VaultError) {
        while !lengths.isEmpty, !core.isStopping {
            let links = core.links
            guard !links.isEmpty else { return complain("") }
            let packs = Array(lengths.keys.sorted().prefix(LocalCopy.broughtMax))
            let free = (try? core.home.disk.freeBytes(core.home.vaultDirectory)) ?? 0
            guard free - core.configuration.reserveBytes > 2 * packs.count * Limits.packBytesMax else {
                return complain(
                    "there is no room here for the packs that only peers have; set `local_copy` to a size to leave them there")
            }
            let progress = ReplicationProgress(isStopping: { [core] in core.isStopping })
            do throws(ReplicationError) {
                let lost = try SnapshotDownload(into: core.vault, from: links, progress: progress).replace(packs: packs)
                for pack in packs where lost[pack] == nil { try? core.vault.removeStub(of: pack) }
                if let (pack, reason) = lost.first, lost.count == packs.count {
                    return complain("pack \(pack) does not come back: \(reason)")
                }
            } catch { return complain(error.code == .stopped ? "" : error.description) }
            try countElsewhere()
            if lengths.isEmpty { core.log("all of the own backups is here again") }
        }
    }

    /// Has each pack of which a peer has shown no more than its end pass through here once: then what it holds is known.
    private mutating func prove() throws(VaultError) {
        for pack in unproven.sorted() where !core.isStopping {
            let links = core.links
            guard !links.isEmpty else { return }
            let progress = ReplicationProgress(isStopping: { [core] in core.isStopping })
            do throws(ReplicationError) {
                let bytes = try core.oneRelay { () throws(ReplicationError) in
                    try fetchPack(pack, from: links, progress: progress)
                }
                guard let stub = try? PackStub(cutFrom: bytes) else { continue }
                do throws(VaultError) {
                    try core.vault.store(stub: stub, of: pack)
                    try core.vault.sync()
                } catch { throw ReplicationError(.local, "\(error)") }
                unproven.remove(pack)
            } catch { return complain(error.code == .stopped ? "" : error.description) }
        }
    }
}
