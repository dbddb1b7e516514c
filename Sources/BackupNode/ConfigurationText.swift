internal import BackupFormat

/// A text in the subset of TOML that `bakare.toml` needs, as its tables in order: the one without a name first.
///
/// Tables, lists of tables, dotted keys, strings on one line, whole numbers, booleans and lists. What else TOML has
/// (fractions, dates, inline tables, strings of several lines) is read so far as to say that it has no place here.
struct ConfigurationText {
    /// Where something begins: both count from 1; a column is a character.
    struct Place: Hashable {
        var line: Int
        var column: Int
    }

    struct Entry {
        /// Below its table: `a.b = 1` has two parts.
        var key: [String]
        var place: Place
        var value: ConfigurationValue
        var valuePlace: Place
    }

    struct Table {
        /// Empty for what stands before the first heading.
        var name: [String] = []
        /// Whether it is one of a list: `[[name]]`.
        var isElement = false
        var place = Place(line: 1, column: 1)
        var entries: [Entry] = []
    }

    /// What is no TOML, or more than the subset, and what was expected there.
    struct Mistake: Error, Equatable {
        var place: Place
        var message: String
    }

    var tables: [Table]

    /// The most parts of a key: bounds what a text of a given length costs.
    static let keyPartsMax = 8

    /// Takes any bytes. The first mistake ends it; it never traps, and takes time in proportion to their number.
    init(_ bytes: [UInt8]) throws(Mistake) {
        var reader = ConfigurationTextReader(bytes)
        var names = ConfigurationNames()
        tables = [Table()]
        try reader.requireText()
        while reader.skipToContent() {
            let place = reader.place
            if reader.take("[") {
                let isElement = reader.take("[")
                reader.skipBlanks()
                let name = try reader.key(in: "the name of a table")
                let end = isElement ? "]]" : "]"
                guard reader.take(end) else {
                    throw reader.mistake("expected \(end) after the name of the table")
                }
                try names.open(name, isElement: isElement, at: place)
                tables.append(Table(name: name, isElement: isElement, place: place))
            } else {
                let key = try reader.key(in: "a key")
                guard reader.take("=") else {
                    throw reader.mistake("expected = after the key \(shownName(key.joined(separator: ".")))")
                }
                reader.skipBlanks()
                let valuePlace = reader.place
                let value = try reader.value()
                try names.set(key, at: place)
                tables[tables.count - 1].entries.append(Entry(key: key, place: place, value: value, valuePlace: valuePlace))
            }
            try reader.endLine()
        }
    }
}

/// A name or value of a configuration for a message: safe to show on a terminal, and not longer than a line.
func shownName(_ text: String) -> String {
    let text = RawPath(String(text.prefix(200))).description
    return text.count > 60 ? text.prefix(57) + "..." : text
}

/// Which names a text has given so far, so that none is given twice or in two senses, as TOML has it.
private struct ConfigurationNames {
    private enum Sense {
        case value
        /// A heading names it, or only tables in it so far.
        case table, implicitTable
        /// Made by the dots of a key.
        case dottedTable
        /// `[[name]]`, so many times.
        case list(Int)
    }

    private var senses: [[String]: (sense: Sense, place: ConfigurationText.Place)] = [:]
    /// The table that is open, each list in it with the number of its element.
    private var table: [String] = []

    mutating func open(_ name: [String], isElement: Bool, at place: ConfigurationText.Place) throws(ConfigurationText.Mistake) {
        table = []
        for part in name.dropLast() {
            table.append(part)
            switch senses[table]?.sense {
            case nil: senses[table] = (.implicitTable, place)
            case .value: throw clash(name, table, place)
            case .list(let count): table.append("\(count)")
            case .table, .implicitTable, .dottedTable: break
            }
        }
        table += name.suffix(1)
        switch (senses[table]?.sense, isElement) {
        case (nil, false), (.implicitTable, false): senses[table] = (.table, place)
        case (nil, true): senses[table] = (.list(1), place)
        case (.list(let count), true): senses[table] = (.list(count + 1), place)
        default: throw clash(name, table, place)
        }
        if case .list(let count) = senses[table]?.sense { table.append("\(count)") }
    }

    mutating func set(_ key: [String], at place: ConfigurationText.Place) throws(ConfigurationText.Mistake) {
        var path = table
        for part in key.dropLast() {
            path.append(part)
            switch senses[path]?.sense {
            case nil: senses[path] = (.dottedTable, place)
            case .dottedTable: break
            default: throw clash(key, path, place)
            }
        }
        path += key.suffix(1)
        guard senses[path] == nil else { throw clash(key, path, place) }
        senses[path] = (.value, place)
    }

    /// `path` was given before, in a sense that `name` does not go with.
    private func clash(
        _ name: [String], _ path: [String], _ place: ConfigurationText.Place
    ) -> ConfigurationText.Mistake {
        let before = senses[path].map { " (line \($0.place.line))" } ?? ""
        return ConfigurationText.Mistake(
            place: place, message: "\(shownName(name.joined(separator: "."))) stands twice, or as two different things\(before)")
    }
}
