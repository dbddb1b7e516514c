internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Ledger
internal import PeerProtocol
internal import Placement
internal import Replication
internal import Vault

/// Brings to one peer what it is to keep for this node's owner, as long as the session lasts: orders to forget, snapshots, and what
/// it has lost. All that counts is what the peer says to have made durable; between two rounds nothing has to be remembered.
struct Replicator {
    private let session: PeerSession
    private let core: DaemonCore
    private let progress = ReplicationProgress()

    /// Packs asked for in one audit.
    private static let auditPacks = 64
    /// And of those that a new snapshot needs.
    private static let samplePacks = 8
    /// Records and lists of packs that are read back each day, besides the new ones.
    private static let readBack = 16
    /// While a backup runs, its packs are sent as they are made.
    private static let aheadMilliseconds = 200

    init(_ session: PeerSession, _ core: DaemonCore) {
        self.session = session
        self.core = core
    }

    func run() {
        guard let device = session.device else { return }
        /// What has been dealt with.
        var (pokes, nudges, brought) = (-1, -1, core.state.read { $0.brought })
        var ahead: Set<PackID> = []
        var pause = core.pace.roundMilliseconds
        var failures = 0
        while let first = next(after: pokes, nudges, milliseconds: pause) {
            var wake = first
            // Who is to get nothing has nothing to wait for.
            let isIdle = core.share(of: session) == nil
            if !isIdle, !first.isBackupRunning {
                core.awaitQuiet(session, after: &brought)
                wake = core.state.read { look(at: $0) }
            }
            // Another session with the same peer may be at it, and about to end.
            guard core.claim(device, session) else { continue }
            pause = core.pace.roundMilliseconds
            var isFinal = true
            var hasSent = false
            do throws(ReplicationError) {
                if wake.pokes != pokes || wake.nudges != nudges || !wake.isBackupRunning { try round(device, isIdle) }
                failures = 0
                // Which set's they are shows at the commit.
                if wake.isBackupRunning, core.share(of: session)?.holds(replicas: core.targets.least) == true {
                    hasSent = try sendAhead(&ahead)
                } else {
                    ahead = []
                }
            } catch {
                note(error, device)
                // A peer that goes on failing is asked less and less often.
                pause = min(core.pace.roundMilliseconds, core.pace.retryMilliseconds << min(failures, 10))
                failures += 1
                isFinal = error.code != .cutOff && error.code != .stopped
            }
            (pokes, nudges) = (wake.pokes, wake.nudges)
            core.release(device)
            // Commands read it from there.
            core.saveReplicas()
            if isFinal, session.isSettled { core.finished(pokes, session) }
            if wake.isBackupRunning, !hasSent { core.restDuringBackup(milliseconds: Replicator.aheadMilliseconds) }
        }
    }

    private struct Wake {
        var pokes: Int
        var nudges: Int
        var isBackupRunning: Bool
    }

    /// Waits until there may be something to do; nil when the session is over.
    private func next(after pokes: Int, _ nudges: Int, milliseconds: Int) -> Wake? {
        let found = core.state.wait(milliseconds: milliseconds) { state -> Wake?? in
            if state.isStopping || session.ended != nil { return .some(nil) }
            let found = look(at: state)
            return found.pokes != pokes || found.nudges != nudges || found.isBackupRunning ? .some(found) : nil
        }
        return found ?? core.state.read { look(at: $0) }
    }

    private func look(at state: DaemonCore.State) -> Wake {
        let nudges = state.nudges[ObjectIdentifier(session)] ?? 0
        return Wake(pokes: state.pokes, nudges: nudges, isBackupRunning: state.backupsRunning > 0)
    }

    private func note(_ error: ReplicationError, _ device: DeviceID) {
        if error.code == .noSpace { core.state.withLock { state in _ = state.full.insert(device) } }
        // In doubt nothing counts: the next proof tells.
        if error.code == .notFound || error.code == .untrue {
            core.noteSaid(device, nil)
            core.updateReplica(device) { $0.isDamaged = true }
        }
        if error.code != .stopped, session.ended == nil { core.complain(device, "\(session.name): \(error)") }
    }

    /// Everything that is due with this peer, which was to get nothing a moment ago if it `isIdle`.
    private func round(_ device: DeviceID, _ isIdle: Bool) throws(ReplicationError) {
        let relies = try reliesOnPeers()
        if !relies { try deliverOrders(device) }
        // Until both have said what they offer, what was agreed before holds: to count nothing meanwhile would wake all others twice.
        if session.isSettled {
            let granted = session.agreement.storedThere
            // Wakes nobody: two sessions with one peer may see it differently for a time, and would wake each other without end.
            core.updateReplica(device) { $0.grantedBytes = granted }
        }
        guard !isIdle, let share = core.share(of: session) else { return }
        let known = core.state.read { $0.replicas[device] }
        let before = progress.bytesSent
        // Before the snapshots are listed: a commit that is not over may count on what others make peers keep.
        let isQuiet = relies ? try isQuiet() : true
        let order: SnapshotUpload.Order = !relies ? .bySequence : isQuiet ? .newFirst : .newOnly
        /// Committed there; counted once it is proven.
        var held: [SnapshotID: UInt64] = [:]
        // Where packs are with peers only, orders to forget go out on what is held there: that has to have been proven, or read just now.
        let said = relies ? known.snapshots : core.said(device, besides: known.snapshots)
        var read: [SnapshotID: ReadRecord] = [:]
        var failure: ReplicationError?
        do throws(ReplicationError) {
            let upload = try SnapshotUpload(
                from: core.vault, to: session.connection, progress: progress, relay: core.relay(besides: session, progress)
            ).run(known: said, order: order, wanted: { share.holds(replicas: core.targets[$0]) }) { id, revision in
                held[id] = revision
            }
            core.noteSaid(device, held)
            // What was committed since has another record there.
            read = upload.readThere.filter { held[$0.key] == $0.value.revision }
            for (snapshot, reason) in upload.refused.sorted(by: { $0.key < $1.key }) {
                core.complain(device, "\(session.name) does not take snapshot \(snapshot): \(reason)")
            }
        } catch {
            core.noteSaid(device, said.merging(held) { max($0, $1) })
            // What is there has to be proven, whether or not there is room for more.
            guard error.code == .noSpace else { throw error }
            held.merge(known.snapshots) { found, _ in found }
            failure = error
        }
        if relies, isQuiet, try needsNothingElse(held) { try deliverOrders(device) }
        let state = try PeerVault(session.connection).state()
        core.updateReplica(device) { replica in
            replica.snapshots = replica.snapshots.filter { held[$0.key] != nil }
            if held.isEmpty { replica.isDamaged = false }
            replica.usedBytes = state.usedBytes
            replica.packs = state.packs
            replica.lastSeen = core.now
        }
        try prove(device, known, held, state.generation, read)
        if let failure { throw failure }
        core.state.withLock { state in
            state.full.remove(device)
            state.complaints[device] = nil
        }
        if progress.bytesSent > before {
            core.log("\(session.name) has all \(describeCount(held.count, "snapshot"))")
        }
    }

    /// Whether packs are with peers only: then these must not let go of any before all that needs it here is committed there.
    private func reliesOnPeers() throws(ReplicationError) -> Bool {
        do { return try core.vault.hasStubs } catch { throw ReplicationError(.local, "\(error)") }
    }

    private func isQuiet() throws(ReplicationError) -> Bool {
        do { return try core.vault.pendingBytes() == 0 } catch { throw ReplicationError(.local, "\(error)") }
    }

    /// Whether every pack that only peers have, and that a snapshot here needs, is needed by a snapshot that the peer holds and that is
    /// here too.
    private func needsNothingElse(_ held: [SnapshotID: UInt64]) throws(ReplicationError) -> Bool {
        let check = ReplicaCheck(of: core.vault, at: session.connection, progress: progress)
        do {
            let here = try core.vault.snapshots()
            let others = here.filter { held[$0] == nil }
            if others.isEmpty { return true }
            let kept = Set(check.packs(of: here.filter { held[$0] != nil }).packs)
            let (packs, unread) = check.packs(of: others)
            for pack in packs where !kept.contains(pack) { if try core.vault.isElsewhere(pack) { return false } }
            // What cannot be read may need anything.
            return unread.isEmpty
        } catch { throw ReplicationError(.local, "\(error)") }
    }

    /// Finds out whether the peer has what it said, if a proof is due: only then it counts.
    private func prove(
        _ device: DeviceID, _ before: Replica, _ held: [SnapshotID: UInt64], _ generation: UInt64,
        _ read: [SnapshotID: ReadRecord]
    ) throws(ReplicationError) {
        guard !held.isEmpty else { return }
        let lacking = core.lacking(device)
        let now = core.now
        #if MUTANTS
            if Mutant.trustTheLedger.isOn, before.lastProven > 0 {
                return core.updateReplica(device) { replica in
                    replica.snapshots = held
                    replica.lastProven = now
                }
            }
        #endif
        var after = core.state.read { $0.replicas[device] }
        after.snapshots = held.filter { lacking.snapshots[$0.key] != $0.value }
        let check = ReplicaCheck(
            of: core.vault, at: session.connection, progress: progress, relay: core.relay(besides: session, progress))
        var random = RandomNumbers()
        let new = held.keys.filter { before.snapshots[$0] != held[$0] }.sorted()
        // A later list may name what was lacking, too.
        let isRevised = lacking.snapshots.contains { id, revision in held[id].map { $0 != revision } ?? false }
        let due =
            isRevised || lacking.isDue(now: now)
            ? .whole : Proof.due(before: before, after: after, generation: generation, now: now)
        if due == .none { return }
        if due == .sample, try showsSample(new.filter { lacking.snapshots[$0] != held[$0] }, check, device, read) {
            let proven = after.snapshots
            return core.updateReplica(device) { $0.snapshots = proven }
        }
        let old = held.keys.filter { before.snapshots[$0] == held[$0] }.sorted()
        // Where the peer has a later list, that one says what it needs.
        let later = old.filter { id in (try? core.vault.knownRecord(id)).map { held[id, default: 0] > $0.revision } ?? false }
        let some = old.filter { !later.contains($0) }.shuffled(using: &random).prefix(Replicator.readBack)
        let readings = try requireReadable(new + later + some, check, device, read)
        let (packs, unread) = check.packs(of: held.keys, by: readings)
        let (missing, _) = try check.missing(of: packs)
        var lost = missing
        let sample = packs.shuffled(using: &random).prefix(Replicator.auditPacks)
        lost += try check.audit(Array(sample), seed: .random()).lost.filter { !missing.contains($0) }
        var there = try check.sendable(lost)
        var unsent = Unsent()
        if !there.isEmpty {
            core.updateReplica(device) { $0.isDamaged = true }
            core.log("\(session.name) has lost \(describeCount(there.count, "pack")), sent again now")
            unsent = try sendAgain(there, check)
            there.removeAll(where: unsent.packs.contains)
            let still = try check.audit(there, seed: .random()).lost
            guard still.isEmpty else {
                throw ReplicationError(.untrue, "\(still.count) packs that it has taken again are still not whole there")
            }
        }
        // What is not here either does not make all else there worth less.
        let gone = Set(lost).subtracting(there)
        let hurt = gone.isEmpty ? [] : check.snapshots(held.keys, needing: gone, by: readings)
        let without = held.filter { hurt.contains($0.key) || unread.contains($0.key) }
        if without != lacking.snapshots, !hurt.isEmpty {
            core.log("\(session.name) lacks packs of \(describeCount(hurt.count, "snapshot")) that cannot be had here either")
        }
        core.noteLacking(device, Lacking(snapshots: without, since: unsent.isForNow ? now : nil))
        let proven = held.filter { without[$0.key] == nil }
        core.updateReplica(device) { replica in
            replica.snapshots = proven
            replica.isDamaged = false
            replica.generation = generation
            replica.lastProven = now
        }
    }

    /// Sends what the peer has lost; answers what cannot be had now, as it is with peers that are away, or has decayed here too.
    private func sendAgain(_ lost: [PackID], _ check: ReplicaCheck) throws(ReplicationError) -> Unsent {
        do throws(ReplicationError) {
            try check.send(lost)
            return Unsent()
        } catch { guard [.local, .untrue, .refused].contains(error.code) else { throw error } }
        var unsent = Unsent()
        for pack in lost {
            do throws(ReplicationError) { try check.send([pack]) } catch {
                switch error.code {
                case .local: unsent.isForNow = unsent.isForNow || !isBeyondRepair(pack)
                // It does not take what is not the pack.
                case .untrue where isBeyondRepair(pack), .refused where isBeyondRepair(pack): break
                default: throw error
                }
                unsent.packs.insert(pack)
            }
        }
        return unsent
    }

    private func isBeyondRepair(_ pack: PackID) -> Bool { (try? core.vault.scrub(pack)) == .beyondRepair }

    /// What a peer has lost and was not sent again.
    private struct Unsent {
        var packs: Set<PackID> = []
        /// Some are with peers that are away, or could not be read just now.
        var isForNow = false
    }

    /// Whether the peer shows a few packs of these new snapshots, and has all those that are not here.
    private func showsSample(
        _ new: [SnapshotID], _ check: ReplicaCheck, _ device: DeviceID, _ read: [SnapshotID: ReadRecord]
    ) throws(ReplicationError) -> Bool {
        let readings = try requireReadable(new, check, device, read)
        let (packs, unread) = check.packs(of: new, by: readings)
        guard unread.isEmpty else { return false }
        let doubtful = Set(packs).subtracting(try check.sendable(packs)).union(readings.pages.values.joined())
        guard try check.missing(of: doubtful.sorted()).packs.isEmpty else { return false }
        var random = RandomNumbers()
        return try check.audit(Array(packs.shuffled(using: &random).prefix(Replicator.samplePacks)), seed: .random()).lost.isEmpty
    }

    /// Throws `untrue` if the peer does not hand out what it says to have committed; that counts no more then.
    private func requireReadable(
        _ snapshots: [SnapshotID], _ check: ReplicaCheck, _ device: DeviceID, _ read: [SnapshotID: ReadRecord]
    ) throws(ReplicationError) -> ReplicaCheck.Readings {
        let readings = try check.readBack(snapshots, read: read)
        let unreadable = readings.unreadable
        guard !unreadable.isEmpty else { return readings }
        core.noteSaid(device, nil)
        core.updateReplica(device) { replica in
            replica.snapshots = replica.snapshots.filter { !unreadable.contains($0.key) }
            replica.isDamaged = true
        }
        throw ReplicationError(
            .untrue, "\(describeCount(unreadable.count, "snapshot")) that it says to have cannot be got from there")
    }

    /// Orders to forget that the peer has not carried out; whoever keeps something for this owner gets them.
    private func deliverOrders(_ device: DeviceID) throws(ReplicationError) {
        #if MUTANTS
            if Mutant.dropForgetOrders.isOn { return }
        #endif
        if core.isLookDue(device) { try lookForForgotten(device) }
        let delivered = core.state.read { $0.replicas[device].ordersDelivered }
        let due = core.orders.all.filter { !delivered.contains($0.nonce) }
        guard !due.isEmpty, try PeerVault(session.connection).state().exists else { return }
        for order in due {
            try progress.requireStanding(session)
            let bytes = order.encode()
            _ = try PeerVault(session.connection).ask(.forget, bulk: bytes[...], "forget snapshots")
            core.updateReplica(device) { $0.ordersDelivered.insert(order.nonce) }
        }
        let known = Set(core.orders.all.map(\.nonce))
        core.updateReplica(device) { $0.ordersDelivered.formIntersection(known) }
    }

    /// A peer that went on with an old disk has again what it was told to forget, and is told again. Also one that keeps nothing else: it may
    /// bring that back to others.
    private func lookForForgotten(_ device: DeviceID) throws(ReplicationError) {
        let forgotten = core.orders.forgotten
        guard !forgotten.isEmpty else { return }
        let peer = PeerVault(session.connection)
        let back = try peer.state().exists ? peer.snapshots(of: forgotten) : []
        core.noteLook(device)
        guard !back.isEmpty else { return }
        let nonces = core.orders.all.filter { order in order.snapshots.contains(where: back.contains) }.map(\.nonce)
        core.updateReplica(device) { $0.ordersDelivered.subtract(nonces) }
    }

    /// Sends packs of a backup that is still running: no snapshot needs them yet, and the commit will find them there. False when there
    /// was none to send.
    private func sendAhead(_ known: inout Set<PackID>) throws(ReplicationError) -> Bool {
        var new: [PackID] = []
        do {
            try core.vault.forEachPack { pack throws(VaultError) in if known.insert(pack).inserted { new.append(pack) } }
        } catch { throw ReplicationError(.local, "\(error)") }
        guard !new.isEmpty else { return false }
        let check = ReplicaCheck(of: core.vault, at: session.connection, progress: progress)
        let missing = try check.missing(of: new).packs
        try check.send(missing)
        return !missing.isEmpty
    }
}

extension ReplicationProgress {
    fileprivate func requireStanding(_ session: PeerSession) throws(ReplicationError) {
        if let ended = session.ended { throw ReplicationError(.cutOff, ended.description) }
    }
}
