internal import BackupFormat
internal import HostFiles

// A sweep, step by step, and why each step stands where it does:
//
// 1. The packs and pages are listed, then the references read: pending records first, then committed ones.
// 2. A new generation is a folder in the trash that this sweep alone has made: a pack comes to one path in the trash at most
//    once, so that removing it by that path can never hit one that was brought back and trashed again. The newest folder is
//    never removed, so the number never goes back; it is durable before anything moves.
// 3. What nothing references moves there. A commit that began meanwhile is seen by reading the references once more: what
//    it needs moves back.
// 4. The trash is listed FIRST, the references read THEN: a commit that found a pack in the packs folder after that listing
//    had its record visible before. Those still referenced move back. The snapshots folder is synced, so that no
//    removal of a snapshot that was believed in can be undone by a power cut. Only then are files removed.
//
// Stopped or killed between any two steps, it leaves files in the trash, where readers and commits find them.

extension Vault {
    /// A temporary file or pending record this old is a dead process's, in seconds. Only a convenience: a live process whose
    /// file is removed begins again.
    private static let staleSecondsMax: Int64 = 24 * 60 * 60

    /// The number that rises whenever a sweep moves something to the trash; 0 at first.
    package var generation: UInt64 {
        get throws(VaultError) { try files("list", trashFolder, generations).first ?? 0 }
    }

    /// Moves what no snapshot references to the trash, and removes for good what has lain there for `grace` seconds.
    ///
    /// `now` is in seconds since 1970. Refuses, and removes nothing, while a committed snapshot cannot be read.
    package func sweep(grace: Int64, now: Int64) throws(VaultError) -> SweepReport {
        var report = SweepReport()
        report.tmpRemoved = try removeStale(temporaryFolder, grace, now) + (try removeStale(pendingFolder, grace, now))
        let stored = try everythingStored()
        var references = VaultReferences()
        try references.refresh(self)
        let garbage = stored.filter { !references.contains($0) }
        if !garbage.isEmpty { try trash(garbage, &references, &report) }
        try purge(grace, now, &references, &report)
        report.generation = try generation
        makeReserve()
        return report
    }

    private func removeStale(_ folder: RawPath, _ grace: Int64, _ now: Int64) throws(VaultError) -> Int {
        let age = max(0, min(grace, Vault.staleSecondsMax))
        return try files("tidy", folder) { () throws(HostFilesError) in
            var removed = 0
            for name in try disk.list(folder) {
                let path = folder.appending(name)
                guard let status = try disk.status(path), !status.isDirectory else { continue }
                guard Vault.isOlder(status, than: age, now) else { continue }
                do throws(HostFilesError) { try disk.unlink(path) } catch {
                    if error.code == .notFound { continue }
                    throw error
                }
                removed += 1
            }
            if removed > 0 { try disk.syncDirectory(folder) }
            return removed
        }
    }

    /// Whether something was last changed `age` seconds before `now`. Whoever can write to the disk can give it any time.
    private static func isOlder(_ status: DiskStatus, than age: Int64, _ now: Int64) -> Bool {
        age <= 0 || elapsed(since: status.modifiedSeconds, now: now) >= age
    }

    private func everythingStored() throws(VaultError) -> [Stored] {
        var stored: [Stored] = []
        try forEachPack { id throws(VaultError) in stored.append(.pack(id)) }
        for name in try files("list", pagesFolder, { () throws(HostFilesError) in try disk.list(pagesFolder) }) {
            if let id = PageID(hex: name) { stored.append(.page(id)) }
        }
        try forEachStub { id throws(VaultError) in stored.append(.stub(id)) }
        return stored
    }

    private func trash(_ garbage: [Stored], _ references: inout VaultReferences, _ report: inout SweepReport) throws(VaultError) {
        #if MUTANTS
            let garbage = Mutant.keepGarbage.isOn ? Array(garbage.dropLast()) : garbage
        #endif
        let generation = try newGeneration()
        let folder = trashFolder(generation)
        var moved: [Stored] = []
        for stored in garbage {
            let home = home(stored)
            do throws(HostFilesError) {
                let bytes = try disk.status(home)?.size ?? 0
                try disk.rename(home, to: folder.appending(stored.trashName))
                moved.append(stored)
                if case .pack = stored {
                    report.trashedPacks += 1
                    report.trashedBytes += bytes
                }
            } catch {
                // Another sweep was first; or has taken this one for dead, emptied its folder and removed it.
                if error.code != .notFound { throw VaultError(error, "trash", "\(stored)") }
            }
        }
        try references.refresh(self)
        for stored in moved where references.contains(stored) {
            if try moveHome(stored, from: generation) { report.restored += 1 }
        }
        try sync()
    }

    /// Makes the folder of a generation that nobody has had before.
    func newGeneration() throws(VaultError) -> UInt64 {
        var hasReserve = true
        while true {
            let (next, overflow) = try generation.addingReportingOverflow(1)
            guard !overflow else {
                throw VaultError(
                    .damaged, "begin a generation in", "\(trashFolder)",
                    detail: "the folder \(UInt64.max) is not the vault's: remove it")
            }
            do throws(HostFilesError) {
                try disk.makeDirectory(trashFolder(next))
                try disk.syncDirectory(trashFolder)
                return next
            } catch {
                if error.code == .exists { continue }
                guard error.code == .noSpace, hasReserve else {
                    throw VaultError(error, "begin a generation in", "\(trashFolder)")
                }
                hasReserve = false
                giveUpReserve()
            }
        }
    }

    /// What lies in the trash: all of it, or what has lain there for `grace` seconds at `now`.
    func trashEntries(
        olderThan age: (grace: Int64, now: Int64)?
    ) throws(VaultError) -> [(generation: UInt64, stored: Stored)] {
        var entries: [(generation: UInt64, stored: Stored)] = []
        for generation in try files("list", trashFolder, generations) {
            let folder = trashFolder(generation)
            do throws(HostFilesError) {
                // A folder's time is that of the last file to come or go.
                guard let status = try disk.status(folder) else { continue }
                if let age, !Vault.isOlder(status, than: age.grace, age.now) { continue }
                for name in try disk.list(folder) {
                    if let stored = Stored(trashName: name) { entries.append((generation, stored)) }
                }
            } catch {
                if error.code != .notFound { throw VaultError(error, "list", "\(folder)") }
            }
        }
        return entries
    }

    private func purge(
        _ grace: Int64, _ now: Int64, _ references: inout VaultReferences, _ report: inout SweepReport
    ) throws(VaultError) {
        let entries = try trashEntries(olderThan: (grace, now))
        if !entries.isEmpty {
            try references.refresh(self)
            try files("sync", snapshotsFolder) { () throws(HostFilesError) in try disk.syncDirectory(snapshotsFolder) }
            for (generation, stored) in entries {
                if references.contains(stored) {
                    if try moveHome(stored, from: generation) { report.restored += 1 }
                } else {
                    try remove(stored, generation, &report)
                }
            }
            try sync()
            // Whoever counts the vault's bytes gives what was removed to others: it must not come back with a power cut.
            for generation in Set(entries.map { $0.generation }).sorted() {
                try files("sync", trashFolder(generation)) { () throws(HostFilesError) in
                    do throws(HostFilesError) { try disk.syncDirectory(trashFolder(generation)) } catch {
                        // Another sweep has removed it.
                        if error.code != .notFound { throw error }
                    }
                }
            }
        }
        // The newest stays: it is the vault's generation.
        for generation in try files("list", trashFolder, generations).dropFirst() {
            do { try disk.removeDirectory(trashFolder(generation)) } catch {
                guard error.code == .notEmpty || error.code == .exists || error.code == .notFound else {
                    throw VaultError(error, "remove", "\(trashFolder(generation))")
                }
            }
        }
    }

    private func remove(_ stored: Stored, _ generation: UInt64, _ report: inout SweepReport) throws(VaultError) {
        let path = trashFolder(generation).appending(stored.trashName)
        do throws(HostFilesError) {
            let bytes = try disk.status(path)?.size ?? 0
            try disk.unlink(path)
            guard case .pack(let id) = stored else { return }
            report.purgedPacks += 1
            report.purgedBytes += bytes
            state.withLock { $0.openPacks.remove(id) }
        } catch {
            // Brought back by a commit, or removed by another sweep.
            if error.code != .notFound { throw VaultError(error, "remove", "\(stored)") }
        }
    }
}
