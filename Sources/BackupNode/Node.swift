package import Archive
package import BackupFormat
internal import HostFiles
internal import Vault

/// An opened home: one method a command.
package final class Node: Sendable {
    package let home: Home
    package let keys: HomeKeys
    package let configuration: Configuration
    package let store: ArchiveStore
    package let targets: SnapshotTargets
    private let ledger: LedgerPlace

    /// Opens the vault and brings the ledger in line with it.
    package init(_ home: Home, _ keys: HomeKeys, _ configuration: Configuration) throws(NodeError) {
        self.home = home
        self.keys = keys
        self.configuration = configuration
        guard let certificate = keys.identity.certificate else {
            throw NodeError(
                .key, "open the home",
                "this node has no certificate of its owner; make it again with `init --write-only --owner FILE`",
                path: home.keysDirectory)
        }
        let identity = ArchiveIdentity(
            keys: keys.publisher, owner: keys.owner, node: keys.identity.key, certificate: certificate,
            keepsMemo: configuration.keepsMemo)
        do {
            let vault = try Vault(disk: home.disk, directory: home.vaultDirectory, owner: keys.publisher.owner, create: true)
            ledger = try LedgerPlace(home)
            targets = SnapshotTargets(configuration, keys, vault)
            store = try ArchiveStore(
                vault: vault, disk: home.disk, ledgerDirectory: ledger.directory, scratchDirectory: ledger.directory,
                identity: identity, plan: MemoryPlan(memoryBytes: configuration.memoryBytes, processors: processorCount()))
        } catch let error as ArchiveError {
            throw NodeError(error)
        } catch {
            throw NodeError(.home, "open the vault", "\(error)", path: home.vaultDirectory)
        }
    }

    /// All snapshots, the oldest first, and those that cannot be read.
    package func catalog() throws(NodeError) -> SnapshotCatalog {
        do { return try store.catalog() } catch { throw NodeError(error) }
    }

    /// The packs that a snapshot needs and that are not here: peers may have them.
    package func missingPacks(of snapshot: SnapshotID) throws(NodeError) -> [PackID] {
        do { return try store.vault.missingPacks(of: snapshot) } catch {
            throw NodeError(.failed, "look for the packs of snapshot \(snapshot.hex.prefix(8))", "\(error)")
        }
    }

    /// What only peers have is read by way of `source`.
    package func readElsewhere(from source: any PackSource) { store.readElsewhere(from: source) }

    /// Takes over what another process has brought into the vault.
    package func refresh() throws(NodeError) {
        do { try store.synchroniseIndex() } catch { throw NodeError(error) }
    }

    /// Makes one snapshot. Problems with single files go to `report`, from any thread.
    package func backUp(
        _ request: BackupRequest, _ progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(NodeError) -> BackupReport {
        do throws(ArchiveError) {
            let made = try store.backUp(request, progress: progress, report: report)
            // What stood for it, and for earlier ones that were cut off, has done its service.
            let unfinished = request.spool != nil && made.snapshot != nil ? try store.unfinishedSnapshots() : []
            if !unfinished.isEmpty, let order = try store.forget(unfinished) { try? OrderFolder(home).add(order) }
            return made
        } catch { throw NodeError(error) }
    }

    package func list(
        _ snapshot: SnapshotID, at path: RawPath?, recursive: Bool, _ progress: Progress, problem: (FileProblem) -> Void,
        each: (ListedEntry) -> Void
    ) throws(NodeError) {
        do {
            try store.list(snapshot, at: path, recursive: recursive, progress: progress, problem: problem, each: each)
        } catch { throw NodeError(error) }
    }

    package func diff(
        _ before: SnapshotID, _ after: SnapshotID, at path: RawPath?, _ progress: Progress, problem: (FileProblem) -> Void,
        each: (Difference) -> Void
    ) throws(NodeError) {
        do {
            try store.diff(before, after, at: path, progress: progress, problem: problem, each: each)
        } catch { throw NodeError(error) }
    }

    /// Writes a file's bytes, or a tar of a folder, to an open descriptor.
    package func dump(
        _ snapshot: SnapshotID, at path: RawPath, to descriptor: Int32, _ progress: Progress, problem: (FileProblem) -> Void
    ) throws(NodeError) {
        do { try store.dump(snapshot, at: path, to: descriptor, progress: progress, problem: problem) } catch {
            throw NodeError(error)
        }
    }

    package func restore(
        _ request: RestoreRequest, _ progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(NodeError) -> RestoreReport {
        do { return try store.restore(request, progress: progress, report: report) } catch { throw NodeError(error) }
    }

    /// Verifies vault, ledger and key files. `readDataFraction` of the packs (0 to 1) is read in whole.
    ///
    /// `now` is in nanoseconds since 1970. `fetch` brings what is lost here from peers, and answers what to report of it; `witness` has them
    /// show what is with them only.
    package func check(
        readDataFraction: Double, repair: Bool, now: Int64, _ progress: Progress, witness: (any PackWitness)? = nil,
        fetch: (VaultLosses) -> [String] = { _ in [] }
    ) throws(NodeError) -> CheckReport {
        var repairs: [KeyRepair] = []
        _ = try HomeKeys.load(home, mending: repair, repairs: &repairs)
        var report: CheckReport
        do {
            report = try store.check(
                readDataFraction: readDataFraction, repair: repair, nowSeconds: now / 1_000_000_000, progress: progress,
                peersMayHold: home.hasHadPeers, witness: witness, fetch: fetch)
        } catch { throw NodeError(error) }
        for found in repairs {
            let text = "key file \(found.path) \(found.message)"
            if found.isMended { report.repaired.append(text) } else { report.repairable.append(text) }
        }
        return report
    }

    /// Removes snapshots. Their packs stay until a sweep.
    package func forget(_ snapshots: [SnapshotID]) throws(NodeError) {
        guard !keys.isWriteOnly else {
            throw NodeError(.notAllowed, "forget", "this device is write-only: forget where the owner key is")
        }
        let order: ForgetOrder?
        do { order = try store.forget(snapshots) } catch { throw NodeError(error) }
        // After it: an order without the removal would keep peers from holding what is still wanted.
        if let order { try OrderFolder(home).add(order) }
    }

    /// Frees what no snapshot needs. `now` is nanoseconds since 1970.
    package func sweep(
        dryRun: Bool, scope: SweepScope = .everything, now: Int64, _ progress: Progress
    ) throws(NodeError) -> ReclaimReport {
        do {
            return try store.sweep(
                dryRun: dryRun, scope: scope, graceSeconds: configuration.trashDays * 86_400, nowSeconds: now / 1_000_000_000,
                progress: progress)
        } catch { throw NodeError(error) }
    }
}

extension NodeError {
    package init(_ error: ArchiveError) {
        let code: Code =
            switch error.code {
            case .interrupted: .interrupted
            case .usage: .usage
            case .notAllowed: .notAllowed
            case .brokenPipe: .brokenPipe
            case .notFound, .damaged, .unreachable, .away, .storage: .failed
            }
        self.init(code, error.operation, error.message, path: error.path)
    }
}
