package import BackupFormat

extension Configuration {
    /// The names of all keys, with their tables.
    package static var keyNames: [String] { ConfigurationKey.all().map(\.name) }

    /// Largest `bakare.toml` that is read.
    static let fileBytesMax = 1 << 20
    /// How many problems of one file are told.
    private static let problemsMax = 20

    /// Takes over what the text of a `bakare.toml` says. All that is wrong with it is told at once (but for what is no TOML:
    /// that ends it); then nothing is taken over.
    ///
    /// `file` is how messages name it.
    package mutating func apply(_ text: [UInt8], file: RawPath) -> [ConfigurationProblem] {
        guard text.count <= Configuration.fileBytesMax else {
            return [ConfigurationProblem(file: file, message: "larger than 1 MiB")]
        }
        let document: ConfigurationText
        do { document = try ConfigurationText(text) } catch {
            return [
                ConfigurationProblem(file: file, line: error.place.line, column: error.place.column, message: error.message)
            ]
        }
        let keys = Dictionary(uniqueKeysWithValues: ConfigurationKey.all().map { ($0.name, $0) })
        let known = keys.keys.sorted()
        let sections = Set(known.compactMap { $0.contains(".") ? $0.prefix { $0 != "." } : nil }.map(String.init))
        var changed = self
        var problems: [ConfigurationProblem] = []
        var untold = 0
        func add(_ place: ConfigurationText.Place, _ message: @autoclosure () -> String) {
            guard problems.count < Configuration.problemsMax else { return untold += 1 }
            problems.append(ConfigurationProblem(file: file, line: place.line, column: place.column, message: message()))
        }
        for table in document.tables {
            let section = dotted(table.name)
            let isSet = table.isElement && section == "sources"
            // What an element says goes to a configuration of its own first.
            var target = isSet ? Configuration() : changed
            if isSet { target.sources.name = "" }
            if !table.name.isEmpty, !isSet, table.isElement || !sections.contains(section) {
                add(table.place, wrongTable(table, keys: keys, sections: sections))
                continue
            }
            for entry in table.entries {
                let name = dotted(table.name + entry.key)
                guard let key = keys[name] else {
                    add(entry.place, unknownKey(name, keys: keys, sections: sections))
                    continue
                }
                if key.set(&target, entry.value) {
                    target.origins[name] = .file(file, line: entry.place.line)
                } else {
                    add(entry.valuePlace, "\(name) takes \(key.expects), not \(describe(entry.value))")
                }
            }
            guard isSet else {
                changed = target
                continue
            }
            if let fault = changed.add(target) { add(table.place, fault) }
        }
        if problems.isEmpty { self = changed }
        if untold > 0 {
            problems.append(ConfigurationProblem(file: file, message: "and \(describeCount(untold, "more problem"))"))
        }
        return problems
    }
}

extension Configuration {
    static let setsMax = 64

    /// Takes over one of `[[sources]]`; what is wrong with it, if anything is.
    fileprivate mutating func add(_ element: Configuration) -> String? {
        let set = element.sources
        guard !set.name.isEmpty else { return "each of [[sources]] needs a name of its own, as in name = \"documents\"" }
        guard !sets.contains(where: { $0.name == set.name }) else { return "another of [[sources]] has the name \(set.name)" }
        guard sets.count < Configuration.setsMax else { return "more than \(Configuration.setsMax) of [[sources]]" }
        sets.append(set)
        for (name, origin) in element.origins { origins["sources.\(set.name)." + name.dropFirst("sources.".count)] = origin }
        return nil
    }
}

private func describe(_ value: ConfigurationValue) -> String {
    switch value {
    case .bool(let flag): "\(flag)"
    case .int(let count): "\(count)"
    case .string(let text): "\"\(shownName(text))\""
    case .strings(let texts):
        "[" + texts.prefix(3).map { "\"\(shownName($0))\"" }.joined(separator: ", ") + (texts.count > 3 ? ", ...]" : "]")
    case .other(let name): name
    }
}

/// A key as the list of keys names it. A part with a dot in it is none of its.
private func dotted(_ parts: [String]) -> String {
    parts.map { $0.isEmpty || $0.contains(".") ? "\"\($0)\"" : $0 }.joined(separator: ".")
}

/// What to say of a heading that is none of a section's.
private func wrongTable(_ table: ConfigurationText.Table, keys: [String: ConfigurationKey], sections: Set<String>) -> String {
    let name = dotted(table.name)
    if let key = keys[name] { return "\(name) takes \(key.expects), not a table" }
    if table.isElement, sections.contains(name) { return "[\(name)] stands once, in single brackets" }
    let what = "unknown table [\(shownName(name))]"
    return nearest(name, among: sections.sorted()).map { "\(what); did you mean [\($0)]?" } ?? what
}

private func unknownKey(_ name: String, keys: [String: ConfigurationKey], sections: Set<String>) -> String {
    let known = keys.keys.sorted()
    if sections.contains(name) { return "\(name) is a table; write [\(name)] above its keys" }
    if let dot = name.lastIndex(of: "."), let key = keys[String(name[..<dot])] {
        return "\(key.name) takes \(key.expects), not a table"
    }
    let what = "unknown key \(shownName(name))"
    func leaf(_ name: String) -> Substring { name.split(separator: ".").last ?? "" }
    let siblings = known.filter { leaf($0) == leaf(name) }
    let found = siblings.first ?? nearest(name, among: known) ?? known.first { editDistance(String(leaf($0)), name) <= 2 }
    return found.map { "\(what); did you mean \($0)?" } ?? what
}

/// The word that is likely meant by a mistyped one.
private func nearest(_ word: String, among words: [String]) -> String? {
    let distances = words.map { (editDistance($0, word), $0) }
    guard let (distance, found) = distances.min(by: <), distance <= max(3, word.count / 2) else { return nil }
    return found
}

/// Levenshtein's distance with exchanged neighbours counted as one mistake (optimal string alignment), in bytes; that of the first 200 of
/// them, so that it is never much to compute.
package func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8.prefix(200)), Array(b.utf8.prefix(200)))
    var (before, row) = ([Int](), Array(0...b.count))
    for i in a.indices {
        var next = [i + 1]
        for j in b.indices {
            var least = min(next[j] + 1, row[j + 1] + 1, row[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
            next.append(least)
        }
        (before, row) = (row, next)
    }
    return row[b.count]
}
