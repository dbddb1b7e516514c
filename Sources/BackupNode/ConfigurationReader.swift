package import BackupFormat
internal import TOMLKit

extension Configuration {
    /// The names of all keys, with their tables.
    package static var keyNames: [String] { ConfigurationKey.all().map(\.name) }

    /// Largest `bakare.toml` that is read.
    static let fileBytesMax = 1 << 20

    /// Takes over what the text of a `bakare.toml` says. All that is wrong with it is told at once; then nothing is taken over.
    ///
    /// `file` is how messages name it.
    package mutating func apply(_ text: [UInt8], file: RawPath) -> [ConfigurationProblem] {
        func problem(_ line: Int, _ message: String) -> ConfigurationProblem {
            ConfigurationProblem(file: file, line: line, message: message)
        }
        guard text.count <= Configuration.fileBytesMax else { return [problem(0, "larger than 1 MiB")] }
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            if line.contains(0) { return [problem(index + 1, "holds a NUL byte")] }
            if String(validating: line, as: UTF8.self) == nil { return [problem(index + 1, "is not UTF-8")] }
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: String(decoding: text, as: UTF8.self))
        } catch let error as TOMLParseError {
            return [problem(error.source.begin.line, error.description)]
        } catch {
            return [problem(0, "\(error)")]
        }
        let places = ConfigurationPlaces(lines.map { String(decoding: $0, as: UTF8.self) })
        let keys = Dictionary(uniqueKeysWithValues: ConfigurationKey.all().map { ($0.name, $0) })
        let sections = Set(keys.keys.compactMap { name in name.split(separator: ".").dropLast().first.map(String.init) })
        var changed = self
        var problems: [ConfigurationProblem] = []
        for (name, value) in values(table, sections: sections) {
            let line = places.line(of: name)
            guard let key = keys[name] else {
                problems.append(problem(line, unknownKey(name, isTable: value == nil, among: keys.keys.sorted())))
                continue
            }
            guard let value else {
                problems.append(problem(line, "\(name) takes \(key.expects), not a table"))
                continue
            }
            if key.set(&changed, value) {
                changed.origins[name] = .file(file, line: line)
            } else {
                problems.append(problem(line, "\(name) takes \(key.expects), not \(describe(value))"))
            }
        }
        if problems.isEmpty { self = changed }
        return problems.sorted { ($0.line, $0.message) < ($1.line, $1.message) }
    }
}

/// The values of a document by name, in byte order; nil where a table stands that is no section.
private func values(_ table: TOMLTable, sections: Set<String>) -> [(String, ConfigurationValue?)] {
    var found: [(String, ConfigurationValue?)] = []
    for name in table.keys.sorted() {
        guard let value = table[name] else { continue }
        if let inner = value.table {
            guard sections.contains(name) else {
                found.append((name, nil))
                continue
            }
            for key in inner.keys.sorted() {
                guard let value = inner[key] else { continue }
                found.append(("\(name).\(key)", value.table == nil ? convert(value) : nil))
            }
        } else {
            found.append((name, convert(value)))
        }
    }
    return found
}

private func convert(_ value: any TOMLValueConvertible) -> ConfigurationValue {
    switch value.type {
    case .bool: return value.bool.map { .bool($0) } ?? .other("a boolean")
    case .int: return value.int.map { .int($0) } ?? .other("an integer")
    case .string: return value.string.map { .string($0) } ?? .other("a string")
    case .array:
        guard let array = value.array else { return .other("a list") }
        var texts: [String] = []
        for index in 0..<array.count {
            guard let text = array[index].string else { return .other("a list of other things than strings") }
            texts.append(text)
        }
        return .strings(texts)
    case .double: return .other("a fraction")
    default: return .other("a \(value.type)")
    }
}

private func describe(_ value: ConfigurationValue) -> String {
    switch value {
    case .bool(let flag): "\(flag)"
    case .int(let count): "\(count)"
    case .string(let text): JSON.string(text).text
    case .strings(let texts): JSON.array(texts.map { .string($0) }).text
    case .other(let name): name
    }
}

private func unknownKey(_ name: String, isTable: Bool, among known: [String]) -> String {
    let what = isTable ? "unknown table [\(name)]" : "unknown key \(name)"
    let leaf = name.split(separator: ".").last.map(String.init) ?? name
    if let sibling = known.first(where: { $0 != name && $0.split(separator: ".").last.map(String.init) == leaf }) {
        return "\(what); did you mean \(sibling)?"
    }
    let candidates =
        isTable ? Set(known.compactMap { $0.split(separator: ".").dropLast().first.map(String.init) }).sorted() : known
    let nearest = candidates.min { (editDistance($0, name), $0) < (editDistance($1, name), $1) }
    guard let nearest, editDistance(nearest, name) <= max(3, name.count / 2) else { return what }
    return isTable ? "\(what); did you mean [\(nearest)]?" : "\(what); did you mean \(nearest)?"
}

/// Levenshtein's distance, in bytes.
package func editDistance(_ a: String, _ b: String) -> Int {
    let b = Array(b.utf8)
    var row = Array(0...b.count)
    for (i, x) in a.utf8.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let above = row[j + 1]
            row[j + 1] = min(row[j] + 1, above + 1, diagonal + (x == y ? 0 : 1))
            diagonal = above
        }
    }
    return row[b.count]
}

/// On which line of a document each key stands, which the parser does not tell.
///
/// Looks at the lines alone: in a string of many lines it may be deceived, and then a message names the wrong line.
private struct ConfigurationPlaces {
    private var lines: [String: Int] = [:]

    init(_ text: [String]) {
        var table = ""
        for (index, line) in text.enumerated() {
            let line = line.drop { $0 == " " || $0 == "\t" }
            if line.first == "[" {
                table = Self.name(line.drop { $0 == "[" }.prefix { $0 != "]" && $0 != "#" })
                add(table, index + 1)
            } else if line.first != "#", let equals = line.firstIndex(of: "=") {
                let key = Self.name(line[..<equals])
                add(table.isEmpty ? key : "\(table).\(key)", index + 1)
            }
        }
    }

    private mutating func add(_ name: String, _ line: Int) {
        if lines[name] == nil { lines[name] = line }
    }

    /// Without blanks and quotes.
    private static func name(_ text: Substring) -> String { text.filter { !" \t\r\"'".contains($0) } }

    /// The line of the key, or else of the table or key around it, or 0.
    func line(of name: String) -> Int {
        if let line = lines[name] { return line }
        guard let dot = name.lastIndex(of: ".") else { return 0 }
        return line(of: String(name[..<dot]))
    }
}
