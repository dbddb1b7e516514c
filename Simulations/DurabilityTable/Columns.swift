internal import Glibc

/// A number as C's printf gives it.
func formatted(_ format: String, _ value: Double) -> String {
    var text = [CChar](repeating: 0, count: 400)
    let length = withVaList([value]) { vsnprintf(&text, text.count, format, $0) }
    return String(decoding: text.prefix(max(0, Int(length))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A chance in three digits; 0 as such.
func chance(_ value: Double) -> String { value == 0 ? "0" : formatted("%.2e", value) }

/// A Markdown table, with its columns aligned.
func printTable(_ header: [String], _ rows: [[String]]) {
    let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
        let padded = zip(cells, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
        return "| " + padded.joined(separator: " | ") + " |"
    }
    print(line(header))
    print("|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|")
    for row in rows { print(line(row)) }
    print()
}
