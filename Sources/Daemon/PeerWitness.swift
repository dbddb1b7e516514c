package import Archive
package import BackupFormat
package import BackupNode
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import NodeRuntime
internal import PeerProtocol
internal import Peers
internal import Replication
internal import Vault

/// Reads packs that only peers have to their end, for `check`: by way of the running node where one has peers, else by sessions of its own,
/// as ``PeerPacks`` does.
///
/// Memory: one pack, as it comes.
package final class PeerWitness: PackWitness {
    /// A peer that answers.
    private struct Holder {
        let device: DeviceID?
        let name: String
        let link: any PeerLink

        func fault(_ pack: PackID, _ reason: String) -> PackFault {
            PackFault(pack: pack, peer: name, device: device, reason: reason)
        }
    }

    /// What is learned as it goes.
    private struct Course {
        var evidence = PackEvidence()
        var holders: [Holder] = []
        /// Packs that nobody has shown.
        var missing: [PackID] = []
        /// Packs that a peer says not to have, or not whole, by its place among the holders.
        var denied: [Int: Set<PackID>] = [:]
        /// Peers that were cut off: what they have is not known.
        var gone: Set<DeviceID?> = []
    }

    private let home: Home
    private let vault: Vault
    private let owner: OwnerKey
    private let candidates: CommandSessions.Candidates
    private let book: PeerBook
    private let progress: Progress
    private let replication: ReplicationProgress

    /// Nil where nothing can be read, without the owner key.
    package init?(_ node: Node, _ progress: Progress) {
        guard let owner = node.keys.owner, let book = try? node.home.peerBook().read() else { return nil }
        home = node.home
        vault = node.store.vault
        self.owner = owner
        self.book = book
        self.progress = progress
        candidates = CommandSessions.Candidates(book, node.keys, node.configuration)
        replication = ReplicationProgress(isStopping: { progress.isStopping })
    }

    package func examine(
        _ packs: [PackID], each: @escaping @Sendable (PackID, UnsafeRawBufferPointer) -> Void
    ) throws(ArchiveError) -> PackEvidence {
        guard !packs.isEmpty else { return PackEvidence() }
        var course = Course()
        if let running = passedOn() {
            course.holders = running
            try examine(packs, &course, each)
        } else {
            // A key that nobody has seen and nobody certified: it takes no place in anybody's book of peers.
            let setup = HandshakeSetup(key: NodeKey.generate(), certificate: nil, agent: "bakare-node")
            let opened = CommandSessions.Opened(setup, owner: owner.id)
            defer { opened.close() }
            course.holders = dialled(opened.transport)
            try examine(packs, &course, each)
        }
        return course.evidence
    }

    // MARK: Who is there

    /// The peers of the node that runs on the home; nil where none runs, or it has none.
    private func passedOn() -> [Holder]? {
        guard let running = try? RunningNode.find(home), let peers = try? running.peers() else { return nil }
        let holders = peers.filter { $0.isOnline && ($0.trust == .own || $0.trust == .friend) }
            .map { Holder(device: $0.id, name: $0.name, link: ControlPeer(home, $0.id)) }
        return holders.isEmpty ? nil : holders
    }

    /// Whoever answers and keeps something for the owner; all are dialled at once.
    private func dialled(_ transport: PeerTransport) -> [Holder] {
        let found = ConditionLock<[Holder]>([])
        let threads = candidates.addresses.compactMap { [owner, candidates] addresses in
            WorkerThread(name: "dial") {
                guard let connection = CommandSessions.holder(at: addresses, owner, transport) else { return }
                let certificate = connection.peer.certificate
                let name = certificate?.shownName ?? addresses.first?.description ?? "a peer"
                let holder = Holder(device: candidates.device(of: connection.peer), name: name, link: connection)
                found.withLock { found in
                    // One that was dialled at two of its addresses is one still.
                    if holder.device == nil || !found.contains(where: { $0.device == holder.device }) { found.append(holder) }
                }
            }
        }
        for thread in threads { thread.join() }
        return found.withLock { $0 }.sorted { ($0.device?.hex ?? "", $0.name) < ($1.device?.hex ?? "", $1.name) }
    }

    /// Whether somebody may have packs who was not asked, or not to the end.
    private func isAnybodyAway(_ course: Course) -> Bool {
        if !course.gone.isEmpty { return true }
        return !candidates.holders(besides: Set(course.holders.compactMap(\.device)), home).isEmpty
    }

    // MARK: What they show

    private func examine(
        _ packs: [PackID], _ course: inout Course, _ each: @escaping @Sendable (PackID, UnsafeRawBufferPointer) -> Void
    ) throws(ArchiveError) {
        // Another begins each time, so that several runs look at every copy.
        let first = Int(UInt8.random(in: 0...UInt8.max))
        for (number, pack) in packs.enumerated() where try !isShown(pack, first + number, &course, each) {
            course.missing.append(pack)
        }
        try blame(&course)
        // Whoever is cut off while it is asked that is away, too.
        if isAnybodyAway(course) { course.evidence.unknown = course.missing } else { course.evidence.lost = course.missing }
    }

    private func isShown(
        _ pack: PackID, _ turn: Int, _ course: inout Course, _ each: @escaping @Sendable (PackID, UnsafeRawBufferPointer) -> Void
    ) throws(ArchiveError) -> Bool {
        let holders = course.holders
        for place in holders.indices {
            let number = (turn + place) % holders.count
            let holder = holders[number]
            if course.gone.contains(holder.device) { continue }
            let count = ConditionLock(0)
            do throws(ReplicationError) {
                try withPack(pack, from: holder.link, progress: replication) { bytes in
                    count.withLock { $0 = bytes.count }
                    each(pack, bytes)
                }
                course.evidence.shown += 1
                course.evidence.bytes += count.withLock { $0 }
                return true
            } catch {
                switch error.code {
                case .stopped: throw interrupted()
                case .cutOff, .local: course.gone.insert(holder.device)
                case .untrue:
                    course.evidence.faults.append(
                        holder.fault(pack, "it has other bytes than the pack's id names"))
                // Whether it should have it shows later.
                case .notFound, .refused, .noSpace: course.denied[number, default: []].insert(pack)
                }
            }
        }
        return false
    }

    /// A peer that says not to have a pack is at fault if it has committed a snapshot that needs it.
    private func blame(_ course: inout Course) throws(ArchiveError) {
        guard !course.denied.isEmpty else { return }
        var records: [SnapshotRecord] = []
        for id in (try? vault.snapshots()) ?? [] {
            if let record = try? vault.snapshotRecord(id) { records.append(record) }
        }
        records.sort { ($0.sequence, $0.id) > ($1.sequence, $1.id) }
        for (number, packs) in course.denied.sorted(by: { $0.key < $1.key }) {
            let holder = course.holders[number]
            if course.gone.contains(holder.device) { continue }
            do throws(ReplicationError) {
                let check = ReplicaCheck(of: vault, at: holder.link, progress: replication)
                let bound = try check.bound(to: packs, by: records)
                course.evidence.faults += bound.sorted().map { holder.fault($0, "it is not there, or not whole") }
            } catch {
                if error.code == .stopped { throw interrupted() }
                course.gone.insert(holder.device)
            }
        }
    }

    private func interrupted() -> ArchiveError { ArchiveError(.interrupted, "check", "stopped on request") }
}
