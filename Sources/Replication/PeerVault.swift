package import BackupFormat
internal import Cryptography
internal import HostFiles
package import PeerProtocol

/// What a peer keeps for this node's owner: one question, one answer. Calls wait for the answer.
package struct PeerVault: Sendable {
    package let link: any PeerLink

    package init(_ link: any PeerLink) { self.link = link }

    /// A question that was asked and not answered yet.
    typealias Pending = ConditionLock<Result<PeerReply, PeerProtocolError>?>

    /// One request and its answer; a refusal is thrown.
    package func ask(
        _ request: Request, bulk: ArraySlice<UInt8> = [], _ operation: String
    ) throws(ReplicationError) -> PeerReply {
        try end(try begin(request, bulk: bulk), operation)
    }

    /// Asks, and does not wait for the answer: that is ``end(_:_:)``'s.
    func begin(_ request: Request, bulk: ArraySlice<UInt8> = []) throws(ReplicationError) -> Pending {
        let reply = Pending(nil)
        do {
            try link.submit(request, bulk: bulk) { result in reply.withLock { $0 = result } }
            return reply
        } catch { throw ReplicationError(error) }
    }

    func end(_ pending: Pending, _ operation: String) throws(ReplicationError) -> PeerReply {
        switch pending.wait(for: { $0 }) {
        case .success(let found):
            if case .failed(let failed) = found.answer { throw ReplicationError(operation, failed) }
            return found
        case .failure(let error): throw ReplicationError(error)
        }
    }

    package func state() throws(ReplicationError) -> VaultState {
        guard case .vault(let state) = try ask(.vault, "ask for the vault").answer else { throw unexpected("ask for the vault") }
        return state
    }

    /// The snapshots that are committed there, in ascending order of their ids: those of `wanted` alone, if it is given, so that a peer that
    /// makes up millions takes no memory by it.
    package func snapshots(of wanted: Set<SnapshotID>? = nil) throws(ReplicationError) -> [SnapshotID] {
        var found: [SnapshotID] = []
        var last: SnapshotID?
        var count = 0
        while true {
            guard case .listing(let listing) = try ask(.list(List(after: last)), "list the snapshots").answer else {
                throw unexpected("list the snapshots")
            }
            // The session checks that they rise; a listing that says there is more and brings nothing would never end.
            found += listing.snapshots.filter { wanted?.contains($0) ?? true }
            last = listing.snapshots.last
            count += listing.snapshots.count
            guard listing.hasMore, !listing.snapshots.isEmpty else { return found }
            guard count <= PeerVault.snapshotsMax else {
                throw ReplicationError(.untrue, "list the snapshots: the peer claims more than \(PeerVault.snapshotsMax)")
            }
        }
    }

    /// More than anybody makes: one an hour for 45 years. Of their ids a peer that makes them up fills 13 MB.
    private static let snapshotsMax = 400_000

    /// A small object, whole: a page or a snapshot's record.
    package func object(_ kind: ObjectKind, _ id: ObjectID) throws(ReplicationError) -> [UInt8] {
        try rest(of: kind, id, try beginObject(kind, id))
    }

    /// Some such objects, asked for before the first answer is there: whoever is far away takes as long for all as for one. Those that cannot
    /// be had with the reason.
    func objects(_ kind: ObjectKind, _ ids: ArraySlice<ObjectID>) throws(ReplicationError) -> [Result<[UInt8], ReplicationError>]
    {
        var asked: [(id: ObjectID, answer: Pending)] = []
        for id in ids { asked.append((id, try beginObject(kind, id))) }
        var found: [Result<[UInt8], ReplicationError>] = []
        // They are answered in order: whoever waits for the last waits once.
        for (id, answer) in asked.reversed() {
            do throws(ReplicationError) { found.append(.success(try rest(of: kind, id, answer))) } catch {
                found.append(.failure(error))
            }
        }
        return found.reversed()
    }

    /// How many small objects are asked for at once: so many answers may take memory.
    static let objectsAtOnce = 4

    private func beginObject(_ kind: ObjectKind, _ id: ObjectID, offset: Int = 0) throws(ReplicationError) -> Pending {
        try begin(.get(Get(kind: kind, id: id, offset: offset, lengthBytes: Limits.bulkBytesMax)))
    }

    private func rest(of kind: ObjectKind, _ id: ObjectID, _ first: Pending) throws(ReplicationError) -> [UInt8] {
        var bytes: [UInt8] = []
        var answer = first
        while true {
            let reply = try end(answer, "get a \(kind)")
            guard case .part(let part) = reply.answer, part.totalBytes <= kind.bytesMax, !reply.bulk.isEmpty else {
                throw unexpected("get a \(kind)")
            }
            bytes += reply.bulk
            if bytes.count >= part.totalBytes { return bytes }
            answer = try beginObject(kind, id, offset: bytes.count)
        }
    }

    /// A snapshot's record as it is committed there; nil where the peer has none, or none that is of this owner and id.
    package func record(_ id: SnapshotID, owner: OwnerID) throws(ReplicationError) -> SnapshotRecord? {
        do throws(ReplicationError) {
            return PeerVault.record(id, owner: owner, try object(.snapshot, ObjectID(id.value)))
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    static func record(_ id: SnapshotID, owner: OwnerID, _ bytes: [UInt8]) -> SnapshotRecord? {
        let record = bytes.withUnsafeBytes { try? SnapshotRecord(decoding: $0) }
        guard let record, record.id == id, (try? verifySnapshot(record, owner: owner)) != nil else { return nil }
        return record
    }

    /// Stores a small object, whole: a page or a draft. Durable there on return.
    package func put(_ kind: ObjectKind, _ id: ObjectID, _ bytes: [UInt8]) throws(ReplicationError) {
        var offset = 0
        // A peer that never gets on is left.
        for _ in 0..<(2 * (bytes.count / Limits.bulkBytesMax + 1) + 4) {
            let end = min(offset + Limits.bulkBytesMax, bytes.count)
            let put = Put(kind: kind, id: id, totalBytes: bytes.count, offset: offset)
            guard case .stored(let stored) = try ask(.put(put), bulk: bytes[offset..<end], "put a \(kind)").answer else {
                throw unexpected("put a \(kind)")
            }
            if stored.isDurable { return }
            offset = stored.receivedBytes < bytes.count ? stored.receivedBytes : 0
        }
        throw ReplicationError(.untrue, "put a \(kind): the peer takes it, and never has it")
    }

    package func commit(_ commit: Commit) throws(ReplicationError) -> Outcome.Result {
        guard case .outcome(let outcome) = try ask(.commit(commit), "commit a snapshot").answer else {
            throw unexpected("commit a snapshot")
        }
        return outcome.result
    }

    func unexpected(_ operation: String) -> ReplicationError {
        ReplicationError(.untrue, "\(operation): the peer's answer makes no sense")
    }
}
