// What one persister keeps for one owner: packs, pages of pack lists, snapshots, and nothing else.
//
// Several processes may use one vault, and any of them may be stopped or killed anywhere, for ever: nothing here waits for
// another process, and no lock file, process number or clock decides what is right. Every change is one atomic rename or
// removal, and their order alone keeps a committed snapshot whole; `Vault+Commit.swift` and `Vault+Sweep.swift` say how.
// This module must never remove a file that a committed or pending snapshot references, acknowledge what is not durable,
// or read what is inside packs: it has no key to them.

package import BackupFormat
internal import Cryptography
package import HostFiles
internal import Synchronization

/// One owner's vault. All calls may come from any thread, and from several processes at once.
///
/// Layout under `<directory>/<owner hex>/`: `packs/<2 hex>/<64 hex>`, `stubs/<2 hex>/<64 hex>`, `pages/<64 hex>`, `pending/<64 hex>.<32 hex>`,
/// `snapshots/<64 hex>`, `trash/<generation>/<64 hex>` (pages end in `.page`), `tmp/`, and a `reserve` that lets a sweep
/// begin on a full disk. All but the reserve are protected files.
package final class Vault: Sendable {
    package let owner: OwnerID
    let disk: any Disk
    let root: RawPath
    let state: Mutex<VaultState>
    let records = Mutex(RecordMemo())
    /// Taken by the thread that makes names durable.
    let syncTurn = ConditionLock(false)

    /// The vault of `owner` under `directory` (`<home>/vault`). Throws `notFound` if there is none and `create` is false.
    package init(disk: any Disk, directory: RawPath, owner: OwnerID, create: Bool) throws(VaultError) {
        self.disk = disk
        self.owner = owner
        root = directory.appending(owner.hex)
        state = Mutex(VaultState())
        if create {
            for name in Vault.folders {
                try files("create the vault", root) { () throws(HostFilesError) in try disk.makeDirectories(root.appending(name))
                }
            }
            // A process that was killed may have made them, and not synced their names: the first ``sync()`` does.
            state.withLock { $0.isRootUnsynced = true }
            makeReserve()
        }
        let there = try files("open the vault", root) { () throws(HostFilesError) in
            try disk.status(root.appending("snapshots"))
        }
        guard there?.isDirectory == true else { throw VaultError(.notFound, "open the vault", "\(root)") }
    }

    /// The owners that have a vault under `directory`.
    package static func owners(disk: any Disk, directory: RawPath) throws(HostFilesError) -> [OwnerID] {
        guard try disk.status(directory) != nil else { return [] }
        return try disk.list(directory).compactMap { OwnerID(hex: $0) }
    }

    /// Made with the first stub: most vaults have none.
    static let stubsName = "stubs"
    static let folders = ["packs", "pages", "pending", "trash", "tmp", "snapshots"]

    var packsFolder: RawPath { root.appending("packs") }
    var pagesFolder: RawPath { root.appending("pages") }
    var pendingFolder: RawPath { root.appending("pending") }
    var snapshotsFolder: RawPath { root.appending("snapshots") }
    var stubsFolder: RawPath { root.appending(Vault.stubsName) }
    var trashFolder: RawPath { root.appending("trash") }
    var temporaryFolder: RawPath { root.appending("tmp") }
    static let reserveName: RawPath = "reserve"
    var reserve: RawPath { root.appending(Vault.reserveName) }

    func snapshotPath(_ id: SnapshotID) -> RawPath { snapshotsFolder.appending(id.hex) }

    /// The folder of the packs whose first byte is `byte`.
    func packFolder(_ byte: UInt8) -> RawPath { packsFolder.appending(hexadecimal([byte])) }

    /// The same of the stubs.
    func stubFolder(_ byte: UInt8) -> RawPath { stubsFolder.appending(hexadecimal([byte])) }

    func newTemporaryPath() -> RawPath { temporaryFolder.appending(Bytes32.random().hex) }

    /// Runs file operations; an error becomes one of the vault's.
    func files<R>(
        _ operation: String, _ subject: some CustomStringConvertible, _ body: () throws(HostFilesError) -> R
    ) throws(VaultError) -> R {
        do { return try body() } catch { throw VaultError(error, operation, subject.description) }
    }

    /// Space that a sweep gives back first when the disk is too full for one more folder.
    func makeReserve() {
        // Only a convenience: without it a sweep of a full disk needs some space freed by hand.
        guard let file = try? disk.createExclusively(reserve, expectedBytes: Vault.reserveBytes) else { return }
        try? file.write(at: 0, [UInt8](repeating: 0, count: Vault.reserveBytes))
    }

    /// Frees the reserve for an operation that is to free more. The next sweep makes it anew.
    package func giveUpReserve() {
        try? disk.unlink(reserve)
        // Some file systems give back the space of a file when it is gone for good.
        try? disk.syncDirectory(root)
    }

    package static let reserveBytes = 64 << 10
}

/// What a vault object remembers; all of it may be forgotten but the folders that are not synced yet.
struct VaultState {
    /// Folders of packs and stubs known to exist.
    var knownFolders: Set<RawPath> = []
    /// Those with names not yet made durable, by first byte.
    var unsyncedFolders: Set<UInt8> = []
    var unsyncedStubFolders: Set<UInt8> = []
    var isRootUnsynced = false
    var isPacksFolderUnsynced = false
    var isPagesFolderUnsynced = false
    var isStubsFolderUnsynced = false
    /// Encoders at rest, each with some hundreds of KiB of buffers.
    var encoders: [ProtectedFileEncoder] = []
    var openPacks = OpenPacks()
}

/// A few packs kept open, since reads of one come in rows.
struct OpenPacks {
    private static let filesMax = 16
    private var files: [PackID: (file: ProtectedFile, used: UInt64)] = [:]
    private var uses: UInt64 = 0

    mutating func file(_ id: PackID) -> ProtectedFile? {
        guard let found = files[id] else { return nil }
        uses += 1
        files[id] = (found.file, uses)
        return found.file
    }

    mutating func insert(_ id: PackID, _ file: ProtectedFile) {
        uses += 1
        files[id] = (file, uses)
        if files.count > OpenPacks.filesMax, let oldest = files.min(by: { $0.value.used < $1.value.used }) {
            files[oldest.key] = nil
        }
    }

    mutating func remove(_ id: PackID) { files[id] = nil }
}
