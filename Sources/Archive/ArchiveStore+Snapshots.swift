package import BackupFormat

extension ArchiveStore {
    private func contents(of id: SnapshotID) throws(ArchiveError) -> SnapshotContents {
        guard let (_, contents) = try openSnapshot(id) else {
            throw ArchiveError(
                .damaged, "read snapshot \(id.hex.prefix(12))",
                "its record is damaged, or not made by a device of this owner; run `check --repair`")
        }
        return contents
    }

    /// Calls `each` for the entries at `path`: see ``listSnapshot(_:at:recursive:_:_:problem:each:)``.
    package func list(
        _ id: SnapshotID, at path: RawPath?, recursive: Bool, progress: Progress, problem: (FileProblem) -> Void,
        each: (ListedEntry) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        try listSnapshot(
            try contents(of: id), at: path, recursive: recursive, chunkSource(), progress, problem: problem, each: each)
    }

    /// Calls `each` for what differs: see ``compareSnapshots(_:_:at:_:_:problem:each:)``.
    package func diff(
        _ before: SnapshotID, _ after: SnapshotID, at path: RawPath?, progress: Progress, problem: (FileProblem) -> Void,
        each: (Difference) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        try compareSnapshots(
            try contents(of: before), try contents(of: after), at: path, chunkSource(), progress, problem: problem, each: each)
    }

    /// Writes a file, or a tar of a folder, to an open descriptor.
    package func dump(
        _ id: SnapshotID, at path: RawPath, to descriptor: Int32, progress: Progress, problem: (FileProblem) -> Void
    ) throws(ArchiveError) {
        try dumpSnapshot(try contents(of: id), at: path, to: descriptor, chunkSource(), progress, problem: problem)
    }

    /// Brings files back: see ``restoreSnapshot(_:_:_:workers:_:onProblem:)``.
    package func restore(
        _ request: RestoreRequest, progress: Progress, report: @escaping @Sendable (FileProblem) -> Void
    ) throws(ArchiveError) -> RestoreReport {
        guard identity.certificate.permissions.contains(.restore) else {
            throw ArchiveError(.notAllowed, "restore", "this device may not restore; use one whose certificate allows it")
        }
        expectPacks(of: request.snapshot)
        return try restoreSnapshot(
            request, try contents(of: request.snapshot), chunkSource(), workers: plan.restoreWorkers, progress, onProblem: report)
    }
}
