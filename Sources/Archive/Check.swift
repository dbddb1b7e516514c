package import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import Vault

extension ArchiveStore {
    /// Verifies the vault's files, the index and every snapshot; with `repair`, mends what parity can rebuild.
    ///
    /// `readDataFraction` (0 to 1) is the share of packs read in full and compared with their names. What is lost is
    /// reported by snapshot and path, as far as this device can read them. With `repair`, `fetch` is given what is lost here before that
    /// is given up, to bring it into the vault from elsewhere; it answers what to report of it. Where `peersMayHold` what is lost, lists of
    /// packs go on naming it: a list without it would be brought to the peers, and their copies would go as nobody's. Packs of the share
    /// that only peers have are read by way of `witness`.
    package func check(
        readDataFraction: Double, repair: Bool, nowSeconds: Int64, progress: Progress, peersMayHold: Bool = false,
        witness: (any PackWitness)? = nil, fetch: (VaultLosses) -> [String] = { _ in [] }
    ) throws(ArchiveError) -> CheckReport {
        let started = ContinuousClock.now
        var report = CheckReport()
        var scrub: ScrubReport
        let seed = Bytes32.random().words.0
        // What was found before is looked at each time, so that it is known when it is whole again.
        let known = KnownLosses.read(disk, directory: ledgerDirectory)
        let besides = Set(known.packs.keys)
        let goesOn: (ScrubReport) -> Bool = { scrub in
            progress.totalFiles.store(scrub.packsToRead + scrub.elsewhereToRead.count, ordering: .relaxed)
            progress.files.store(scrub.packsRead, ordering: .relaxed)
            progress.bytes.store(scrub.bytesRead, ordering: .relaxed)
            return !progress.isStopping
        }
        do {
            scrub = try vault.scrub(
                readData: readDataFraction, seed: seed, besides: besides, repair: repair, goesOn: goesOn)
            var asked = VaultLosses()
            // What a page that has come back names may be lost too: as long as something else is missing each time.
            while repair, case let losses = VaultLosses(scrub), !losses.isEmpty, losses != asked {
                asked = losses
                let fetched = fetch(losses)
                guard !fetched.isEmpty else { break }
                report.repaired += fetched
                let repairedFiles = scrub.repairedFiles
                scrub = try vault.scrub(
                    readData: readDataFraction, seed: seed, besides: besides, repair: true, goesOn: goesOn)
                scrub.repairedFiles += repairedFiles
            }
        } catch {
            throw error.code == .interrupted ? interrupted("check") : ArchiveError(.storage, "check the vault", "\(error)")
        }
        report.snapshots = scrub.snapshots
        report.packs = scrub.packs
        report.elsewherePacks = scrub.elsewhere
        report.bytesRead = scrub.bytesRead
        if repair {
            if scrub.repairedFiles > 0 {
                report.repaired.append("\(scrub.repairedFiles) damaged file(s) of the vault were rebuilt")
            }
        } else if scrub.mendableFiles > 0 {
            report.repairable.append(
                "\(scrub.mendableFiles) damaged file(s) in the vault: `check --repair` rebuilds them from parity")
        }
        for id in scrub.lostSnapshots {
            report.lost.append(
                "snapshot \(id.hex): its record is damaged beyond repair; sweeps stop until you `forget` it by this id")
        }

        try synchroniseIndex()
        var lost = LostData()
        for pack in scrub.damagedPacks { try noteLost(pack, &lost) }
        try readElsewhere(scrub.elsewhereToRead, by: witness, repair: repair, progress, &lost, &report)
        var losses = KnownLosses()
        let mayRevise = identity.owner != nil && identity.certificate.permissions.contains(.forget)
        if scrub.isHurt, repair, !peersMayHold, mayRevise {
            let lists = try replaceLostPacks(
                missing: scrub.missingPacks, damaged: scrub.damagedPacks, nowSeconds: nowSeconds, progress)
            report.repaired.append("\(lists) list(s) of packs were made anew without what is lost")
        } else {
            if scrub.isHurt, repair {
                try relyOnNone(of: scrub.missingPacks, damaged: scrub.damagedPacks)
                if mayRevise { try leaveOutUnneeded(&scrub, progress, &report) }
            }
            reportLosses(scrub, mayBeWithPeers: repair && peersMayHold, &report)
            losses = KnownLosses(scrub)
        }
        try noteElsewhere(known, scrub, repair: repair, &losses, &report)
        let hurt = try checkSnapshots(lost, knownLost: Set(scrub.lostSnapshots), progress, &report)
        losses.snapshots.formUnion(unexplained(Set(hurt), by: Set(losses.packs.keys)))
        // What the daily scrub has found meanwhile.
        for (pack, kind) in KnownLosses.read(disk, directory: ledgerDirectory).packs where known.packs[pack] == nil {
            if losses.packs[pack] == nil { losses.packs[pack] = kind }
        }
        // On a disk that takes no writes, what was found is in the report.
        try? losses.write(disk, directory: ledgerDirectory)
        report.seconds = (ContinuousClock.now - started) / .seconds(1)
        return report
    }

    /// Those whose lists name none of these packs: they are whole again when the packs are.
    private func unexplained(_ snapshots: Set<SnapshotID>, by packs: Set<PackID>) -> Set<SnapshotID> {
        var known: [PageID: Bool] = [:]
        func names(_ page: PageID) -> Bool {
            if let answer = known[page] { return answer }
            let answer = (try? vault.page(page))?.packs.contains(where: packs.contains) ?? false
            known[page] = answer
            return answer
        }
        return snapshots.filter { (try? vault.snapshotRecord($0))?.pages.contains { names($0.id) } != true }
    }

    /// Takes what is lost off the lists of snapshots that need none of it, such as a pack into which others were merged, and which was
    /// lost before anybody else had it: what it held is in packs that came back from peers. Peers lose nothing by these lists either.
    private func leaveOutUnneeded(
        _ scrub: inout ScrubReport, _ progress: Progress, _ report: inout CheckReport
    ) throws(ArchiveError) {
        let lost = Set(scrub.missingPacks).union(scrub.damagedPacks.map(\.id))
        let lists = try coverSnapshots(scrub.incompleteSnapshots, without: lost, onlyWhole: true, progress)
        guard lists > 0 else { return }
        report.repaired.append("\(lists) list(s) of packs were made anew without what is lost: it is not needed there")
        var pages: Set<PageID> = []
        var packs: Set<PackID> = []
        do throws(VaultError) {
            for id in try vault.snapshots() {
                for entry in (try? vault.snapshotRecord(id))?.pages ?? [] { pages.insert(entry.id) }
            }
            packs = try vault.committedPacks()
        } catch { throw ArchiveError(.storage, "check the vault", "\(error)") }
        scrub.missingPacks.removeAll { !packs.contains($0) }
        scrub.damagedPacks.removeAll { !packs.contains($0.id) }
        scrub.lostPages.removeAll { !pages.contains($0) }
    }

    private func reportLosses(_ scrub: ScrubReport, mayBeWithPeers: Bool, _ report: inout CheckReport) {
        for id in scrub.lostPages { report.lost.append("page \(id.hex) of a pack list is lost") }
        for pack in scrub.missingPacks { report.lost.append("pack \(pack.hex) is missing") }
        for pack in scrub.damagedPacks { report.lost.append("pack \(pack.id.hex) is damaged beyond repair") }
        guard scrub.isHurt, mayBeWithPeers else { return }
        report.lost.append(
            "peers may have what is lost: when they are connected (`peers`), run `check --repair` again; "
                + "what none of them has goes when the snapshots that need it are forgotten")
    }

    /// Chunks that the vault seems to hold, and does not.
    struct LostData {
        var chunks: Set<ChunkID> = []
        /// Packs of which nothing is left, not even what they held.
        var packs = PackSet()
    }

    /// Notes the chunks with bytes in the lost ranges of a pack, and no copy in another.
    private func noteLost(_ pack: DamagedPack, _ lost: inout LostData) throws(ArchiveError) {
        guard let entries = try? packEntries(pack.id) else {
            lost.packs.insert(index.packNumber(of: pack.id))
            return
        }
        let hurt = entries.filter { entry in
            let bytes = Int(entry.offset)..<Int(entry.offset) + Int(entry.sealedBytes)
            return pack.lost.isEmpty || pack.lost.contains { $0.overlaps(bytes) }
        }
        try noteOnlyCopies(hurt.map(\.id), in: pack.id, &lost)
    }

    /// Notes those of a pack's chunks that are in no other.
    func noteOnlyCopies(_ chunks: [ChunkID], in pack: PackID, _ lost: inout LostData) throws(ArchiveError) {
        for chunk in chunks {
            do {
                let elsewhere = try index.allLocations(of: chunk).contains { $0.pack != pack }
                if !elsewhere { lost.chunks.insert(chunk) }
            } catch {
                throw ArchiveError(.storage, "look up a chunk", "\(error)")
            }
        }
    }

    /// Every chunk that a snapshot needs must be in some pack. A snapshot that lacks one is walked again for the paths. Returns those that
    /// lack any.
    private func checkSnapshots(
        _ lost: LostData, knownLost: Set<SnapshotID>, _ progress: Progress, _ report: inout CheckReport
    ) throws(ArchiveError) -> [SnapshotID] {
        guard identity.owner != nil else { return [] }
        var hurt: [SnapshotID] = []
        let reachable = try Reachability(source: chunkSource(), progress: progress)
        let ids: [SnapshotID]
        do { ids = try vault.snapshots() } catch { throw ArchiveError(.storage, "list the snapshots", "\(error)") }
        for id in ids where !knownLost.contains(id) {
            guard let (_, contents) = try openSnapshot(id) else {
                report.lost.append(
                    "snapshot \(id.hex): its record does not open with this owner's key, or its signature is wrong")
                continue
            }
            do throws(ArchiveError) {
                let present: Reachability.Visit = { (key) throws(ArchiveError) in
                    if try !self.isStored(key, lost) { throw ArchiveError(.damaged, "check", "a chunk is missing") }
                }
                try reachable.visit(tree: contents.root, present)
                try reachable.visit(stream: contents.problems, present)
            } catch {
                guard error.code == .damaged else { throw error }
                hurt.append(id)
                try reportLostPaths(id, contents, lost, progress, &report)
            }
        }
        return hurt
    }

    private func isStored(_ key: ChunkKey, _ lost: LostData) throws(ArchiveError) -> Bool {
        let id = cipher.id(of: key)
        do {
            if lost.chunks.contains(id) { return false }
            guard let place = try index.lookup(id) else { return try self.place(of: id) != nil }
            if !lost.packs.contains(place.packNumber) { return true }
            return try index.allLocations(of: id).contains { !lost.packs.contains($0.packNumber) }
        } catch {
            throw ArchiveError(.storage, "look up a chunk", "\(error)")
        }
    }

    private static let lostPathsListedMax = 1000

    /// Names the files and folders of one snapshot that cannot be restored in full.
    private func reportLostPaths(
        _ id: SnapshotID, _ contents: SnapshotContents, _ lost: LostData, _ progress: Progress, _ report: inout CheckReport
    ) throws(ArchiveError) {
        var damaged: [RawPath] = []
        var count = 0
        func note(_ path: RawPath) {
            if damaged.last == path { return }
            count += 1
            if damaged.count < ArchiveStore.lostPathsListedMax { damaged.append(path) }
        }
        let reachable = try Reachability(source: chunkSource(), progress: progress)
        try reachable.visitPaths(tree: contents.root, unreadable: note) { (key, path) throws(ArchiveError) in
            if try isStored(key, lost) { return true }
            note(path)
            return false
        }
        for path in damaged { report.lost.append("snapshot \(id.hex.prefix(12)): \(path)") }
        if count > damaged.count { report.lost.append("snapshot \(id.hex.prefix(12)): and \(count - damaged.count) more paths") }
    }
}

/// What a vault should hold and does not, or not whole.
package struct VaultLosses: Sendable, Hashable {
    package var packs: [PackID] = []
    /// Those whose record, or a page or a pack of whose list, is lost.
    package var snapshots: [SnapshotID] = []

    package var isEmpty: Bool { packs.isEmpty && snapshots.isEmpty }

    init() {}

    init(_ scrub: ScrubReport) {
        packs = scrub.missingPacks + scrub.damagedPacks.map(\.id)
        snapshots = scrub.lostSnapshots + scrub.incompleteSnapshots
    }
}
