internal import BackupNode
internal import Synchronization

/// What the threads of the sets of sources share.
struct SourceBackups {
    var isTurnTaken = false
    var reports: [String: SourceReport] = [:]
}

extension DaemonCore {
    /// One backup at a time has all the memory. False while another set's runs.
    func takeBackupTurn() -> Bool {
        backups.withLock { backups in
            guard !backups.isTurnTaken else { return false }
            backups.isTurnTaken = true
            return true
        }
    }

    func giveBackupTurn() { backups.withLock { $0.isTurnTaken = false } }

    /// Changes what `status` says of a set.
    func noteSource(_ name: String, _ body: (inout SourceReport) -> Void) {
        backups.withLock { body(&$0.reports[name, default: SourceReport(name: name)]) }
    }

    func source(_ name: String) -> SourceReport? { backups.withLock { $0.reports[name] } }

    /// Those that it has to do with, in the configuration's order.
    var sourceReports: [SourceReport] {
        let reports = backups.withLock { $0.reports }
        return configuration.sourceSets.compactMap { reports[$0.name] }
    }
}
