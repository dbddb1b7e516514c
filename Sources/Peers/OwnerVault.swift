internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Synchronization
internal import Vault

/// Names an object that is put, or another thing that one thread at a time works on.
struct ObjectKey: Hashable, Sendable {
    let kind: ObjectKind
    let id: ObjectID

    /// Taken for whatever changes the list of snapshots.
    static let snapshots = ObjectKey(kind: .snapshot, id: ObjectID(.zero))
}

/// One owner's vault as peers use it: what is arriving, who is at work on what, how much there is.
///
/// A thread works on an object while it has its key; nobody waits for a key or the vault while it has one, so threads never wait
/// for each other in a circle. Whoever has the vault to itself (to count or sweep it) waits until all keys are given back.
final class OwnerVault: Sendable {
    let owner: OwnerID
    let shared: ServiceState
    let gate: ConditionLock<Gate>

    struct Gate {
        /// Open while a session needs it, once it has been counted.
        var vault: Vault?
        /// The accounts may be wrong: something failed half way, or nobody has counted yet.
        var isStale = true
        /// The vault's own folders are known to be durable.
        var isEnsured = false
        var isExclusive = false
        var busy: Set<ObjectKey> = []
        var arrivals: [ObjectKey: Arrival] = [:]
        var sessions = 0
        var countedAt: Int64 = 0
        /// When snapshots had last come or gone, at that count.
        var commitSeconds: Int64 = 0
        var packs = 0
        var snapshots = 0
        /// Commits bring packs back from the trash: their number is then counted anew when it is asked for.
        var arePacksUncertain = false
        var generation: UInt64 = 0
        /// Packs that are there, and were found to be beyond repair: as good as missing.
        var damaged: Set<PackID> = []
    }

    /// Vaults are counted anew after so long; the own one sooner, when another process has committed to it.
    private static let countSeconds: Int64 = 300
    private static let ownCountSeconds: Int64 = 5

    init(_ owner: OwnerID, _ shared: ServiceState) {
        self.owner = owner
        self.shared = shared
        gate = ConditionLock(Gate())
    }

    // MARK: Turns

    /// Runs `body` while nobody else works on that object.
    func with<R>(_ key: ObjectKey, _ body: () throws(Refusal) -> R) throws(Refusal) -> R {
        _ = gate.wait { gate -> Bool? in
            guard !gate.isExclusive, !gate.busy.contains(key) else { return nil }
            gate.busy.insert(key)
            return true
        }
        defer { gate.withLock { _ = $0.busy.remove(key) } }
        return try body()
    }

    /// The same, if that needs no waiting: may be called while another key is held, of any owner.
    func tryWith(_ key: ObjectKey, _ body: () -> Void) {
        let isFree = gate.withLock { !$0.isExclusive && $0.busy.insert(key).inserted }
        guard isFree else { return }
        defer { gate.withLock { _ = $0.busy.remove(key) } }
        body()
    }

    /// Waits until nobody works on anything of this owner; nobody begins until ``endExclusive()``.
    private func beginExclusive() {
        _ = gate.wait { gate -> Bool? in
            if gate.isExclusive { return nil }
            gate.isExclusive = true
            return true
        }
        _ = gate.wait { $0.busy.isEmpty ? true : nil }
    }

    private func endExclusive() { gate.withLock { $0.isExclusive = false } }

    // MARK: Opening and counting

    /// The vault, counted; nil if there is none. With `quotaBytes`, it is made then, if there is room for it.
    func opened(makingWithin quotaBytes: UInt64? = nil) throws(Refusal) -> Vault? {
        func known() -> Vault? {
            let vault = gate.read { $0.isStale ? nil : $0.vault }
            return isGone ? nil : vault
        }
        if let vault = known() { return vault }
        beginExclusive()
        defer { endExclusive() }
        if let vault = known() { return vault }
        if isGone {
            gate.withLock { gate in
                gate.vault = nil
                gate.isStale = true
                gate.isEnsured = false
            }
        }
        guard let vault = try open(quotaBytes) else { return nil }
        if gate.read({ $0.isStale }) { try count(vault) } else { gate.withLock { $0.vault = vault } }
        return vault
    }

    /// Whether somebody has taken the vault's folder away: then it is begun anew, and its owner brings everything again.
    private var isGone: Bool {
        let folder = shared.directory.appending(owner.hex).appending("snapshots")
        do throws(HostFilesError) { return try shared.disk.status(folder) == nil } catch {
            // A disk that fails has lost nothing yet.
            return false
        }
    }

    private func open(_ quotaBytes: UInt64?) throws(Refusal) -> Vault? {
        if let vault = gate.read({ $0.vault }) { return vault }
        let (disk, directory) = (shared.disk, shared.directory)
        do throws(VaultError) {
            let vault = try Vault(disk: disk, directory: directory, owner: owner, create: false)
            if gate.read({ $0.isEnsured }) { return vault }
            // Whoever made it may have been killed before its folders were durable: then nothing in them would be.
            let ensured = try Vault(disk: disk, directory: directory, owner: owner, create: true)
            // The next object, when this one is let go of, knows nothing of what this one has not synced.
            try ensured.sync()
            gate.withLock { $0.isEnsured = true }
            return ensured
        } catch {
            guard error.code == .notFound else { throw Refusal(error) }
        }
        guard let quotaBytes else { return nil }
        let limits = try shared.limits(quotaBytes: quotaBytes)
        let owner = owner
        let isGranted = shared.accounts.withLock { $0.claim(Vault.reserveBytes, for: owner, session: nil, limits) }
        guard isGranted else { throw Refusal.full }
        // Counted as soon as it is made, with the reserve.
        defer { shared.accounts.withLock { $0.settle(Vault.reserveBytes, for: owner, change: 0) } }
        return try onVault { () throws(VaultError) in
            try Vault(disk: disk, directory: directory, owner: owner, create: true)
        }
    }

    /// Counts every file, and removes what was given up a day ago. Only while the vault is had exclusively.
    private func count(_ vault: Vault, sweepingAt sweepTime: Int64? = nil) throws(Refusal) {
        let now = shared.now()
        do throws(HostFilesError) { try incoming.removeOld(now: sweepTime ?? now, except: liveNames) } catch {
            shared.note(Refusal(error), "tidy what was received for \(owner)")
        }
        // Before the count: what is committed meanwhile is counted again.
        let commitSeconds = try onVault { () throws(VaultError) in try vault.commitSeconds() }
        let (found, generation) = try onVault { () throws(VaultError) in (try vault.footprint(), try vault.generation) }
        shared.accounts.withLock { $0.recount(owner, bytes: found.bytes) }
        gate.withLock { gate in
            gate.vault = vault
            gate.isStale = false
            gate.countedAt = now
            gate.commitSeconds = commitSeconds
            gate.packs = found.packs
            gate.snapshots = found.snapshots
            gate.arePacksUncertain = false
            gate.generation = generation
        }
    }

    /// Something failed half way: what stands on the disk is counted before the next claim.
    func markStale() { gate.withLock { $0.isStale = true } }

    /// Runs `body`, which opens the vault, again while it finds that the accounts have become wrong: opening counts.
    func counting<R>(_ body: () throws(Refusal) -> R) throws(Refusal) -> R {
        for _ in 0..<4 {
            do throws(Refusal) { return try body() } catch {
                guard error == Refusal.uncounted else { throw error }
            }
        }
        return try body()
    }

    /// Counts packs anew after commits only if that is asked for: it lists all their folders.
    func totals(countingPacks: Bool = true) throws(Refusal) -> VaultTotals? {
        if isOld() { markStale() }
        if owner == shared.own, isOld(after: OwnerVault.ownCountSeconds), let vault = try opened() {
            let commitSeconds = try onVault { () throws(VaultError) in try vault.commitSeconds() }
            if gate.read({ $0.commitSeconds != commitSeconds }) { markStale() }
        }
        guard let vault = try opened() else { return nil }
        let generation = try onVault { () throws(VaultError) in try vault.generation }
        if gate.read({ $0.generation != generation }) { gate.withLock { $0.generation = generation } }
        if countingPacks, gate.read({ $0.arePacksUncertain }) {
            var packs = 0
            try onVault { () throws(VaultError) in try vault.forEachPack { _ throws(VaultError) in packs += 1 } }
            let counted = packs
            gate.withLock { gate in
                gate.packs = counted
                gate.arePacksUncertain = false
            }
        }
        closeIfIdle()
        return lastTotals
    }

    private func isOld(after seconds: Int64 = OwnerVault.countSeconds) -> Bool {
        isRepeatDue(every: seconds, since: gate.read { $0.countedAt }, now: shared.now())
    }

    /// As far as known.
    var lastTotals: VaultTotals {
        let usedBytes = shared.accounts.withLock { $0[owner].usedBytes }
        return gate.read { gate in
            VaultTotals(
                usedBytes: UInt64(clamping: usedBytes), packs: UInt64(clamping: gate.packs),
                snapshots: UInt64(clamping: gate.snapshots), generation: gate.generation)
        }
    }

    // MARK: Sessions

    func beginSession() { gate.withLock { $0.sessions += 1 } }

    /// Keeps what has arrived for the session in files, gives back all that it holds.
    func end(session: Int) {
        let keys = gate.read { gate in gate.arrivals.filter { $0.value.session == session }.keys.sorted { $0.id < $1.id } }
        for key in keys {
            do throws(Refusal) {
                try with(key) { () throws(Refusal) in try park(key, session: session) }
            } catch {
                shared.note(error, "keep what has come of an upload")
            }
        }
        gate.withLock { $0.sessions -= 1 }
        closeIfIdle()
    }

    /// An open vault keeps buffers and files: without a session nobody needs it soon. The accounts stay.
    func closeIfIdle() {
        guard gate.read({ $0.sessions == 0 && $0.busy.isEmpty && $0.vault != nil }) else { return }
        gate.withLock { gate in if gate.sessions == 0, gate.busy.isEmpty { gate.vault = nil } }
    }

    // MARK: Upkeep

    func sweep(now: Int64) throws(VaultError) -> SweepReport {
        beginExclusive()
        defer { endExclusive() }
        let vault: Vault
        if let open = gate.read({ $0.vault }) {
            vault = open
        } else {
            vault = try Vault(disk: shared.disk, directory: shared.directory, owner: owner, create: false)
        }
        defer {
            markStale()
            do throws(Refusal) { try count(vault, sweepingAt: now) } catch {
                shared.note(error, "count the vault of \(owner)")
            }
            closeIfIdle()
        }
        return try vault.sweep(grace: shared.trashGraceSeconds, now: now)
    }

    var incoming: IncomingFolder {
        IncomingFolder(shared.disk, shared.directory.appending(owner.hex).appending(Vault.incomingName))
    }

    /// The files of uploads under way.
    var liveNames: Set<RawPath> { gate.read { gate in Set(gate.arrivals.keys.map { IncomingFolder.name($0) }) } }

    /// Under another name at once, then file by file: a crash leaves a whole vault, or none.
    func remove() throws(HostFilesError) {
        beginExclusive()
        defer { endExclusive() }
        let disk = shared.disk
        let path = shared.directory.appending(owner.hex)
        let gone = shared.directory.appending(owner.hex + ".removed")
        if try disk.status(gone) != nil { try disk.removeTree(gone) }
        guard try disk.status(path) != nil else { return }
        try disk.rename(path, to: gone)
        gate.withLock { gate in
            gate.vault = nil
            gate.isStale = true
            gate.isEnsured = false
            gate.arrivals = [:]
        }
        shared.accounts.withLock { $0.remove(owner) }
        try disk.syncDirectory(shared.directory)
        try disk.removeTree(gone)
        try disk.syncDirectory(shared.directory)
    }
}

extension Disk {
    /// Removes a folder with all that is in it.
    func removeTree(_ path: RawPath) throws(HostFilesError) {
        for name in try list(path) {
            let inner = path.appending(name)
            if try status(inner)?.isDirectory == true { try removeTree(inner) } else { try unlink(inner) }
        }
        try removeDirectory(path)
    }
}
