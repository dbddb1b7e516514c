internal import BackupFormat
internal import HostFiles

/// The folder of the ledger: the home's, or one that goes with this object where the home's cannot be made.
///
/// The ledger is a cache. That its disk is mounted read-only, as one that fails often is, must not keep anyone from restoring.
final class LedgerPlace: Sendable {
    let directory: RawPath
    private let disk: any Disk
    private let isTemporary: Bool

    init(_ home: Home) throws(HostFilesError) {
        disk = home.disk
        do throws(HostFilesError) {
            try disk.makeDirectories(home.ledgerDirectory.appending("index"))
            try disk.makeDirectories(home.ledgerDirectory.appending("memo"))
            directory = home.ledgerDirectory
            isTemporary = false
        } catch {
            guard error.code == .readOnly else { throw error }
            directory = home.temporaryFolder.appending("bakare-ledger-\(hexadecimal(Bytes32.random().bytes.prefix(16)))")
            isTemporary = true
            try disk.makeDirectory(directory)
        }
    }

    deinit {
        guard isTemporary else { return }
        // What cannot be removed stays among other temporary files.
        for folder in (try? disk.list(directory)) ?? [] {
            let path = directory.appending(folder)
            for name in (try? disk.list(path)) ?? [] { try? disk.unlink(path.appending(name)) }
            try? disk.removeDirectory(path)
        }
        try? disk.removeDirectory(directory)
    }
}
