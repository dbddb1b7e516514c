internal import BackupFormat
internal import BackupNode
internal import Control
internal import Cryptography
internal import HostFiles
internal import Ledger

/// What commands may ask of the running node.
enum ControlVerb: String {
    /// All peers, as ``PeerReport/encode(_:)`` writes them.
    case peers
    /// Where others may reach this node: texts, each ended by a newline.
    case addresses
    /// How each set of sources stands, as ``SourceReport/encode(_:)`` writes them.
    case sources
    /// The peer book, the orders or the vault have changed.
    case changed
    /// A backup runs for as long as the caller stays: its packs are sent as they are made.
    case backup
    /// Waits until the snapshot of the id in the argument is on as many peers as it should be, or nobody is left who could take it.
    /// Progress and result are ``ReplicaCount``s.
    case wait
    /// Brings packs and snapshots from the peers that are here into the vault: the ids of packs, one after the other, and those of
    /// snapshots. Progress is a number of bytes, and the result how many packs came and how many snapshots are whole.
    case fetch
    /// A part of a pack from one of the peers that are here: the pack's id; offset and length as u64, and how often it was asked for as u8.
    /// The result is the pack's length as u64, and the bytes.
    case get
    /// A question to one of the peers that are here: the device's id, and a request as the protocol encodes it, of those that change nothing.
    /// The result is the answer, likewise, with its length as u32 before it, and the bytes that came with it.
    case ask
}

/// Runs on a thread of the caller's own.
func answerControl(_ call: ControlCall, _ core: DaemonCore) -> ControlReply {
    guard let verb = ControlVerb(rawValue: call.request.verb) else {
        return .failed(code: 1, message: "the running node does not know `\(call.request.verb)`; restart it")
    }
    switch verb {
    case .peers: return .result(PeerReport.encode(core.peerReports()))
    case .sources: return .result(SourceReport.encode(core.sourceReports))
    case .addresses:
        guard let listening = core.state.read({ $0.listening }) else { return .result([]) }
        let addresses = core.configuration.advertised + listening.reachable
        return .result(Array(addresses.map { "\($0)\n" }.joined().utf8))
    case .changed:
        core.reloadBook()
        do { try core.orders.refresh() } catch { core.log("\(error)") }
        core.poke()
        return .result([])
    case .backup:
        core.backupRuns(true)
        core.waitUntilGone(call)
        core.backupRuns(false)
        return .result([])
    case .fetch:
        guard call.request.arguments.count == 2 else { return .failed(code: 64, message: "fetch: two arguments are due") }
        let (packs, snapshots) = (identifiers(call.request.arguments[0]), identifiers(call.request.arguments[1]))
        return core.fetch(packs.map { PackID($0) }, snapshots.map { SnapshotID($0) }, call)
    case .get:
        guard call.request.arguments.count == 2, let id = Bytes32(bytes: call.request.arguments[0]) else {
            return .failed(code: 64, message: "get: two arguments are due")
        }
        return core.get(PackID(id), call.request.arguments[1])
    case .ask:
        guard call.request.arguments.count == 2, let id = Bytes32(bytes: call.request.arguments[0]) else {
            return .failed(code: 64, message: "ask: two arguments are due")
        }
        return core.ask(DeviceID(id), call.request.arguments[1])
    case .wait:
        guard call.request.arguments.count == 1, let id = Bytes32(bytes: call.request.arguments[0]) else {
            return .failed(code: 64, message: "wait: an argument of 32 bytes is missing")
        }
        return core.wait(for: SnapshotID(id), call)
    }
}

extension DaemonCore {
    fileprivate func waitUntilGone(_ call: ControlCall) {
        call.onGone { [self] in wake() }
        state.wait { state in call.isGone || state.isStopping ? () : nil }
    }

    fileprivate func wait(for snapshot: SnapshotID, _ call: ControlCall) -> ControlReply {
        guard let record = try? vault.snapshotRecord(snapshot) else {
            return .failed(code: 1, message: "there is no snapshot \(snapshot)")
        }
        call.onGone { [self] in wake() }
        let started = state.withLock { state in
            state.poke()
            return state.pokes
        }
        var shown: ReplicaCount?
        var patience = Patience()
        while true {
            let count = ReplicaCount(
                replicas: state.read { $0.replicas.proven(snapshot, revision: record.revision, now: now) },
                target: targets[snapshot])
            if count != shown { call.progress(count.bytes) }
            shown = count
            let present = state.read { state in
                state.standing.map { session in
                    (device: session.device, isDone: (state.finished[ObjectIdentifier(session)] ?? -1) >= started)
                }
            }
            let expectsMore = patience.expectsMore(present.compactMap(\.device), now: now)
            let isOver = present.allSatisfy(\.isDone) && !expectsMore
            // Asked again after that: the last word may have come in between.
            let last = state.read { $0.replicas.proven(snapshot, revision: record.revision, now: now) }
            if count.isProtected || call.isGone || isStopping || isOver && last == count.replicas {
                // The caller may ask the ledger next.
                saveReplicas()
                return .result(count.bytes)
            }
            _ = state.wait(milliseconds: 200) { state in
                let isNew = state.replicas.proven(snapshot, revision: record.revision, now: now) != last
                return isNew || state.isStopping || call.isGone ? true : nil
            }
        }
    }
}
