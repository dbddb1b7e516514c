internal import Archive
internal import BackupFormat
internal import BackupNode
internal import NameIndex

/// What the interactive `find` shows, and what keys do to it. A value: it searches nothing and writes nothing.
struct FindView {
    enum Effect: Equatable {
        case none
        case leave
        /// Bring the selected path back to this folder.
        case restore(target: [UInt8])
    }

    private(set) var query: [UInt8] = []
    private(set) var matches: [NameMatch] = []
    private(set) var selected = 0
    /// What is typed behind `restore to:`; nil while that is not asked.
    private(set) var target: [UInt8]?
    var versions: [PathVersion] = []
    /// Of this path.
    var versionsPath: RawPath?
    var isSearching = false
    /// Something to say in the last line.
    var message = ""
    private let defaultTarget: [UInt8]
    private var first = 0

    init(defaultTarget: [UInt8]) { self.defaultTarget = defaultTarget }

    var selection: NameMatch? { matches.indices.contains(selected) ? matches[selected] : nil }

    mutating func found(_ matches: [NameMatch]) {
        self.matches = matches
        selected = 0
        first = 0
        isSearching = false
    }

    /// `rows` is how many results are shown.
    mutating func handle(_ key: Key, rows: Int) -> Effect {
        message = ""
        if let target { return handle(key, target) }
        switch key {
        case .leave: return .leave
        case .enter: if selection != nil { target = defaultTarget }
        case .up: selected = max(0, selected - 1)
        case .down: selected = max(0, min(matches.count - 1, selected + 1))
        case .pageUp: selected = max(0, selected - max(1, rows))
        case .pageDown: selected = max(0, min(matches.count - 1, selected + max(1, rows)))
        default: edit(&query, key)
        }
        return .none
    }

    private mutating func handle(_ key: Key, _ text: [UInt8]) -> Effect {
        switch key {
        case .leave: target = nil
        case .enter: return text.isEmpty ? .none : .restore(target: text)
        default:
            var text = text
            edit(&text, key)
            target = text
        }
        return .none
    }

    private func edit(_ text: inout [UInt8], _ key: Key) {
        switch key {
        case .text(let more): text += more
        case .deleteAll: text = []
        case .deleteLetter:
            while let last = text.popLast(), last & 0xc0 == 0x80 {}
        case .deleteWord:
            while text.last == 0x20 { text.removeLast() }
            while let last = text.last, last != 0x20 { text.removeLast() }
        default: break
        }
    }

    // MARK: What is shown

    /// How many results, and how many versions, fit into so many rows.
    static func rows(_ rows: Int) -> (results: Int, versions: Int) {
        let versions = rows >= 16 ? min(8, rows / 4) : 0
        return (max(1, rows - 2 - (versions > 0 ? versions + 1 : 0)), versions)
    }

    /// Lines of at most `columns`, `rows` of them at most, and where the cursor stands.
    mutating func lines(columns: Int, rows: Int, isColoured: Bool) -> (lines: [String], cursor: (row: Int, column: Int)) {
        let room = FindView.rows(rows)
        if selected < first { first = selected }
        if selected >= first + room.results { first = selected - room.results + 1 }
        let count = isSearching ? "…" : query.isEmpty ? "" : describeCount(matches.count)
        let typed = tail(RawPath(bytes: query).description, columns - count.count - 4)
        let gap = String(repeating: " ", count: max(1, columns - 3 - width(typed) - count.count))
        var lines = ["> \(typed)\(gap)\(count)"]
        for index in first..<min(matches.count, first + room.results) {
            let match = matches[index]
            let mark = index == selected ? "> " : "  "
            let ending = (match.state.type == .directory ? "/" : "") + (match.isDeleted ? "  (deleted)" : "")
            let line = mark + tail(match.path.description, columns - 3 - ending.count) + ending
            lines.append(isColoured && index == selected ? "\u{1b}[7m\(line)\u{1b}[0m" : line)
        }
        while lines.count <= room.results { lines.append("") }
        if room.versions > 0 {
            lines.append(String(repeating: "-", count: max(1, columns - 1)))
            lines += versionLines(room.versions, columns)
        }
        var cursor = (row: 0, column: min(columns - 1, 2 + width(typed)))
        if let target {
            let prompt = "restore to: "
            let shown = tail(RawPath(bytes: target).description, columns - prompt.count - 1)
            lines.append(prompt + shown)
            cursor = (lines.count - 1, min(columns - 1, width(prompt + shown)))
        } else {
            let help = message.isEmpty ? "up/down choose   Enter restore   Esc leave" : message
            lines.append(head(help, columns - 1))
        }
        return (Array(lines.prefix(rows)), (min(cursor.row, rows - 1), cursor.column))
    }

    private func versionLines(_ count: Int, _ columns: Int) -> [String] {
        guard let selection else { return [String](repeating: "", count: count) }
        guard versionsPath == selection.path else { return ["…"] + [String](repeating: "", count: count - 1) }
        // The newest are what is looked for most.
        var lines = versions.suffix(count).reversed().map { version in
            let entry = version.entry
            let time = CalendarTime.local(entry.modified)?.minuteText ?? "@\(entry.modified.seconds)"
            let size = entry.type == .file ? describeBytes(Int(clamping: entry.size)) : entry.type.name
            let last = version.snapshots.last
            let snapshot = last.map { "\($0.id.hex.prefix(8)) of \(CalendarTime.local($0.time).minuteText)" } ?? ""
            return head(
                "\(time)  \(size)  in \(describeCount(version.snapshots.count, "snapshot")), last \(snapshot)", columns - 1)
        }
        while lines.count < count { lines.append("") }
        return lines
    }
}

/// Columns that the text takes on a terminal.
func width(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + width($1) } }

private func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115f, 0x2e80...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
        0x1f300...0x1faff, 0x20000...0x3fffd:
        return 2
    default: return 1
    }
}

/// The end of a text, in so many columns.
private func tail(_ text: String, _ columns: Int) -> String {
    guard width(text) > columns else { return text }
    var left = max(1, columns) - 1
    var kept: [Unicode.Scalar] = []
    for scalar in text.unicodeScalars.reversed() {
        left -= width(scalar)
        if left < 0 { break }
        kept.append(scalar)
    }
    var result = String.UnicodeScalarView(["…"])
    result.append(contentsOf: kept.reversed())
    return String(result)
}

/// The beginning of a text, in so many columns.
private func head(_ text: String, _ columns: Int) -> String {
    var left = columns
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        left -= width(scalar)
        if left < 0 { break }
        result.append(scalar)
    }
    return String(result)
}
