/// Rows of text in aligned columns. The last column is never padded or cut.
struct Table {
    enum Alignment {
        case left
        case right
    }

    private let alignments: [Alignment]
    private var rows: [[String]] = []

    init(_ columns: [(title: String, alignment: Alignment)]) {
        alignments = columns.map(\.alignment)
        rows = [columns.map(\.title)]
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    /// The lines, the heading first.
    func lines() -> [String] {
        let widths = alignments.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                if column > 0 { line += "  " }
                let padding = String(repeating: " ", count: widths[column] - text.count)
                switch alignments[column] {
                case .right: line += padding + text
                case .left: line += column == row.count - 1 ? text : text + padding
                }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
