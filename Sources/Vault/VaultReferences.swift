internal import BackupFormat
internal import Cryptography
internal import HostFiles

/// What the committed and the pending snapshots reference at one time: 32 bytes a page and a pack.
struct VaultReferences {
    private(set) var pages: Set<PageID> = []
    /// Sorted, none twice.
    private var packs: [PackID] = []
    /// Pages of pending records that are not there: no commit relies on them yet.
    private var absent: Set<PageID> = []

    func contains(_ stored: Stored) -> Bool {
        switch stored {
        case .pack(let id): contains(id)
        case .page(let id): pages.contains(id)
        case .stub(let id): contains(id)
        }
    }

    func contains(_ pack: PackID) -> Bool {
        var low = 0
        var high = packs.count
        while low < high {
            let middle = (low + high) / 2
            if packs[middle] == pack { return true }
            if packs[middle] < pack { low = middle + 1 } else { high = middle }
        }
        return false
    }

    var packCount: Int { packs.count }

    /// Reads the records as they are now, and the pages that this value has not read yet.
    ///
    /// Throws if a committed snapshot, or a page of one, cannot be read: then nobody knows what may go.
    mutating func refresh(_ vault: Vault) throws(VaultError) {
        #if MUTANTS
            if Mutant.sweepWithoutRecheck.isOn, !pages.isEmpty { return }
        #endif
        for _ in 1..<VaultReferences.roundsMax {
            do throws(VaultError) { return try read(vault) } catch {
                // A snapshot that was forgotten after it was listed may have lost its pages to another sweep: list again.
                if error.code != .notFound { throw error }
            }
        }
        try read(vault)
    }

    private static let roundsMax = 4

    private mutating func read(_ vault: Vault) throws(VaultError) {
        let (committed, pending) = try vault.referencedPages()
        #if MUTANTS
            let needed = Mutant.sweepWithoutRecheck.isOn ? committed : committed.union(pending)
        #else
            let needed = committed.union(pending)
        #endif
        if needed == pages && absent.isEmpty { return }
        // A page that is no longer needed must let its packs go, so the others are read again.
        let isLess = !pages.isSubset(of: needed)
        var list = PackIDList(isLess ? [] : packs)
        var missing: Set<PageID> = []
        for id in needed.sorted() where isLess || !pages.contains(id) || absent.contains(id) {
            do throws(VaultError) {
                list.add(try vault.page(id).packs)
            } catch {
                guard error.code == .notFound, !committed.contains(id) else { throw error }
                missing.insert(id)
            }
        }
        packs = list.sorted()
        #if MUTANTS
            if Mutant.forgetReference.isOn, packs.count > 1 { packs.removeLast() }
            if Mutant.forgetPage.isOn, let page = needed.max() {
                pages = needed.subtracting([page])
                absent = missing
                return
            }
        #endif
        pages = needed
        absent = missing
    }
}

extension Vault {
    /// The pages of committed snapshots, and those of pending ones.
    func referencedPages() throws(VaultError) -> (committed: Set<PageID>, pending: Set<PageID>) {
        var pending: Set<PageID> = []
        // Pending first: a commit's rename then cannot hide its record from both listings.
        for name in try files("list", pendingFolder, { () throws(HostFilesError) in try disk.list(pendingFolder) }) {
            try collect(pendingFolder.appending(name), "the pending \(name)", into: &pending)
        }
        // Twice: a name that is replaced during a listing may be left out of it on some file systems.
        var committed: Set<PageID> = []
        let ids = Set(try snapshots()).union(try snapshots())
        for id in ids.sorted() { try collect(snapshotPath(id), "snapshot \(id)", into: &committed) }
        return (committed, pending)
    }

    private func collect(_ path: RawPath, _ subject: String, into pages: inout Set<PageID>) throws(VaultError) {
        do throws(VaultError) {
            for page in try record(at: path, subject).pages { pages.insert(page.id) }
        } catch {
            // Gone meanwhile: forgotten, given up, or committed, and then it is in the next listing.
            if error.code != .notFound { throw error }
        }
    }
}
