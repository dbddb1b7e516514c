package import BackupFormat
internal import Cryptography
internal import HostFiles

extension Vault {
    /// Whether the pack is in the vault now, the trash not counted. Only a commit makes it stay.
    package func contains(_ pack: PackID) throws(VaultError) -> Bool {
        try files("look for", Stored.pack(pack)) { () throws(HostFilesError) in try disk.status(home(.pack(pack))) } != nil
    }

    /// The packs that a snapshot needs and of which nothing is in the vault, in the order of its list; those of lost pages are not known.
    package func missingPacks(of snapshot: SnapshotID) throws(VaultError) -> [PackID] {
        var missing: [PackID] = []
        for entry in try snapshotRecord(snapshot).pages {
            for pack in (try? page(entry.id))?.packs ?? [] where try !knows(pack) { missing.append(pack) }
        }
        return missing
    }

    /// Calls `body` with every pack that is in the vault, the trash not counted, in no order to rely on.
    package func forEachPack(_ body: (PackID) throws(VaultError) -> Void) throws(VaultError) {
        for folder in try files("list", packsFolder, { () throws(HostFilesError) in try disk.list(packsFolder) }) {
            let path = packsFolder.appending(folder)
            guard hexadecimalBytes(folder.text)?.count == 1 else { continue }
            for name in try files("list", path, { () throws(HostFilesError) in try disk.list(path) }) {
                guard let id = PackID(hex: name), home(.pack(id)) == path.appending(name) else { continue }
                try body(id)
            }
        }
    }

    /// The length of a pack, without its protection.
    package func packBytes(_ id: PackID) throws(VaultError) -> Int { try openPack(id).contentBytes }

    /// Reads bytes `range` of a pack into the start of `buffer`, unchecked: for a caller who checks what it gets, and turns
    /// to ``readPackChecked(_:_:into:)`` when that is wrong.
    package func readPack(_ id: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(VaultError) {
        let file = try openPack(id)
        try files("read", Stored.pack(id)) { () throws(HostFilesError) in try file.read(range, into: buffer) }
    }

    /// Reads bytes `range` of a pack, checked, rebuilt from parity where damaged, and then mended on disk if possible.
    ///
    /// Returns whether anything was damaged. Throws `damaged` for what is beyond repair.
    @discardableResult
    package func readPackChecked(
        _ id: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(VaultError) -> Bool {
        try readChecked(try findPack(id), id, range, into: buffer)
    }

    func readChecked(
        _ file: ProtectedFile, _ id: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(VaultError) -> Bool {
        let wasDamaged = try files("read", Stored.pack(id)) { () throws(HostFilesError) in
            try file.readChecked(range, into: buffer)
        }
        if wasDamaged {
            // The caller has what it asked for. If the disk takes no writes, the next check says so.
            _ = try? mend(.pack(id))
            state.withLock { $0.openPacks.remove(id) }
        }
        return wasDamaged
    }

    /// The same, as bytes of their own.
    package func packPart(_ id: PackID, _ range: Range<Int>) throws(VaultError) -> [UInt8] {
        var failure: VaultError?
        let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
            do throws(VaultError) {
                try readPackChecked(id, range, into: UnsafeMutableRawBufferPointer(buffer))
                filled = range.count
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    func mend(_ stored: Stored) throws(VaultError) -> ProtectionReport {
        try withFound(stored, "mend") { path throws(HostFilesError) in
            try ProtectedFile.openForRepair(disk, path, isRight: stored.isRight).scrub(repair: true)
        }
    }

    private func openPack(_ id: PackID) throws(VaultError) -> ProtectedFile {
        if let file = state.withLock({ $0.openPacks.file(id) }) { return file }
        let file = try findPack(id)
        state.withLock { $0.openPacks.insert(id, file) }
        return file
    }

    func findPack(_ id: PackID) throws(VaultError) -> ProtectedFile {
        // Before the trash: of a pack that peers keep, nothing is there.
        if try isElsewhere(id) { throw VaultError(.elsewhere, "read", "pack \(id)") }
        let file = try withFound(.pack(id), "read") { path throws(HostFilesError) in
            try ProtectedFile.open(disk, path, isRight: Stored.pack(id).isRight)
        }
        // Its length decides how much memory a reader takes.
        guard file.contentBytes <= Limits.packBytesMax else {
            throw VaultError(.damaged, "read", "pack \(id)", detail: "it is longer than a pack may be")
        }
        return file
    }

    /// A page of a pack list, checked against its id.
    package func page(_ id: PageID) throws(VaultError) -> PackListPage {
        let bytes = try withFound(.page(id), "read") { path throws(HostFilesError) in
            try ProtectedFile.content(disk, path, limit: Vault.pageBytesMax, isRight: Stored.page(id).isRight)
        }
        guard PageID(bytes.withUnsafeBytes { sha256($0) }) == id else {
            throw VaultError(.damaged, "read", "page \(id)", detail: "its bytes are not those that its name says")
        }
        do { return try bytes.withUnsafeBytes { bytes throws(FormatError) in try PackListPage(decoding: bytes) } } catch {
            throw VaultError(.damaged, "read", "page \(id)", detail: "\(error)")
        }
    }

    private static let pageBytesMax = Limits.pagePacksMax * Bytes32.count + 64

    /// The committed snapshots, sorted by id.
    package func snapshots() throws(VaultError) -> [SnapshotID] {
        try files("list", snapshotsFolder) { () throws(HostFilesError) in
            try disk.list(snapshotsFolder).compactMap { SnapshotID(hex: $0) }
        }
    }

    /// A committed snapshot's record, its signatures checked. Throws `notFound` for one that is not there.
    package func snapshotRecord(_ id: SnapshotID) throws(VaultError) -> SnapshotRecord {
        let record = try record(at: snapshotPath(id), "snapshot \(id)")
        do { try verifySnapshot(record, owner: owner) } catch {
            throw VaultError(.damaged, "read", "snapshot \(id)", detail: "\(error)")
        }
        guard record.id == id else {
            throw VaultError(.damaged, "read", "snapshot \(id)", detail: "it is that of \(record.id)")
        }
        return record
    }

    /// A committed snapshot's record as it was signed, for sending to a peer.
    package func snapshotRecordBytes(_ id: SnapshotID) throws(VaultError) -> [UInt8] { try snapshotRecord(id).encode() }

    /// The record in a file, its signatures not checked.
    func record(at path: RawPath, _ subject: String) throws(VaultError) -> SnapshotRecord {
        let bytes = try files("read", subject) { () throws(HostFilesError) in
            try ProtectedFile.content(disk, path, limit: Limits.snapshotRecordBytesMax, isRight: Vault.isRecord(named: path))
        }
        do { return try bytes.withUnsafeBytes { bytes throws(FormatError) in try SnapshotRecord(decoding: bytes) } } catch {
            throw VaultError(.damaged, "read", subject, detail: "\(error)")
        }
    }

    /// Whether a content is the record that the file's name says; any record, where that is no snapshot's.
    static func isRecord(named path: RawPath) -> ProtectedFile.ContentCheck {
        let id = path.components.last.flatMap { SnapshotID(hex: $0) }
        return { content in
            guard let record = content.withUnsafeBytes({ try? SnapshotRecord(decoding: $0) }) else { return false }
            return id.map { $0 == record.id } ?? true
        }
    }

    /// Counts what the vault holds: one look at every file.
    package func usage() throws(VaultError) -> VaultUsage {
        var usage = VaultUsage()
        func add(_ path: RawPath, _ count: WritableKeyPath<VaultUsage, Int>, _ bytes: WritableKeyPath<VaultUsage, Int>)
            throws(VaultError)
        {
            guard let status = try files("look at", path, { () throws(HostFilesError) in try disk.status(path) }) else { return }
            usage[keyPath: count] += 1
            usage[keyPath: bytes] += status.size
        }
        try forEachPack { id throws(VaultError) in try add(home(.pack(id)), \.packs, \.packBytes) }
        for name in try files("list", pagesFolder, { () throws(HostFilesError) in try disk.list(pagesFolder) }) {
            try add(pagesFolder.appending(name), \.pages, \.pageBytes)
        }
        for id in try snapshots() { try add(snapshotPath(id), \.snapshots, \.snapshotBytes) }
        try forEachStub { id throws(VaultError) in
            if try isElsewhere(id) { try add(home(.stub(id)), \.stubs, \.stubBytes) }
        }
        for entry in try trashEntries(olderThan: nil) {
            let path = trashFolder(entry.generation).appending(entry.stored.trashName)
            if case .pack = entry.stored {
                try add(path, \.trashedPacks, \.trashBytes)
            } else {
                var pages = 0
                if let status = try files("look at", path, { () throws(HostFilesError) in try disk.status(path) }) {
                    pages = status.size
                }
                usage.trashBytes += pages
            }
        }
        return usage
    }
}
