package import Archive
package import BackupFormat
internal import HostFiles

/// What a backup is asked for on the command line, on top of the configuration.
package struct BackupOptions: Sendable {
    /// Empty for the configured sources.
    package var paths: [RawPath] = []
    package var exclude: [RawPath] = []
    package var excludeFiles: [RawPath] = []
    package var excludeLargerThanBytes: Int?
    package var excludeCaches = false
    package var oneFileSystem = false
    package var tags: [String] = []
    package var dryRun = false
    package init() {}
}

extension Home {
    /// The longest file of patterns that is read.
    private static let excludeFileBytesMax = 16 << 20

    /// What a set leaves out.
    package func exclusions(_ set: SourceSet) throws(NodeError) -> Exclusions {
        var patterns = set.exclude
        for file in set.excludeFiles { patterns += try readPatterns(file) }
        return Exclusions(
            patterns: patterns, largerThanBytes: set.excludeLargerThanBytes, caches: set.excludeCaches,
            oneFileSystem: set.oneFileSystem)
    }

    /// What to back up by configuration and command line together. The configuration's patterns come first, so that those of
    /// the command line have the last word; what either leaves out is left out.
    package func backupRequest(
        _ options: BackupOptions, _ set: SourceSet, _ configuration: Configuration, _ environment: Environment, now: Int64
    ) throws(NodeError) -> BackupRequest {
        let paths = options.paths.isEmpty ? set.paths : options.paths.map { environment.existing($0) }
        guard !paths.isEmpty else {
            throw NodeError(.usage, "backup", "nothing to back up: name a path, or set `paths` in \(configurationFile)")
        }
        // Of several, one that is gone is named, and the others are backed up; with none there, nothing is to be done.
        if let first = paths.first, !paths.contains(where: isThere) {
            throw NodeError(
                .failed, "backup",
                paths.count == 1 ? "there is no such file or folder" : "none of the paths is there; is a disk not mounted?",
                path: first)
        }
        guard paths.count <= Limits.pathsMax else {
            throw NodeError(.usage, "backup", "more than \(Limits.pathsMax) paths; name the folders that hold them")
        }
        var exclusions = try exclusions(set)
        for file in options.excludeFiles { exclusions.patterns += try readPatterns(environment.existing(file)) }
        for pattern in options.exclude {
            if let fault = ExclusionRules.malformation(of: pattern) {
                throw NodeError(.usage, "--exclude", "\(pattern): \(fault)")
            }
            exclusions.patterns.append(pattern)
        }
        exclusions.largerThanBytes = options.excludeLargerThanBytes ?? exclusions.largerThanBytes
        exclusions.caches = exclusions.caches || options.excludeCaches
        exclusions.oneFileSystem = exclusions.oneFileSystem || options.oneFileSystem
        let tags = set.tags + options.tags.flatMap(tagList).filter { !set.tags.contains($0) }
        guard tags.allSatisfy(isTag), tags.count <= Limits.tagsMax else {
            throw NodeError(
                .usage, "--tag", "a tag has 1 to \(Limits.tagBytesMax) bytes, and a snapshot at most \(Limits.tagsMax)")
        }
        guard !tags.contains(SnapshotContents.watchedTag) else {
            throw NodeError(
                .usage, "--tag", "`\(SnapshotContents.watchedTag)` is the tag of snapshots that a watch makes; choose another")
        }
        return BackupRequest(
            paths: paths,
            exclusions: exclusions,
            tags: tags, dryRun: options.dryRun, host: configuration.host ?? machineName(), time: now,
            forbidden: [try identity()])
    }

    /// Whether there is something; so it is taken where that cannot be told.
    private func isThere(_ path: RawPath) -> Bool {
        do { return try disk.status(path) != nil } catch { return true }
    }

    private func readPatterns(_ file: RawPath) throws(NodeError) -> [RawPath] {
        do {
            guard let bytes = try disk.readFile(file, limit: Home.excludeFileBytesMax) else {
                throw NodeError(.failed, "read the patterns", "there is no such file", path: file)
            }
            let patterns = ExclusionRules.patterns(inFile: bytes)
            for pattern in patterns {
                if let fault = ExclusionRules.malformation(of: pattern) {
                    throw NodeError(.failed, "read the patterns", "\(pattern): \(fault)", path: file)
                }
            }
            return patterns
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError(.failed, "read the patterns", "\(error)")
        }
    }
}
