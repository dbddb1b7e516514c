internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode

struct ListCommand: NodeCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "List a folder of a snapshot.")

    @Argument(help: "latest, latest~2, or the beginning of an id.")
    var snapshot: String

    @Argument(help: "A path as it was backed up; without it, the root.")
    var path: String?

    @Flag(name: [.short, .long], help: "With all folders below.")
    var recursive = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let snapshot = try session.snapshot(snapshot, of: node)
        let array = global.json ? JSONArrayOutput() : nil
        let progress = Progress()
        try Interruption.during(progress) { () throws(NodeError) in
            try node.list(
                snapshot.id, at: path.map { session.path($0) }, recursive: recursive, progress,
                problem: { session.warn("\($0.path): \($0.operation): \($0.reason)") },
                each: { entry in
                    if let array { array.add(entry.json) } else { session.say(line(entry)) }
                })
        }
        array?.end()
        return progress.problems.load(ordering: .relaxed) > 0 ? .withProblems : .done
    }

    private func line(_ listed: ListedEntry) -> String {
        let entry = listed.entry
        func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        let time = CalendarTime.local(entry.modified)?.minuteText ?? "@\(entry.modified.seconds)"
        let size = entry.type == .file ? describeBytes(Int(clamping: entry.size)) : "-"
        var line = "\(modeText(entry)) \(padded("\(entry.uid):\(entry.gid)", 9)) \(padded(size, 8))  \(time)  \(listed.path)"
        if entry.type == .symlink, case .inline(let target) = entry.content { line += " -> \(RawPath(bytes: target))" }
        if entry.type == .directory { line += "/" }
        if entry.marks.contains(.changedWhileRead) { line += "  (changed while read)" }
        if entry.marks.contains(.incomplete) {
            line += entry.type == .directory ? "  (not all of it is here)" : "  (unread then: last known state)"
        }
        return line
    }

    /// As `ls -l` writes type and mode.
    private func modeText(_ entry: TreeEntry) -> String {
        let type =
            switch entry.type {
            case .file: "-"
            case .directory: "d"
            case .symlink: "l"
            case .fifo: "p"
            case .socket: "s"
            case .characterDevice: "c"
            case .blockDevice: "b"
            }
        func triple(_ shift: UInt16, _ special: Bool, _ letter: String) -> String {
            let bits = entry.mode >> shift
            let execute = bits & 1 != 0
            let last = special ? (execute ? letter : letter.uppercased()) : (execute ? "x" : "-")
            return (bits & 4 != 0 ? "r" : "-") + (bits & 2 != 0 ? "w" : "-") + last
        }
        return type + triple(6, entry.mode & 0o4000 != 0, "s") + triple(3, entry.mode & 0o2000 != 0, "s")
            + triple(0, entry.mode & 0o1000 != 0, "t")
    }
}

/// A JSON array written element by element, however long it gets.
final class JSONArrayOutput {
    private var isEmpty = true

    func add(_ element: JSON) {
        Standard.output.write((isEmpty ? "[\n  " : ",\n  ") + element.text)
        isEmpty = false
    }

    func end() { Standard.output.write(isEmpty ? "[]\n" : "\n]\n") }
}
