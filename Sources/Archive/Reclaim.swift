internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Vault

/// One round of finding out what is alive, and moving it out of packs that mostly are not.
struct Reclamation {
    private let store: ArchiveStore
    private let progress: Progress
    private let scope: SweepScope
    private let nowSeconds: Int64

    /// A quarter of the index's budget sorts marks.
    private static let marksShare = 4

    init(_ store: ArchiveStore, _ scope: SweepScope, _ nowSeconds: Int64, _ progress: Progress) {
        self.store = store
        self.scope = scope
        self.nowSeconds = nowSeconds
        self.progress = progress
    }

    /// A pack by how much of it is alive, in bytes of sealed chunks.
    private struct Usage {
        let number: UInt32
        let id: PackID
        let packBytes: Int
        var aliveBytes: Int
        /// Only peers have it: it can be let go of, and not be rewritten.
        var isElsewhere = false
    }

    /// Without `copying`, only packs that are dead as a whole go.
    func run(dryRun: Bool, copying: Bool = true, _ report: inout ReclaimReport) throws(ArchiveError) {
        var snapshots: [SnapshotID] = []
        let marks = ChunkMarks(
            disk: store.disk, directory: store.scratchDirectory,
            memoryBytes: store.plan.indexBytes / Reclamation.marksShare + (4 << 20))
        var unfinished: Set<PackID> = []
        var keepers = PackKeepers(
            this: store.identity.certificate.device, now: nowSeconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue)
        guard try markAlive(&snapshots, marks, &unfinished, &keepers) else { return }
        // What a backup that has not ended has stored may be all alive, or all left where it was cut off.
        let usage = try measure(marks).filter { !unfinished.contains($0.id) }
        let touchable = try whatMayBeTouched(usage, &keepers)
        let (dead, moved) = try whatGoes(touchable, of: snapshots, copying: copying)
        let freedBytes = dead.reduce(0) { $0 + $1.packBytes } + moved.reduce(0) { $0 + $1.packBytes - $1.aliveBytes }
        report.keptBytes = usage.reduce(0) { $0 + $1.packBytes } - freedBytes
        report.rewrittenPacks = moved.count
        if dryRun {
            report.removedPacks = dead.count + moved.count
            report.removedBytes = freedBytes
            return
        }
        try coverUnlisted(snapshots, usage.filter { $0.aliveBytes > 0 })
        let twins = try twins(of: dead + moved, alive: Set(usage.filter { $0.aliveBytes > 0 }.map(\.number)))
        #if MUTANTS
            let made = Mutant.loseMovedChunks.isOn ? [] : try rewrite(moved, marks)
        #else
            let made = try rewrite(moved, marks)
        #endif
        var dropped = PackSet()
        for pack in dead { dropped.insert(pack.number) }
        for pack in moved { dropped.insert(pack.number) }
        try recommit(snapshots, without: dropped, moved: Set(moved.map(\.id)), made: made, twins: twins)
    }

    private func whatMayBeTouched(_ usage: [Usage], _ keepers: inout PackKeepers) throws(ArchiveError) -> [Usage] {
        guard scope == .ownTurn else { return usage }
        try keepers.settle { (page) throws(ArchiveError) in
            do { return try store.vault.page(page).packs.map { store.index.packNumber(of: $0) } } catch {
                throw ArchiveError(.storage, "read the lists of packs", "\(error)")
            }
        }
        return usage.filter { keepers.isTurn($0.number) }
    }

    /// The other packs that hold chunks of these packs too, and count as the place where those are alive: a snapshot that
    /// loses one of these packs from its list may need them.
    private func twins(of packs: [Usage], alive: Set<UInt32>) throws(ArchiveError) -> [PackID: Set<UInt32>] {
        var twins: [PackID: Set<UInt32>] = [:]
        for pack in packs {
            // A pack whose footer is beyond repair gives nothing to anybody.
            guard let entries = pack.isElsewhere ? stubEntries(pack.id) : try? store.packEntries(pack.id) else { continue }
            let isCovered = store.index.isCovered(pack.id)
            for entry in entries {
                let places: [ChunkLocation]
                do { places = try store.index.allLocations(of: entry.id) } catch {
                    throw ArchiveError(.storage, "look up a chunk", "\(error)")
                }
                // What is alive was found by way of the index. Before a pack goes, its own footer must agree with that.
                guard !isCovered || places.contains(where: { $0.packNumber == pack.number }) else {
                    throw ArchiveError(
                        .damaged, "sweep pack \(pack.id)",
                        "the chunk index does not know all of it; remove the folder ledger/index, which is made anew, "
                            + "and try again")
                }
                for place in places where place.packNumber != pack.number && alive.contains(place.packNumber) {
                    twins[pack.id, default: []].insert(place.packNumber)
                }
            }
        }
        return twins
    }

    private func stubEntries(_ pack: PackID) -> [PackEntry]? {
        guard let stub = try? store.vault.stub(pack) else { return nil }
        return try? store.entries(of: stub)
    }

    /// Sees to it that each pack which is alive is on the list of a snapshot: one that holds the only copy that is left of a
    /// chunk may be on no list, if the snapshot that it was made for is forgotten.
    private func coverUnlisted(_ snapshots: [SnapshotID], _ alive: [Usage]) throws(ArchiveError) {
        var listed = PackSet()
        try forEachPage(of: snapshots) { (_, packs) in
            for pack in packs { listed.insert(store.index.packNumber(of: pack)) }
        }
        guard alive.contains(where: { !listed.contains($0.number) }) else { return }
        try store.coverSnapshots(snapshots, without: [], progress)
    }

    /// Calls `body` once with each page that these snapshots name. Snapshots that are gone meanwhile are passed over.
    private func forEachPage(
        of snapshots: [SnapshotID], _ body: (PageID, [PackID]) -> Void
    ) throws(ArchiveError) {
        var seen: Set<PageID> = []
        do {
            for id in snapshots {
                guard let record = try? store.vault.snapshotRecord(id) else { continue }
                for page in record.pages where seen.insert(page.id).inserted {
                    body(page.id, try store.vault.page(page.id).packs)
                }
            }
        } catch {
            throw ArchiveError(.storage, "read the lists of packs", "\(error)")
        }
    }

    /// Marks every chunk that a snapshot needs, in all packs that hold it: each snapshot's list names its own. False when a snapshot cannot be read to its end: then nothing is judged dead.
    private func markAlive(
        _ snapshots: inout [SnapshotID], _ marks: ChunkMarks, _ unfinished: inout Set<PackID>, _ keepers: inout PackKeepers
    ) throws(ArchiveError) -> Bool {
        let reachable = try Reachability(source: store.chunkSource(), progress: progress)
        let mark: Reachability.Visit = { (key) throws(ArchiveError) in
            do {
                let locations = try store.index.allLocations(of: store.cipher.id(of: key))
                guard !locations.isEmpty else {
                    throw ArchiveError(.damaged, "find a chunk", "no pack is known to hold it; run `check`")
                }
                for location in locations {
                    try marks.add(ChunkMark(location.packNumber, offset: location.offset, sealedBytes: location.sealedBytes))
                }
            } catch let error as ArchiveError {
                throw error
            } catch {
                throw ArchiveError(.storage, "note a chunk in use", "\(error)")
            }
        }
        let ids: [SnapshotID]
        do { ids = try store.vault.snapshots() } catch { throw ArchiveError(.storage, "list the snapshots", "\(error)") }
        for id in ids {
            guard let (record, contents) = try store.openSnapshot(id) else { return false }
            if contents.isUnfinished {
                for page in record.pages { unfinished.formUnion((try? store.vault.page(page.id).packs) ?? []) }
                continue
            }
            do throws(ArchiveError) {
                try reachable.visit(tree: contents.root, mark)
                try reachable.visit(stream: contents.problems, mark)
            } catch {
                if error.code == .damaged { return false }
                throw error
            }
            snapshots.append(id)
            keepers.add(record, time: contents.time)
        }
        return true
    }

    /// How much of each pack in the vault is alive.
    private func measure(_ marks: ChunkMarks) throws(ArchiveError) -> [Usage] {
        var alive: [UInt32: Int] = [:]
        try marks.forEach { (mark) throws(ArchiveError) in alive[mark.pack, default: 0] += Int(mark.sealedBytes) }
        var usage: [Usage] = []
        do {
            try store.vault.forEachPack { (id) throws(VaultError) in
                let number = store.index.packNumber(of: id)
                guard let bytes = try? store.vault.packBytes(id) else { return }
                usage.append(Usage(number: number, id: id, packBytes: bytes, aliveBytes: alive[number] ?? 0))
            }
            try store.vault.forEachStub { (id) throws(VaultError) in
                guard try store.vault.isElsewhere(id), let stub = try? store.vault.stub(id) else { return }
                let number = store.index.packNumber(of: id)
                usage.append(
                    Usage(number: number, id: id, packBytes: stub.packBytes, aliveBytes: alive[number] ?? 0, isElsewhere: true))
            }
        } catch {
            throw ArchiveError(.storage, "list the packs", "\(error)")
        }
        return usage.sorted { $0.id < $1.id }
    }

    /// What is let go of as a whole, and what is rewritten. Without `copying` nothing is, and all that is dead goes.
    private func whatGoes(
        _ packs: [Usage], of snapshots: [SnapshotID], copying: Bool
    ) throws(ArchiveError) -> (dead: [Usage], moved: [Usage]) {
        let chosen = SweepRules(packBytes: store.plan.packBytes).choose(
            packs.map { pack in
                // What is known not to be whole cannot be rewritten, as what is elsewhere cannot.
                let isElsewhere = pack.isElsewhere || !store.index.isReliable(pack.id)
                return SweepCandidate(packBytes: pack.packBytes, aliveBytes: pack.aliveBytes, isElsewhere: isElsewhere)
            })
        guard copying else { return (chosen.dead.map { packs[$0] }, []) }
        let merged = chosen.merged.map { packs[$0] }
        var wasted = chosen.dead + chosen.sparse
        if scope == .ownTurn, !wasted.isEmpty {
            let lists = try lists(of: snapshots, naming: wasted.map { packs[$0] } + merged)
            let candidates = wasted.enumerated().map { place, index in
                ListCosts.Candidate(pack: place, freedBytes: packs[index].packBytes - packs[index].aliveBytes)
            }
            let chosen = lists.worthwhile(
                candidates, besides: wasted.count..<wasted.count + merged.count, listBytes: SweepRules.listBytes)
            wasted = chosen.map { wasted[$0] }
        }
        let dead = wasted.filter { packs[$0].aliveBytes == 0 }.map { packs[$0] }
        let sparse = wasted.filter { packs[$0].aliveBytes > 0 }.map { packs[$0] }
        return (dead, (sparse + merged).sorted { $0.id < $1.id })
    }

    /// What the lists of these snapshots name of some packs, which are numbered in the order given.
    private func lists(of snapshots: [SnapshotID], naming packs: [Usage]) throws(ArchiveError) -> ListCosts {
        let places = Dictionary(packs.enumerated().map { ($1.id, $0) }) { first, _ in first }
        var lists = ListCosts(packs: packs.count)
        var pages: [PageID: Int] = [:]
        try forEachPage(of: snapshots) { page, packs in
            let named = packs.compactMap { places[$0] }
            if !named.isEmpty { pages[page] = lists.addPage(naming: named) }
        }
        for id in snapshots {
            guard let record = try? store.vault.snapshotRecord(id) else { continue }
            lists.addList(of: record.pages.compactMap { pages[$0.id] })
        }
        return lists
    }

    /// Copies the living chunks of these packs, sealed as they are, into new packs; these, in order.
    private func rewrite(_ packs: [Usage], _ marks: ChunkMarks) throws(ArchiveError) -> [PackID] {
        guard !packs.isEmpty else { return [] }
        var offsets: [UInt32: Set<UInt32>] = [:]
        for pack in packs { offsets[pack.number] = [] }
        try marks.forEach { (mark) throws(ArchiveError) in
            if offsets[mark.pack] != nil { offsets[mark.pack]?.insert(mark.offset) }
        }
        let sink = PackSink(vault: store.vault, index: store.index, cipher: store.footerCipher, plan: store.plan)
        guard let thread = WorkerThread(name: "packs", { sink.run() }) else {
            throw ArchiveError(.storage, "rewrite packs", "no thread left on this system")
        }
        defer {
            sink.close()
            thread.join()
        }
        var open: [PackKind: PackBuilder] = [:]
        for pack in packs {
            if progress.isStopping { throw ArchiveError(.interrupted, "rewrite packs", "stopped on request") }
            let (kind, bytes) = try verifiedBytes(pack.id, pack.packBytes)
            for entry in try store.packEntries(pack.id) where offsets[pack.number]?.contains(entry.offset) == true {
                var target: PackBuilder
                if let builder = open[kind], builder.hasRoom(for: Int(entry.sealedBytes)) {
                    target = builder
                } else {
                    if let full = open[kind] { sink.submit(full) }
                    target = try sink.begin(kind)
                    open[kind] = target
                }
                let range = Int(entry.offset)..<Int(entry.offset) + Int(entry.sealedBytes)
                target.free.copyBytes(from: bytes[range])
                target.added(entry.id, sealedBytes: Int(entry.sealedBytes), plainBytes: Int(entry.plainBytes))
            }
        }
        for kind in [PackKind.data, .tree] { if let last = open[kind] { sink.submit(last) } }
        return try sink.drain()
    }

    /// A pack's bytes, which are what its id says: repaired if need be.
    private func verifiedBytes(_ id: PackID, _ packBytes: Int) throws(ArchiveError) -> (PackKind, [UInt8]) {
        do {
            var bytes = [UInt8](repeating: 0, count: packBytes)
            let result = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(VaultError) in try store.vault.readPackChecked(id, 0..<packBytes, into: buffer) }
            }
            _ = try result.get()
            guard bytes.withUnsafeBytes({ MerkleTree(hashing: $0).packID }) == id else {
                throw ArchiveError(.damaged, "rewrite pack \(id)", "its bytes do not match its name; run `check --read-data`")
            }
            return (try bytes.withUnsafeBytes { try PackFrame.kind(ofHeader: $0) }, bytes)
        } catch let error as ArchiveError {
            throw error
        } catch {
            throw ArchiveError(.damaged, "read pack \(id)", "\(error)")
        }
    }

    /// Commits each snapshot whose list names a dropped pack, with its new list.
    private func recommit(
        _ snapshots: [SnapshotID], without dropped: PackSet, moved: Set<PackID>, made: [PackID], twins: [PackID: Set<UInt32>]
    ) throws(ArchiveError) {
        guard !dropped.isEmpty else { return }
        var affected: Set<PageID> = []
        try forEachPage(of: snapshots) { (page, packs) in
            if packs.contains(where: { dropped.contains(store.index.packNumber(of: $0)) }) { affected.insert(page) }
        }
        // Successive snapshots share most of their new lists as they shared the old ones.
        var previous: SnapshotID?
        for id in snapshots {
            do {
                // As it is now: a pack that was alive and on no list may have come onto this one.
                guard let record = try? store.vault.snapshotRecord(id) else { continue }
                guard record.pages.contains(where: { affected.contains($0.id) }) else { continue }
                var packs: [PackID] = []
                for page in record.pages { packs += try store.vault.page(page.id).packs }
                let kept = packs.filter { !dropped.contains(store.index.packNumber(of: $0)) }
                guard kept.count < packs.count else { continue }
                var others: Set<PackID> = []
                for pack in packs { others.formUnion((twins[pack] ?? []).map { store.index.packID($0) }) }
                let needsMade = packs.contains { moved.contains($0) } || !others.isDisjoint(with: moved)
                var list = kept
                var seen = Set(kept)
                for pack in others.subtracting(moved).sorted() + (needsMade ? made : []) where seen.insert(pack).inserted {
                    list.append(pack)
                }
                try store.replaceList(of: record, with: list, like: previous)
                previous = id
            } catch {
                throw ArchiveError(.storage, "commit a snapshot's new pack list", "\(error)")
            }
        }
    }
}
