internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Cryptography
internal import HostFiles
internal import NameIndex
internal import Synchronization

struct FindCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        // Parsed alone, it does not look whether a completion script is asked for.
        commandName: "find", _superCommandName: "bakare-node", abstract: "Find files by parts of their names, in all snapshots.",
        discussion: """
            The letters of each word must be in the path, in this order; words may come in
            any order. What matches best comes first: beginnings of words, humps of
            camelCase, letters side by side, and the name rather than its folders. A capital
            makes its word match case; accents do not matter. Where nothing holds the words
            as they are, one typo in a word of 4 letters or more is forgiven. A word behind
            an apostrophe, "'like this", must be there as it is, without gaps.

            Deleted files are found too. IN is the number of snapshots that hold the path,
            and LATEST the newest of them, of which size and time are shown.

            Without words, on a terminal: results as you type, and Enter restores.
            """)

    @Argument(help: "What you remember of the path.")
    var query: [String] = []

    @Option(help: ArgumentHelp("Only in this snapshot (may be given again).", valueName: "snapshot"))
    var snapshot: [String] = []

    @Option(name: [.short, .long], help: ArgumentHelp("At most so many results.", valueName: "n"))
    var limit = 50

    @Option(help: ArgumentHelp("Only this folder and what is below it, as it was backed up.", valueName: "folder"))
    var path: String?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Only f (files), d (folders), l (links), p, s, c or b; several as in fd or \"f,l\".", valueName: "kinds"))
    var type: String?

    @Option(help: ArgumentHelp("Changed since: 7d, 1y6m, 12h, 2026-11-22 or \"2026-11-22 14:30\".", valueName: "time"))
    var newer: String?

    @Option(help: ArgumentHelp("Changed before.", valueName: "time"))
    var older: String?

    @Option(help: ArgumentHelp("Of this size or more: 10MB.", valueName: "size"))
    var larger: String?

    @Option(help: ArgumentHelp("Of this size or less.", valueName: "size"))
    var smaller: String?

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let text = Array(query.map(rawBytes).joined(separator: [0x20]))
        let isInteractive = query.isEmpty && !global.json && Standard.isTerminal(0) && Standard.isTerminal(1)
        let parsed = NameQuery(text)
        guard parsed != nil || isInteractive else { throw Self.refuse(text) }
        guard (1...NameSearch.limitMax).contains(limit) else {
            throw NodeError(.usage, "find", "--limit takes 1 to \(describeCount(NameSearch.limitMax))")
        }
        var filter = try filter(session)
        // Meanwhile the home is opened.
        let readying = WorkerThread(name: "find") { readyLongMessages() }
        defer { readying?.join() }
        let node = try session.node(writing: false)
        if !snapshot.isEmpty {
            let all = try session.snapshots(of: node)
            filter.snapshots = Set(
                try snapshot.map { name throws(NodeError) in try resolveSnapshot(name, in: all, now: currentTime()).id })
        }
        guard let parsed else { return try browse(session, node, filter) }
        var problems = 0
        let matches = try session.run("reading names") { progress, report throws(NodeError) in
            let matches = try node.find(
                FindRequest(query: parsed, filter: filter, limit: limit), now: currentTime(), progress, problem: report)
            problems = progress.problems.load(ordering: .relaxed)
            return matches
        }
        if global.json {
            let array = JSONArrayOutput()
            for match in matches { array.add(match.json) }
            array.end()
        } else {
            show(matches, session)
        }
        return problems > 0 ? .withProblems : .done
    }

    /// Results as you type; what is chosen is brought back.
    private func browse(_ session: Session, _ node: Node, _ filter: NameFilter) throws -> ExitStatus {
        let search = try session.run("reading names") { progress, report throws(NodeError) in
            try node.nameSearch(now: currentTime(), progress, problem: report)
        }
        guard !search.snapshots.isEmpty else {
            throw NodeError(
                .failed, "find",
                "there are no snapshots yet; make one with `backup`, or bring those of a lost machine back with `recover`")
        }
        let browser = FindBrowser(session, node, search, filter, limit: limit, try session.snapshots(of: node))
        let progress = Progress()
        let choice = try Interruption.during(progress) { () throws(NodeError) in try browser.choose(progress) }
        guard let choice, let snapshot = choice.match.snapshots.last else { return progress.isStopping ? .interrupted : .done }
        session.tell("restoring \(choice.match.path) of snapshot \(snapshot.hex.prefix(8)) to \(RawPath(bytes: choice.target))")
        let restore = try RestoreCommand.parse([
            snapshot.hex, escapedText(choice.match.path.bytes), "--target", escapedText(choice.target), "--overwrite", "never",
        ])
        return try restore.execute(session)
    }

    static func refuse(_ text: [UInt8]) -> NodeError {
        if text.count > NameQuery.bytesMax {
            return NodeError(.usage, "find", "at most \(NameQuery.bytesMax) bytes can be looked for")
        }
        return NodeError(.usage, "find", "say what to look for, a few letters of the path: `find report pdf`")
    }

    private func filter(_ session: Session) throws(NodeError) -> NameFilter {
        var filter = NameFilter()
        filter.folder = path.map { session.path($0) }
        filter.types = try type.map { text throws(NodeError) in try types(text) }
        filter.newer = try newer.map { text throws(NodeError) in try time(text, "--newer") }
        filter.older = try older.map { text throws(NodeError) in try time(text, "--older") }
        filter.sizeMin = try larger.map { text throws(NodeError) in try size(text, "--larger") }
        filter.sizeMax = try smaller.map { text throws(NodeError) in try size(text, "--smaller") }
        return filter
    }

    private func types(_ text: String) throws(NodeError) -> Set<EntryType> {
        let letters: [Character: EntryType] = [
            "f": .file, "d": .directory, "l": .symlink, "p": .fifo, "s": .socket, "c": .characterDevice, "b": .blockDevice,
        ]
        var types: Set<EntryType> = []
        for letter in text where letter != "," {
            guard let type = letters[letter] else {
                throw NodeError(.usage, "find", "--type takes f, d, l, p, s, c and b, as in --type f,l")
            }
            types.insert(type)
        }
        return types
    }

    private func time(_ text: String, _ option: String) throws(NodeError) -> Timestamp {
        guard let time = moment(text, now: currentTime()) else {
            throw NodeError(
                .usage, "find", "\(option) takes a span as 7d, 1y6m or 12h, or a date as 2026-11-22 or \"2026-11-22 14:30\"")
        }
        return time
    }

    private func size(_ text: String, _ option: String) throws(NodeError) -> UInt64 {
        guard let bytes = byteCount(text) else {
            throw NodeError(.usage, "find", "\(option) takes a size as 500kB, 10MB or 1.5GiB")
        }
        return UInt64(bytes)
    }

    private func show(_ matches: [NameMatch], _ session: Session) {
        guard !matches.isEmpty else { return session.tell("nothing matches") }
        var table = Table([("SIZE", .right), ("CHANGED", .left), ("IN", .right), ("LATEST", .left), ("PATH", .left)])
        for match in matches {
            table.add([
                match.state.type == .file ? describeBytes(Int(clamping: match.state.size)) : "-",
                CalendarTime.local(match.state.modified)?.minuteText ?? "@\(match.state.modified.seconds)",
                describeCount(match.snapshots.count), match.snapshots.last.map { String($0.hex.prefix(8)) } ?? "",
                "\(match.path)\(match.state.type == .directory ? "/" : "")\(match.isDeleted ? "  (deleted)" : "")",
            ])
        }
        for line in table.lines() { session.say(line) }
    }
}
