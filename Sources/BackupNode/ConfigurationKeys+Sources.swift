internal import Archive
internal import BackupFormat

extension ConfigurationKey {
    /// What `[sources]` and each of `[[sources]]` may have.
    static func sources() -> [ConfigurationKey] {
        [
            ConfigurationKey(
                name: "sources.name", expects: "a name of 1 to \(SourceSet.nameBytesMax) letters, digits, - and _",
                show: { JSON.string($0.sources.name).text },
                set: { configuration, value in
                    guard case .string(let name) = value, SourceSet.isName(name) else { return false }
                    configuration.sources.name = name
                    return true
                }),
            paths("sources.paths", \.sources.paths),
            ConfigurationKey(
                name: "sources.exclude", expects: "a list of gitignore patterns, as in [\"*.o\", \"/home/*/.cache\"]",
                show: { showStrings($0.sources.exclude.map(\.description)) },
                set: { configuration, value in
                    guard case .strings(let texts) = value else { return false }
                    let patterns = texts.map { RawPath($0) }
                    guard patterns.allSatisfy({ ExclusionRules.malformation(of: $0) == nil }) else { return false }
                    configuration.sources.exclude = patterns
                    return true
                }),
            paths("sources.exclude_files", \.sources.excludeFiles),
            ConfigurationKey(
                name: "sources.exclude_larger_than", expects: "a size, as in \"10GB\"",
                show: { $0.sources.excludeLargerThanBytes.map(showSize) ?? "(no limit)" },
                set: { configuration, value in
                    guard let bytes = bytes(value) else { return false }
                    configuration.sources.excludeLargerThanBytes = bytes
                    return true
                }),
            switchKey("sources.exclude_caches", \.sources.excludeCaches),
            switchKey("sources.one_file_system", \.sources.oneFileSystem),
            ConfigurationKey(
                name: "sources.tags", expects: "a list of at most \(Limits.tagsMax) tags without commas",
                show: { showStrings($0.sources.tags) },
                set: { configuration, value in
                    guard case .strings(let tags) = value, tags.count <= Limits.tagsMax, tags.allSatisfy(isTag) else {
                        return false
                    }
                    configuration.sources.tags = tags
                    return true
                }),
            ConfigurationKey(
                name: "sources.replicas",
                expects:
                    "a whole number from \(Configuration.replicasRange.lowerBound) to \(Configuration.replicasRange.upperBound)",
                show: { $0.sources.replicas.map { "\($0)" } ?? "(as peers.replicas)" },
                set: { configuration, value in
                    guard case .int(let count) = value, Configuration.replicasRange.contains(count) else { return false }
                    configuration.sources.replicas = count
                    return true
                }),
        ] + times() + hooks() + retention("sources", \.sources.retention)
    }

    private static func times() -> [ConfigurationKey] {
        [
            ConfigurationKey(
                name: "sources.every",
                expects: "\"continuous\", or a span in minutes, hours or days, as in \"30min\", \"4h\" or \"1d\"",
                show: { configuration in
                    if configuration.sources.isContinuous { return "\"continuous\"" }
                    return configuration.sources.everySeconds.map { JSON.string(showInterval($0)).text }
                        ?? "(only by the command `backup`)"
                },
                set: { configuration, value in
                    guard case .string(let text) = value else { return false }
                    configuration.sources.isContinuous = text == "continuous"
                    configuration.sources.everySeconds = interval(text)
                    return configuration.sources.isContinuous || configuration.sources.everySeconds != nil
                }),
            ConfigurationKey(
                name: "sources.at", expects: "a list of times of day, as in [\"12:30\", \"22:00\"]",
                show: { showStrings($0.sources.atMinutes.map(showMinute)) },
                set: { configuration, value in
                    guard case .strings(let texts) = value else { return false }
                    let minutes = texts.compactMap(minuteOfDay)
                    guard minutes.count == texts.count, minutes.count <= 1440 else { return false }
                    configuration.sources.atMinutes = Set(minutes).sorted()
                    return true
                }),
            switchKey("sources.on_battery", \.sources.onBattery), switchKey("sources.on_metered", \.sources.onMetered),
            ConfigurationKey(
                name: "sources.max_load", expects: "a load above 0, as in 4 or \"1.5\"",
                show: { $0.sources.maxLoad.map { showLoad($0) } ?? "(no limit)" },
                set: { configuration, value in
                    let load: Int?
                    switch value {
                    case .int(let whole): load = (1...10_000).contains(whole) ? whole * 100 : nil
                    case .string(let text): load = hundredths(text)
                    default: load = nil
                    }
                    guard let load else { return false }
                    configuration.sources.maxLoad = load
                    return true
                }),
        ]
    }

    private static func hooks() -> [ConfigurationKey] {
        func command(_ name: String, _ path: WritableKeyPath<SourceSet, [String]>) -> ConfigurationKey {
            ConfigurationKey(
                name: "sources.\(name)", expects: "a program and its arguments, as in [\"/usr/local/bin/dump\", \"--all\"]",
                show: { showStrings($0.sources[keyPath: path]) },
                set: { configuration, value in
                    guard case .strings(let words) = value, words.first != "", words.count <= 1000 else { return false }
                    configuration.sources[keyPath: path] = words
                    return true
                })
        }
        return [
            command("before", \.before), command("after", \.after),
            ConfigurationKey(
                name: "sources.hook_timeout", expects: "a span in minutes, hours or days, as in \"10min\"",
                show: { JSON.string(showInterval($0.sources.hookSeconds)).text },
                set: { configuration, value in
                    guard case .string(let text) = value, let seconds = interval(text) else { return false }
                    configuration.sources.hookSeconds = seconds
                    return true
                }),
        ]
    }

    /// What to keep, in the table of that name.
    static func retention(_ table: String, _ policy: WritableKeyPath<Configuration, RetentionPolicy>) -> [ConfigurationKey] {
        let counts: [(String, WritableKeyPath<RetentionPolicy, Int>)] = [
            ("last", \.last), ("hourly", \.hourly), ("daily", \.daily), ("weekly", \.weekly), ("monthly", \.monthly),
            ("yearly", \.yearly),
        ]
        return counts.map { name, path in count("\(table).keep_\(name)", policy.appending(path: path), in: 0...1_000_000) } + [
            ConfigurationKey(
                name: "\(table).keep_within", expects: "a span, as in \"30d\" or \"1y6m\"",
                show: { $0[keyPath: policy].within.map { JSON.string($0.text).text } ?? "(none)" },
                set: { configuration, value in
                    guard case .string(let text) = value, let span = CalendarSpan(text) else { return false }
                    configuration[keyPath: policy].within = span
                    return true
                }),
            ConfigurationKey(
                name: "\(table).keep_tags", expects: "a list of tags, or of tags joined by commas that must all be there",
                show: { showStrings($0[keyPath: policy].tags.map { $0.joined(separator: ",") }) },
                set: { configuration, value in
                    guard case .strings(let texts) = value else { return false }
                    let lists = texts.map(tagList)
                    guard lists.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isTag) }) else { return false }
                    configuration[keyPath: policy].tags = lists
                    return true
                }),
        ]
    }
}

/// Hundredths of `1.5`; nil for what is no number from 0.01 to 10,000.
private func hundredths(_ text: String) -> Int? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), text.utf8.allSatisfy({ $0 == 0x2e || (0x30...0x39).contains($0) }),
        let whole = Int(parts[0]), whole <= 10_000
    else { return nil }
    var fraction = 0
    if parts.count == 2 {
        guard (1...2).contains(parts[1].count), let digits = Int(parts[1]) else { return nil }
        fraction = parts[1].count == 1 ? digits * 10 : digits
    }
    let load = whole * 100 + fraction
    return load > 0 ? load : nil
}

private func showLoad(_ hundredths: Int) -> String {
    let (whole, fraction) = hundredths.quotientAndRemainder(dividingBy: 100)
    if fraction == 0 { return "\(whole)" }
    return "\"\(whole).\(fraction < 10 ? "0" : "")\(fraction)\""
}
