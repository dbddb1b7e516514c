package import BackupFormat
package import HostFiles
package import PeerProtocol
internal import Synchronization
package import Vault

/// What this node lets an owner's devices do here.
package struct ServingPolicy: Sendable, Hashable {
    /// Kept for them at most, counting every byte of their files; `.max` for this node's own devices.
    package var quotaBytes: UInt64
    /// Whether more may be stored; what is there is served in any case.
    package var mayStore: Bool

    package init(quotaBytes: UInt64, mayStore: Bool) {
        self.quotaBytes = quotaBytes
        self.mayStore = mayStore
    }
}

/// What a peer changed in a vault, told when it is durable. May be told twice.
package enum VaultChange: Sendable, Hashable {
    case committed(OwnerID, SnapshotID)
    /// With the encoded ``ForgetOrder``, whose signature was checked.
    case forgotten(OwnerID, [UInt8])
}

/// In a type of its own: a function that is a generic's value itself is wrapped in another each time that it is looked at, until a call
/// of it overflows the stack.
struct ChangeListener: Sendable {
    var call: @Sendable (VaultChange) -> Void = { _ in }
}

/// What is kept for an owner.
package struct VaultTotals: Sendable, Hashable {
    /// Of all files: packs, pages, snapshots, trash, what is arriving, parity.
    package var usedBytes: UInt64
    package var packs: UInt64
    package var snapshots: UInt64
    package var generation: UInt64
}

/// The vaults of this node, as peers use them: within quotas and a fixed amount of memory.
///
/// All calls may come from any thread, and wait for the disk. It must be the only service on its directory; other processes may
/// use the vault of this node's own owner meanwhile.
package final class VaultService: Sendable {
    let shared: ServiceState

    /// `directory` is `<home>/vault`. `policy` is asked for each request, `isForgotten` for each commit of the owner `own`: they
    /// and `now` (seconds since 1970) and `reserveBytes` (kept free on the disk) must be quick. `bufferBytes` is for packs that
    /// arrive, in all sessions together: 16 MiB for work, the rest so that packs need not go through a file first. `log` is
    /// told in words what failed here.
    package init(
        disk: any Disk, directory: RawPath, own: OwnerID, reserveBytes: @escaping @Sendable () -> UInt64,
        policy: @escaping @Sendable (OwnerID) -> ServingPolicy?, isForgotten: @escaping @Sendable (SnapshotID) -> Bool,
        bufferBytes: Int, trashGraceSeconds: Int64, now: @escaping @Sendable () -> Int64,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        let workBytes = min(max(1, bufferBytes), Limits.packBytesMax)
        shared = ServiceState(
            disk: disk, directory: directory, own: own, reserveBytes: reserveBytes, policy: policy, isForgotten: isForgotten,
            trashGraceSeconds: trashGraceSeconds, now: now, log: log, work: ByteBudget(workBytes),
            assembly: bufferBytes > workBytes ? ByteBudget(bufferBytes - workBytes) : nil)
    }

    /// Called on the thread that made the change, after it, with nothing held: must be quick. Set it before the first session.
    package var onChange: @Sendable (VaultChange) -> Void {
        get { shared.listener.withLock { $0.call } }
        set { shared.listener.withLock { $0.call = newValue } }
    }

    /// `trust` is that of the handshake, whose hash proves a recovery.
    package func session(peer: PeerIdentity, trust: Trust, handshakeHash: [UInt8]) -> VaultSession {
        VaultSession(shared, peer: peer, trust: trust, handshakeHash: handshakeHash)
    }

    /// What is kept for an owner; nil if there is no vault. Counted anew now and then, and kept up to date in between: to the byte
    /// for those whose vaults nobody else writes to; the number of packs only with `countingPacks`. If the disk fails, the last that was
    /// known.
    package func usage(of owner: OwnerID, countingPacks: Bool = false) -> VaultTotals? {
        do throws(Refusal) { return try shared.existing(owner)?.totals(countingPacks: countingPacks) } catch {
            shared.note(error, "look at the vault of \(owner)")
            return shared.existing(registered: owner)?.lastTotals
        }
    }

    /// The owners that have a vault here.
    package func owners() throws(HostFilesError) -> [OwnerID] {
        try Vault.owners(disk: shared.disk, directory: shared.directory)
    }

    /// Upkeep of one vault: what nothing needs goes to the trash, what lay there for the grace time for good; so do uploads that were
    /// given up a day ago. `now` is in seconds since 1970. Throws `notFound` if there is no vault.
    @discardableResult
    package func sweep(_ owner: OwnerID, now: Int64) throws(VaultError) -> SweepReport {
        let place: OwnerVault
        do throws(Refusal) {
            guard let found = try shared.existing(owner) else { throw Refusal(.notFound, "no vault") }
            place = found
        } catch {
            if error.code == .notFound { throw VaultError(.notFound, "sweep the vault of", "\(owner)") }
            throw VaultError(.files, "sweep the vault of", "\(owner)", detail: error.cause)
        }
        return try place.sweep(now: now)
    }

    /// Reads those packs of an owner's vault to their end that are chosen, and mends what can be mended. `goesOn` is called between two,
    /// with the nanoseconds that the last one took, and says whether to go on. What is beyond repair counts as missing from then on, until
    /// somebody puts it again or this node ends.
    package func scrub(_ owner: OwnerID, chosen: (PackID) -> Bool, goesOn: (UInt64) -> Bool) -> ScrubFindings {
        do throws(Refusal) { return try shared.existing(owner)?.scrub(chosen, goesOn) ?? ScrubFindings() } catch {
            shared.note(error, "check the vault of \(owner)")
            return ScrubFindings(isComplete: false)
        }
    }

    /// Says that packs of an owner's vault, which were beyond repair, are whole again.
    package func noteWhole(_ packs: some Sequence<PackID>, of owner: OwnerID) {
        shared.existing(registered: owner)?.gate.withLock { $0.damaged.subtract(packs) }
    }

    /// Removes an owner's vault and all that was received for it, durably. Harmless if there is none.
    package func remove(_ owner: OwnerID) throws(HostFilesError) {
        // Not by way of `existing`: what is there may be no whole vault.
        try shared.place(owner).remove()
    }

    /// For tests and status: bytes of buffers that nobody holds, of all there are.
    package var freeBufferBytes: Int { shared.work.free + (shared.assembly?.free ?? 0) }
    /// For tests and status: what is promised to sessions and to uploads under way.
    package var promisedBytes: (reserved: Int, claimed: Int) {
        shared.accounts.withLock { ($0.reservedBytes, $0.claimedBytes) }
    }
}

/// What all vaults and sessions of one service share.
final class ServiceState: Sendable {
    let disk: any Disk
    let directory: RawPath
    let own: OwnerID
    let policy: @Sendable (OwnerID) -> ServingPolicy?
    let isForgotten: @Sendable (SnapshotID) -> Bool
    let trashGraceSeconds: Int64
    let now: @Sendable () -> Int64
    /// For whoever has all of an object and is about to check and store it: only the disk makes him wait.
    let work: ByteBudget
    /// For objects that are arriving, nil if there is no memory for it: nobody waits for this.
    let assembly: ByteBudget?
    /// Places for threads that encode and write packs: each takes buffers of its own, and more would only wait for the disk.
    let writers = ByteBudget(4)
    let accounts = Mutex(SpaceAccounts())
    let arrived = Mutex(ArrivedPacks())
    let listener = Mutex(ChangeListener())
    private let reserveBytes: @Sendable () -> UInt64
    private let log: @Sendable (String) -> Void
    private let places = Mutex<[OwnerID: OwnerVault]>([:])
    private let counters = Mutex((sessions: 0, parts: UInt64(0)))

    init(
        disk: any Disk, directory: RawPath, own: OwnerID, reserveBytes: @escaping @Sendable () -> UInt64,
        policy: @escaping @Sendable (OwnerID) -> ServingPolicy?, isForgotten: @escaping @Sendable (SnapshotID) -> Bool,
        trashGraceSeconds: Int64, now: @escaping @Sendable () -> Int64, log: @escaping @Sendable (String) -> Void,
        work: ByteBudget, assembly: ByteBudget?
    ) {
        self.disk = disk
        self.directory = directory
        self.own = own
        self.reserveBytes = reserveBytes
        self.policy = policy
        self.isForgotten = isForgotten
        self.trashGraceSeconds = trashGraceSeconds
        self.now = now
        self.log = log
        self.work = work
        self.assembly = assembly
    }

    func newSession() -> Int {
        counters.withLock { counters in
            counters.sessions += 1
            return counters.sessions
        }
    }

    /// Counts the parts that came, to tell which transfers stand still.
    func nextPart() -> UInt64 {
        counters.withLock { counters in
            counters.parts += 1
            return counters.parts
        }
    }

    /// How many have come.
    var parts: UInt64 { counters.withLock { $0.parts } }

    func tell(_ change: VaultChange) {
        let listener = listener.withLock { $0 }
        listener.call(change)
    }

    func note(_ refusal: Refusal, _ what: String) {
        if !refusal.cause.isEmpty { log("could not \(what): \(refusal.cause)") }
    }

    func place(_ owner: OwnerID) -> OwnerVault {
        places.withLock { places in
            if let place = places[owner] { return place }
            let place = OwnerVault(owner, self)
            places[owner] = place
            return place
        }
    }

    func existing(registered owner: OwnerID) -> OwnerVault? { places.withLock { $0[owner] } }

    /// The place of an owner that has a vault. Nothing is remembered of others: anybody can make up owners.
    func existing(_ owner: OwnerID) throws(Refusal) -> OwnerVault? {
        if let place = existing(registered: owner) { return place }
        let path = directory.appending(owner.hex)
        let isThere = try onDisk { () throws(HostFilesError) in try disk.status(path) != nil }
        return isThere ? place(owner) : nil
    }

    /// In the order of their owners.
    var allPlaces: [OwnerVault] {
        places.withLock { places in places.keys.sorted().compactMap { places[$0] } }
    }

    /// Records are read whole, and most are short: only long ones wait for a turn, as packs do.
    private static let shortRecordBytesMax = 256 << 10

    /// A turn for holding a record of so many bytes; what it took of `work` is to be given back.
    func recordTurn(_ byteCount: Int) -> Int {
        byteCount <= ServiceState.shortRecordBytesMax ? 0 : work.acquire(work.total) ?? 0
    }

    func limits(quotaBytes: UInt64) throws(Refusal) -> SpaceLimits {
        let free = try onDisk { () throws(HostFilesError) in
            do throws(HostFilesError) { return try disk.freeBytes(directory) } catch {
                guard error.code == .notFound else { throw error }
                try disk.makeDirectories(directory)
                return try disk.freeBytes(directory)
            }
        }
        return SpaceLimits(quotaBytes: Int(clamping: quotaBytes), diskBytes: free - Int(clamping: reserveBytes()))
    }
}
