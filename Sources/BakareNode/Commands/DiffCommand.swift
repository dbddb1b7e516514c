internal import Archive
internal import ArgumentParser
internal import BackupNode
internal import HostFiles

struct DiffCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "What changed from one snapshot to another.",
        discussion: "+ added, - removed, M content changed, U only metadata changed, T another type.")

    @Argument(help: "The earlier snapshot.")
    var a: String

    @Argument(help: "The later snapshot.")
    var b: String

    @Argument(help: "Only at or below this path.")
    var path: String?

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let snapshots = try session.snapshots(of: node)
        let before = try resolveSnapshot(a, in: snapshots, now: currentTime())
        let after = try resolveSnapshot(b, in: snapshots, now: currentTime())
        let array = global.json ? JSONArrayOutput() : nil
        let progress = Progress()
        var counts: [Difference.Kind: Int] = [:]
        let isColoured = Standard.isColoured(1)
        try Interruption.during(progress) { () throws(NodeError) in
            try node.diff(
                before.id, after.id, at: path.map { session.path($0) }, progress,
                problem: { session.warn("\($0.path): \($0.operation): \($0.reason)") },
                each: { difference in
                    counts[difference.kind, default: 0] += 1
                    if let array {
                        array.add(difference.json)
                    } else {
                        let (sign, colour) = mark(difference.kind)
                        let line = "\(sign)  \(difference.path)\(sizes(difference))"
                        session.say(isColoured ? "\u{1b}[\(colour)m\(line)\u{1b}[0m" : line)
                    }
                })
        }
        array?.end()
        func count(_ kind: Difference.Kind) -> String { describeCount(counts[kind] ?? 0) }
        session.tell(
            "\(count(.added)) added, \(count(.removed)) removed, \(count(.content)) changed, "
                + "\(count(.metadata)) metadata only, \(count(.type)) of another type")
        return progress.problems.load(ordering: .relaxed) > 0 ? .withProblems : .done
    }

    private func mark(_ kind: Difference.Kind) -> (sign: String, colour: Int) {
        switch kind {
        case .added: ("+", 32)
        case .removed: ("-", 31)
        case .content: ("M", 33)
        case .metadata: ("U", 36)
        case .type: ("T", 35)
        }
    }

    private func sizes(_ difference: Difference) -> String {
        guard difference.sizeBefore != difference.sizeAfter, difference.kind == .content else { return "" }
        return "  (\(describeBytes(difference.sizeBefore)) -> \(describeBytes(difference.sizeAfter)))"
    }
}
