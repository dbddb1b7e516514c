internal import Archive
internal import BackupFormat
internal import HostFiles
internal import Vault

/// How a node stands: what `status` shows.
package struct NodeStatus: Sendable {
    package var lines: [(title: String, text: String)] = []
    package var warnings: [String] = []
    package var json: JSON = .null
}

extension Node {
    /// Older than this many seconds, the last backup is worth a warning.
    private static let staleSeconds = 7 * 86_400

    /// `now` is nanoseconds since 1970. `peers` are those known; `isRunning` tells whether `start` runs on this home, and `sources` how
    /// the sets of sources stand there.
    package func status(
        now: Int64, peers: [PeerReport], isRunning: Bool, sources: [SourceReport] = []
    ) throws(NodeError) -> NodeStatus {
        let catalog = keys.isWriteOnly ? SnapshotCatalog() : try catalog()
        let all = catalog.snapshots
        let usage: VaultUsage
        do { usage = try store.vault.usage() } catch { throw NodeError(.failed, "look at the vault", "\(error)") }
        let free = try? home.disk.freeBytes(home.directory)
        let last = newestFirst(all, now: now).first
        var status = NodeStatus()
        func add(_ title: String, _ text: String) { status.lines.append((title: title, text: text)) }
        add("home", home.directory.description)
        add("owner", String(keys.publisher.owner.hex.prefix(16)))
        add("device", "\(keys.identity.certificate?.name ?? "?")  \(keys.identity.key.id.hex.prefix(16))")
        add("role", configuration.role.name + (keys.isWriteOnly ? " (write-only)" : ""))
        let sets = configuration.sourceSets.map { set in
            SourceStanding(
                set, sources.first { $0.name == set.name }, all.filter { $0.device == keys.identity.key.id },
                lastScheduled: home.lastScheduled(set.name), now: now, isRunning: isRunning)
        }
        let paths = sets.flatMap(\.set.paths).map(\.description).joined(separator: " ")
        add("sources", paths.isEmpty ? "none in bakare.toml" : paths)
        if let last {
            let age = describeSeconds(Double(max(0, now - last.time)) / 1e9)
            add("last backup", "\(CalendarTime.local(last.time).minuteText), \(age) ago  \(last.id.hex.prefix(8))")
        } else {
            add("last backup", keys.isWriteOnly ? "not readable on a write-only device" : "none")
        }
        let next = sets.compactMap(\.next).min()
        add("next backup", SourceStanding.nextText(sets, now: now, isRunning: isRunning))
        // One set without times says nothing more than these lines.
        if sets.count > 1 || sets.contains(where: \.set.isContinuous) {
            for standing in sets { add("  \(standing.set.name)", standing.text) }
        }
        status.warnings += sets.flatMap(\.warnings)
        if !keys.isWriteOnly { add("snapshots", describeCount(all.count)) }
        add(
            "vault",
            "\(describeCount(usage.packs, "pack")), \(describeBytes(usage.packBytes))"
                + (usage.stubs > 0 ? "; \(describeCount(usage.stubs, "pack")) with peers only" : ""))
        if let free { add("free space", describeBytes(free)) }
        let spread = replicaCounts(now: now).spread(of: all)
        let standing = PeerStanding(peers, spread.packs, configuration, isRunning: isRunning)
        for (title, text) in standing.lines { add(title, text) }
        if let last, now - last.time > Int64(Node.staleSeconds) * 1_000_000_000 {
            status.warnings.append("the last backup is more than a week old")
        }
        if let last, last.errorCount > 0 {
            status.warnings.append("\(describeCount(last.errorCount, "file")) could not be read by the last backup")
        }
        let ahead = all.count { $0.isFromTheFuture(now) }
        if ahead > 0 {
            status.warnings.append(
                "\(describeCount(ahead, "snapshot")) with a time that is still to come: a clock was wrong. `latest` passes over"
                    + " what is so dated, and no policy removes it; name what is to go")
        }
        if !catalog.damaged.isEmpty {
            status.warnings.append("\(describeCount(catalog.damaged.count, "snapshot")) cannot be read; run `check --repair`")
        }
        let losses = try losses(of: all)
        if let warning = losses.warning { status.warnings.append(warning) }
        status.warnings += standing.warnings(hasBackups: usage.packs > 0, unprotected: spread.unprotected)
        if let free, free < 1 << 30 { status.warnings.append("less than 1 GiB is free where the vault is") }
        let isProtected = !all.isEmpty && spread.unprotected == 0
        status.json = json(
            all.count, last, losses, usage, free, standing.members(isProtected: isProtected), next, sets, status.warnings)
        return status
    }

    private func json(
        _ count: Int, _ last: SnapshotSummary?, _ losses: SnapshotLosses, _ usage: VaultUsage, _ free: Int?,
        _ standing: [(key: String, value: JSON)], _ next: Int64?, _ sets: [SourceStanding],
        _ warnings: [String]
    ) -> JSON {
        var members = pathMembers(home.directory, key: "home")
        func add(_ key: String, _ value: JSON) { members.append((key: key, value: value)) }
        add("owner", .string(keys.publisher.owner.hex))
        add("device", .string(keys.identity.key.id.hex))
        add("name", keys.identity.certificate.map { .string($0.name) } ?? .null)
        add("write_only", .bool(keys.isWriteOnly))
        let roles: [String] =
            switch configuration.role {
            case .auto, .both: ["publisher", "persister"]
            case .publisher: ["publisher"]
            case .persister: ["persister"]
            }
        add("roles", .array(roles.map { .string($0) }))
        members += pathsMembers(configuration.sourceSets.flatMap(\.paths), key: "sources")
        add("source_sets", .array(sets.map { $0.json(configuration) }))
        let counts = replicaCounts(now: currentTime())
        add("last_backup", last.map { $0.json(counts[$0], isIncomplete: losses.hurts($0)) } ?? .null)
        add("next_backup", next.map { .string(timestampText($0)) } ?? .null)
        add("snapshots", keys.isWriteOnly ? .null : .int(count))
        add("packs", .int(usage.packs))
        add("packs_with_peers_only", .int(usage.stubs))
        add("packs_lost", .int(losses.packs))
        add("snapshots_incomplete", keys.isWriteOnly ? .null : .int(losses.snapshots.count))
        add("stored_bytes", .int(usage.packBytes))
        add("free_bytes", free.map { .int($0) } ?? .null)
        members += standing
        add("warnings", .array(warnings.map { .string($0) }))
        return .object(members)
    }
}
