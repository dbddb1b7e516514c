internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import HostFiles

struct ForgetCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget", abstract: "Remove snapshots, by name or by what to keep.",
        discussion: """
            With neither snapshots nor --keep, what [retention] in bakare.toml says. Each
            machine and set of paths is counted by itself: --keep-daily 7 keeps the last
            snapshot of each of the last 7 days that have one. Space is freed by `sweep`.
            """)

    @Argument(help: "latest, latest~2, or the beginning of an id.")
    var snapshot: [String] = []

    @Option(help: ArgumentHelp("The last so many.", valueName: "n"), transform: snapshotCount) var keepLast: Int?
    @Option(help: ArgumentHelp("Of so many hours.", valueName: "n"), transform: snapshotCount) var keepHourly: Int?
    @Option(help: ArgumentHelp("Of so many days.", valueName: "n"), transform: snapshotCount) var keepDaily: Int?
    @Option(help: ArgumentHelp("Of so many weeks.", valueName: "n"), transform: snapshotCount) var keepWeekly: Int?
    @Option(help: ArgumentHelp("Of so many months.", valueName: "n"), transform: snapshotCount) var keepMonthly: Int?
    @Option(help: ArgumentHelp("Of so many years.", valueName: "n"), transform: snapshotCount) var keepYearly: Int?

    @Option(help: ArgumentHelp("All at most this much older than the newest: 30d, 1y6m.", valueName: "span"))
    var keepWithin: CalendarSpan?

    @Option(help: ArgumentHelp("All with this tag (joined by commas: with all of them).", valueName: "tag"))
    var keepTag: [String] = []

    @Flag(help: "Of what a watch made: all of the last hour, then one an hour for a day, one a day for 30 days.")
    var thin = false

    @Flag(help: "Only say what would be removed.")
    var dryRun = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let configuration = try session.configuration(writing: true)
        let given = try policy()
        guard given.isEmpty || snapshot.isEmpty else {
            throw NodeError(.usage, "forget", "name snapshots, or say what to keep, not both")
        }
        guard !thin || given.isEmpty && snapshot.isEmpty else {
            throw NodeError(.usage, "forget", "--thin stands alone: it has a policy of its own")
        }
        let node = try Node(session.home, try session.keys(), configuration)
        if !snapshot.isEmpty { return try forgetNamed(node, session) }
        var all = try session.snapshots(of: node)
        if thin {
            all.removeAll { !$0.tags.contains(SnapshotContents.watchedTag) || $0.device != node.keys.identity.key.id }
            let groups = applyRetention(.ofWatched, to: all, now: currentTime(), calendar: CalendarTime.local)
            return try remove(groups, node, session)
        }
        let ownPolicies = configuration.sourceSets.contains { !$0.retention.isEmpty }
        guard !given.isEmpty || !configuration.retention.isEmpty || ownPolicies else {
            throw NodeError(
                .usage, "forget",
                "name snapshots, or say what to keep with --keep-daily 7 and the like, or under [retention] in \(session.home.configurationFile)"
            )
        }
        let policy = { (paths: [RawPath]) in given.isEmpty ? configuration.retention(of: paths) : given }
        let groups = applyRetention(policy, to: all, now: currentTime(), calendar: CalendarTime.local)
        try requireSomethingKept(groups)
        return try remove(groups, node, session)
    }

    private func remove(_ groups: [RetentionGroup], _ node: Node, _ session: Session) throws(NodeError) -> ExitStatus {
        let removed = groups.flatMap(\.remove)
        if !dryRun, !removed.isEmpty {
            try node.forget(removed.map(\.id))
            session.tellRunningNode()
        }
        session.answer(.object(["dry_run": .bool(dryRun), "groups": .array(groups.map(\.json)), "removed": .int(removed.count)]))
        let namesDevices = Set(groups.map(\.device)).count > 1
        for group in groups { show(group, namesDevices, session) }
        tellRemoved(removed.count, session)
        return .done
    }

    private func forgetNamed(_ node: Node, _ session: Session) throws(NodeError) -> ExitStatus {
        let catalog = try node.catalog()
        var ids: [SnapshotID] = []
        var lines: [String] = []
        for name in snapshot {
            let damaged = damagedSnapshot(name, in: catalog)
            let found = damaged == nil ? try resolveSnapshot(name, in: catalog.snapshots, now: currentTime()) : nil
            guard let id = damaged?.id ?? found?.id, !ids.contains(id) else { continue }
            ids.append(id)
            lines.append(found.map { line("remove", $0, []) } ?? "  remove  \(id.hex.prefix(8))  (cannot be read)")
        }
        if !dryRun {
            try node.forget(ids)
            session.tellRunningNode()
        }
        session.answer(
            .object(["dry_run": .bool(dryRun), "removed": .int(ids.count), "snapshots": .array(ids.map { .string($0.hex) })]))
        for line in lines { session.tell(line) }
        tellRemoved(ids.count, session)
        return .done
    }

    private func policy() throws(NodeError) -> RetentionPolicy {
        let counts = [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly]
        var policy = RetentionPolicy()
        policy.last = keepLast ?? 0
        policy.hourly = keepHourly ?? 0
        policy.daily = keepDaily ?? 0
        policy.weekly = keepWeekly ?? 0
        policy.monthly = keepMonthly ?? 0
        policy.yearly = keepYearly ?? 0
        policy.within = keepWithin
        policy.tags = keepTag.map { tagList(readable($0)) }
        guard policy.tags.allSatisfy({ $0.allSatisfy(isTag) }) else {
            throw NodeError(.usage, "--keep-tag", "a tag is not empty")
        }
        if policy.isEmpty, counts.contains(where: { $0 != nil }) {
            throw NodeError(.usage, "forget", "that would keep nothing at all; to remove snapshots altogether, name them")
        }
        return policy
    }

    private func show(_ group: RetentionGroup, _ namesDevices: Bool, _ session: Session) {
        let device = namesDevices ? "  (device \(group.device.hex.prefix(16)))" : ""
        session.tell("\(group.host)  \(group.paths.map(\.description).joined(separator: " "))\(device)")
        for kept in group.keep { session.tell(line("keep", kept.snapshot, kept.reasons)) }
        for snapshot in group.remove { session.tell(line("remove", snapshot, [])) }
    }

    private func line(_ what: String, _ snapshot: SnapshotSummary, _ reasons: [String]) -> String {
        let why = reasons.isEmpty ? "" : "  \(reasons.joined(separator: ", "))"
        let padding = what == "keep" ? "  " : ""
        return "  \(what)\(padding)  \(snapshot.id.hex.prefix(8))  \(CalendarTime.local(snapshot.time).minuteText)\(why)"
    }

    private func tellRemoved(_ count: Int, _ session: Session) {
        session.tell(
            "\(describeCount(count, "snapshot")) \(dryRun ? "would be removed" : "removed")"
                + (count > 0 && !dryRun ? "; `sweep` frees the space" : ""))
    }
}

/// How many to keep, on the command line.
private func snapshotCount(_ argument: String) throws -> Int {
    guard let count = Int(argument), count >= 0 else {
        throw ValidationError("how many to keep is a whole number, 0 or more, as in 7")
    }
    return count
}

extension CalendarSpan: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
