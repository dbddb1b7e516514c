package import BackupFormat
internal import Cryptography
internal import PeerProtocol
internal import Vault

/// What is read back from a peer: records of snapshots and the lists of the packs that they need.
extension ReplicaCheck {
    /// What reading back showed.
    package struct Readings: Sendable, Hashable {
        /// Snapshots that whoever recovers from there would not get.
        package var unreadable: [SnapshotID] = []
        /// The list of each snapshot of which the peer has a later one than is here, as after it has merged packs.
        package var laterLists: [SnapshotID: [PageID]] = [:]
        /// The packs on the pages of these lists that the list here does not have.
        package var pages: [PageID: [PackID]] = [:]

        package init() {}
    }

    /// Reads the records of these snapshots, and the pages of their lists of packs, as the peer has them. Unreadable are those whose record, or a
    /// page of whose list, the peer does not hand out as it is here or later: without it the
    /// packs are of no use to whoever recovers from there. Each record and page is read back whole; a page that is lost there is sent
    /// again first, since a peer that has the record does not ask for it. What was `read` from the peer in the same round is not asked for
    /// again.
    package func readBack(
        _ snapshots: some Sequence<SnapshotID>, read: [SnapshotID: ReadRecord] = [:]
    ) throws(ReplicationError) -> Readings {
        var readings = Readings()
        #if MUTANTS
            if Mutant.skipReadBack.isOn { return readings }
        #endif
        var pages: [PageID: PageThere] = [:]
        var rest = Array(snapshots)[...]
        while !rest.isEmpty {
            let some = rest.prefix(PeerVault.objectsAtOnce)
            rest = rest.dropFirst(some.count)
            try progress.requireGoing()
            let here = some.compactMap { id in (try? vault.knownRecord(id)).map { (id: id, record: $0) } }
            var there = read
            let unread = here.filter { entry in read[entry.id].map { $0.revision < entry.record.revision } ?? true }.map(\.id)
            let refused = try readRecords(unread, &there)
            let known = here.filter { !refused.contains($0.id) }
            try readPages(known.flatMap { there[$0.id]?.pages ?? [] }, &pages)
            for (id, record) in known {
                guard let found = there[id], found.revision >= record.revision,
                    found.pages.allSatisfy({ pages[$0]?.isThere == true })
                else {
                    readings.unreadable.append(id)
                    continue
                }
                // What it has committed itself counts as its own list says.
                guard found.revision > record.revision else { continue }
                let mine = Set(record.pages.map(\.id))
                readings.laterLists[id] = found.pages
                for page in found.pages where !mine.contains(page) { readings.pages[page] = pages[page]?.packs }
            }
        }
        return readings
    }

    /// What the peer hands out of a page.
    private struct PageThere {
        var isThere: Bool
        var packs: [PackID] = []
    }

    /// Adds the records of these snapshots as the peer has them. Answers which it may not show: a write-only device may not look at what others
    /// have made; who made it looks.
    private func readRecords(_ ids: [SnapshotID], _ there: inout [SnapshotID: ReadRecord]) throws(ReplicationError) -> Set<
        SnapshotID
    > {
        var refused: Set<SnapshotID> = []
        let answers = try peer.objects(.snapshot, ids.map { ObjectID($0.value) }[...])
        for (id, answer) in zip(ids, answers) {
            switch answer {
            case .success(let bytes): there[id] = PeerVault.record(id, owner: vault.owner, bytes).map { ReadRecord($0) }
            case .failure(let error) where error.code == .refused: refused.insert(id)
            case .failure(let error) where error.code == .notFound: there[id] = nil
            case .failure(let error): throw error
            }
        }
        return refused
    }

    private func readPages(_ ids: [PageID], _ pages: inout [PageID: PageThere]) throws(ReplicationError) {
        var rest = Set(ids).filter { pages[$0] == nil }.sorted()[...]
        while !rest.isEmpty {
            let some = rest.prefix(PeerVault.objectsAtOnce)
            rest = rest.dropFirst(some.count)
            try progress.requireGoing()
            let answers = try peer.objects(.page, some.map { ObjectID($0.value) }[...])
            for (id, answer) in zip(some, answers) {
                var page = try read(id, answer)
                if !page.isThere { page = try resend(id) }
                pages[id] = page
            }
        }
    }

    private func read(_ id: PageID, _ answer: Result<[UInt8], ReplicationError>) throws(ReplicationError) -> PageThere {
        switch answer {
        case .success(let bytes):
            guard PageID(sha256(bytes)) == id, let page = bytes.withUnsafeBytes({ try? PackListPage(decoding: $0) }) else {
                return PageThere(isThere: false)
            }
            return PageThere(isThere: true, packs: page.packs)
        case .failure(let error):
            switch error.code {
            case .notFound, .untrue: return PageThere(isThere: false)
            // Nor at the lists of packs: nothing is learned by it.
            case .refused: return PageThere(isThere: true)
            default: throw error
            }
        }
    }

    /// What the peer hands out once it has taken the page anew.
    private func resend(_ id: PageID) throws(ReplicationError) -> PageThere {
        guard let bytes = try? vault.page(id).encode() else { return PageThere(isThere: false) }
        do throws(ReplicationError) { try peer.put(.page, ObjectID(id.value), bytes) } catch {
            if [.noSpace, .refused, .untrue].contains(error.code) { return PageThere(isThere: false) }
            throw error
        }
        return try read(id, try peer.objects(.page, [ObjectID(id.value)])[0])
    }
}
