internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// Why one entry could not be restored: its own problem, or one that ends the whole restore.
enum RestoreFailure: Error {
    case entry(operation: String, reason: String)
    case fatal(ArchiveError)

    init(_ error: HostFilesError) {
        switch error.code {
        case .noSpace, .readOnly:
            self = .fatal(
                ArchiveError(
                    .storage, "restore", "\(error); what was restored so far is whole, run the same restore again to go on"))
        case .interrupted: self = .fatal(interrupted("restore"))
        default: self = .entry(operation: error.operation, reason: error.cause)
        }
    }

    init(_ error: ArchiveError) {
        switch error.code {
        case .interrupted, .storage, .unreachable: self = .fatal(error)
        default: self = .entry(operation: error.operation, reason: error.message)
        }
    }
}

/// What all threads of one restore share.
final class RestoreRun: Sendable {
    let request: RestoreRequest
    let source: any ChunkSource
    let progress: Progress
    let owners: RestoreOwners
    let scheduler: RestoreScheduler
    let links = RestoreLinks()
    let stagings: RestoreStagings
    let files = Atomic<Int>(0)
    let directories = Atomic<Int>(0)
    let bytes = Atomic<Int>(0)
    let writtenBytes = Atomic<Int>(0)
    let unchangedFiles = Atomic<Int>(0)
    let keptFiles = Atomic<Int>(0)
    let deleted = Atomic<Int>(0)
    private let problems: ProblemLog
    private let failure = Mutex<ArchiveError?>(nil)
    private let failed = Atomic<Bool>(false)
    /// Folders that hold a staging folder: their time is set once that is gone.
    private let hosts = Mutex<[RestoreDirectory]>([])

    init(
        _ request: RestoreRequest, _ contents: SnapshotContents, _ source: any ChunkSource, workers: Int, _ progress: Progress,
        onProblem: (@Sendable (FileProblem) -> Void)?
    ) {
        self.request = request
        self.source = source
        self.progress = progress
        problems = ProblemLog(report: onProblem ?? { _ in })
        owners = RestoreOwners(contents)
        scheduler = RestoreScheduler(waitingMax: 4 * workers + 4)
        stagings = RestoreStagings(workers: workers)
    }

    /// Work is to end: on request, or because something failed that concerns all.
    var isStopping: Bool { progress.isStopping || failed.load(ordering: .relaxed) }

    /// The node's own home, which no restore may remove.
    func isOurs(_ status: FileStatus?) -> Bool {
        guard let status else { return false }
        return request.forbidden.contains { $0.inode == status.inode && $0.device == status.device }
    }

    /// Ends the restore with this error, unless another came first.
    func fail(_ error: ArchiveError) {
        failure.withLock { $0 = $0 ?? error }
        failed.store(true, ordering: .relaxed)
    }

    /// What the restore as a whole throws, if anything.
    var outcome: ArchiveError? {
        failure.withLock { $0 } ?? (progress.isStopping ? interrupted("restore") : nil)
    }

    func report(_ path: RawPath, _ operation: String, _ reason: String) {
        progress.problems.add(1, ordering: .relaxed)
        problems.add(FileProblem(path: path, operation: operation, reason: reason))
    }

    func report(_ path: RawPath, _ failure: RestoreFailure) {
        switch failure {
        case .entry(let operation, let reason): report(path, operation, reason)
        case .fatal(let error): fail(error.code == .interrupted ? error : error.at(path))
        }
    }

    /// Counts an entry that stays as it is there, as the user wished; of a folder whose place something else has, all of it is one.
    func countKept() {
        keptFiles.add(1, ordering: .relaxed)
        progress.files.add(1, ordering: .relaxed)
    }

    /// Counts an entry (not a folder) that is now as the snapshot has it.
    func count(_ entry: TreeEntry, unchanged: Bool) {
        files.add(1, ordering: .relaxed)
        if unchanged { unchangedFiles.add(1, ordering: .relaxed) }
        if entry.type == .file { bytes.add(Int(clamping: entry.size), ordering: .relaxed) }
        progress.files.add(1, ordering: .relaxed)
    }

    func addHost(_ directory: RestoreDirectory) {
        directory.retain()
        hosts.withLock { $0.append(directory) }
    }

    func releaseHosts() {
        let all = hosts.withLock { hosts in
            defer { hosts = [] }
            return hosts
        }
        for directory in all { directory.release(self) }
    }

    func makeReport(seconds: Double) -> RestoreReport {
        var report = RestoreReport()
        report.files = files.load(ordering: .relaxed)
        report.directories = directories.load(ordering: .relaxed)
        report.bytes = bytes.load(ordering: .relaxed)
        report.writtenBytes = writtenBytes.load(ordering: .relaxed)
        report.unchangedFiles = unchangedFiles.load(ordering: .relaxed)
        report.keptFiles = keptFiles.load(ordering: .relaxed)
        report.deleted = deleted.load(ordering: .relaxed)
        report.errors = problems.listed.sorted { ($0.path, $0.operation) < ($1.path, $1.operation) }
        report.seconds = seconds
        return report
    }
}

extension HostFilesError {
    /// Runs a call on the file system as part of restoring one entry.
    static func of<R>(_ body: () throws(HostFilesError) -> R) throws(RestoreFailure) -> R {
        do { return try body() } catch { throw RestoreFailure(error) }
    }
}

/// Local numbers for the users and groups of a snapshot: by name where this machine knows it, else the number as it was.
final class RestoreOwners: Sendable {
    /// Only then can files be given to others.
    let isRoot: Bool
    private let userNames: [UInt32: [UInt8]]
    private let groupNames: [UInt32: [UInt8]]
    private let known = Mutex<(users: [UInt32: UInt32], groups: [UInt32: UInt32])>(([:], [:]))

    init(_ contents: SnapshotContents) {
        isRoot = Accounts.effectiveUser == 0
        userNames = Dictionary(contents.users.map { ($0.number, $0.name) }) { first, _ in first }
        groupNames = Dictionary(contents.groups.map { ($0.number, $0.name) }) { first, _ in first }
    }

    func user(_ number: UInt32) -> UInt32 {
        if number == 0 { return 0 }
        return known.withLock { known in
            if let user = known.users[number] { return user }
            let user = userNames[number].flatMap { Accounts.user(named: $0) } ?? number
            known.users[number] = user
            return user
        }
    }

    func group(_ number: UInt32) -> UInt32 {
        if number == 0 { return 0 }
        return known.withLock { known in
            if let group = known.groups[number] { return group }
            let group = groupNames[number].flatMap { Accounts.group(named: $0) } ?? number
            known.groups[number] = group
            return group
        }
    }
}
