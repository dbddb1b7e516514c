internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Ledger
internal import Synchronization

/// What this node has learnt of a peer since it started.
struct PeerNotes {
    /// What it has said to have committed, proven or not: what a session has brought before it broke is not brought again by the next.
    var said: [SnapshotID: UInt64] = [:]
    var lacking = Lacking()
    /// When it was looked at last for what it was told to forget, in seconds since 1970.
    var lookedAt: Int64 = 0
}

/// Snapshots, with their revisions, that a peer says to have, and of which it lacked packs at the last proof that could not be had here either,
/// or whose lists cannot be read here: they do not count there, and are asked about again when all is proven again.
struct Lacking {
    var snapshots: [SnapshotID: UInt64] = [:]
    /// When packs were with others who were away: these may be here soon.
    var since: Int64?

    private static let againSeconds: Int64 = 3600

    /// Whether all is to be proven again for that.
    func isDue(now: Int64) -> Bool { since.map { isRepeatDue(every: Lacking.againSeconds, since: $0, now: now) } ?? false }
}

/// What peers have of this node's backups, as far as is known here.
extension DaemonCore {
    private func notes(of device: DeviceID) -> PeerNotes { notes.withLock { $0[device] ?? PeerNotes() } }

    private func note(_ device: DeviceID, _ body: (inout PeerNotes) -> Void) {
        notes.withLock { body(&$0[device, default: PeerNotes()]) }
    }

    /// Which revisions of snapshots the peer is known to have committed, or to have said so. No proof of anything.
    func said(_ device: DeviceID, besides proven: [SnapshotID: UInt64]) -> [SnapshotID: UInt64] {
        proven.merging(notes(of: device).said) { max($0, $1) }
    }

    /// The peer says to have these, and no others; with nil, nothing that it has said counts any more.
    func noteSaid(_ device: DeviceID, _ snapshots: [SnapshotID: UInt64]?) { note(device) { $0.said = snapshots ?? [:] } }

    /// Whether it is a day since the peer was looked at for what it was told to forget.
    func isLookDue(_ device: DeviceID) -> Bool {
        isRepeatDue(every: DaemonCore.lookSeconds, since: notes(of: device).lookedAt, now: now)
    }

    func noteLook(_ device: DeviceID) { note(device) { [now] in $0.lookedAt = now } }

    private static let lookSeconds: Int64 = 86_400

    func lacking(_ device: DeviceID) -> Lacking { notes(of: device).lacking }

    func noteLacking(_ device: DeviceID, _ found: Lacking) {
        note(device) { $0.lacking = found.snapshots.isEmpty ? Lacking() : found }
    }

    func updateReplica(_ device: DeviceID, _ body: (inout Replica) -> Void) {
        state.withLock { $0.updateReplica(device, body) }
    }

    /// Whether peers were seen, or have proven something, at times that are still to come.
    var areReplicasAhead: Bool { state.read { $0.replicas.isAhead(now: now) } }

    /// After a clock was set right.
    func correctReplicas() {
        state.withLock(wakes: false) { state in
            let before = state.replicas
            state.replicas.correct(now: now)
            if state.replicas != before { state.areReplicasUnsaved = true }
        }
    }

    /// Tells of something that a peer is in the way of, unless that was said last.
    func complain(_ device: DeviceID, _ text: String) {
        let isNews = state.withLock { $0.complaints.updateValue(text, forKey: device) != text }
        if isNews { log(text) }
    }

    /// Writes the table if it has changed: the latest comes last, whoever calls. That a peer was seen again soon after the last time is no
    /// reason to, unless it is to be right `toTheSecond`: with each round with each peer the disk would have a file to write.
    package func saveReplicas(toTheSecond: Bool = false) {
        saving.withLock { saved in
            let table = state.withLock { state -> ReplicaTable? in
                guard state.areReplicasUnsaved else { return nil }
                let seconds = toTheSecond ? 0 : DaemonCore.seenSeconds
                if let saved, saved.saysNearly(state.replicas, within: seconds) { return nil }
                state.areReplicasUnsaved = false
                return state.replicas
            }
            guard let table else { return }
            // A cache: without it the peers are asked again.
            do {
                try table.write(home.disk, directory: home.ledgerDirectory)
                saved = table
            } catch { log("\(error)") }
        }
    }

    private static let seenSeconds: Int64 = 600

    /// While peers bring one snapshot after the other, waits a little: others get them together. `brought` is how many had come when that
    /// was looked at last.
    func awaitQuiet(_ session: PeerSession, after brought: inout Int) {
        for _ in 0..<DaemonCore.quietSteps {
            let before = brought
            brought = state.read { $0.brought }
            guard brought != before else { return }
            _ = state.wait(milliseconds: DaemonCore.quietMilliseconds) { $0.isStopping || session.ended != nil ? true : nil }
        }
    }

    private static let quietMilliseconds = 1000
    private static let quietSteps = 10
}

extension DaemonCore.State {
    /// Sessions that devices of this friend have besides the one that begins. A device that comes again is not one more: its session of
    /// before may be broken, or be that of its node beside a command.
    func friendSessions(besides session: PeerSession) -> Int {
        guard session.connection.trust == .friend else { return 0 }
        let owner = session.connection.peer.certificate?.owner
        let others = sessions.filter { $0.isPaired && $0.ended == nil && $0.connection.peer.certificate?.owner == owner }
        return others.count - (others.contains { $0.device == session.device } ? 1 : 0)
    }
}
