internal import Archive
internal import BackupFormat

/// A value as `bakare.toml` gives it.
enum ConfigurationValue {
    case bool(Bool)
    case int(Int)
    case string(String)
    case strings([String])
    /// Of a type that no key takes; with the type's name.
    case other(String)
}

/// One key of `bakare.toml`.
struct ConfigurationKey {
    /// With its table: `sources.paths`.
    let name: String
    /// What it takes, for the message that says so.
    let expects: String
    /// The value in force, as TOML.
    let show: (Configuration) -> String
    /// Takes a value over. False if it is of the wrong type or out of range.
    let set: (inout Configuration, ConfigurationValue) -> Bool

    /// The folder that `~/` stands for, put in place of it, or nil if the path is not absolute.
    private static func absolutePaths(_ value: ConfigurationValue) -> [RawPath]? {
        guard case .strings(let texts) = value else { return nil }
        let paths = texts.map { RawPath(expandingHome: $0) }
        return paths.allSatisfy { $0.bytes.first == UInt8(ascii: "/") } ? paths : nil
    }

    static func switchKey(_ name: String, _ path: WritableKeyPath<Configuration, Bool>) -> ConfigurationKey {
        ConfigurationKey(name: name, expects: "true or false", show: { "\($0[keyPath: path])" }) { configuration, value in
            guard case .bool(let flag) = value else { return false }
            configuration[keyPath: path] = flag
            return true
        }
    }

    static func count(
        _ name: String, _ path: WritableKeyPath<Configuration, Int>, in range: ClosedRange<Int>
    ) -> ConfigurationKey {
        let expects = "a whole number from \(range.lowerBound) to \(describeCount(range.upperBound))"
        return ConfigurationKey(name: name, expects: expects, show: { "\($0[keyPath: path])" }) { configuration, value in
            guard case .int(let count) = value, range.contains(count) else { return false }
            configuration[keyPath: path] = count
            return true
        }
    }

    private static func keep(_ name: String, _ path: WritableKeyPath<RetentionPolicy, Int>) -> ConfigurationKey {
        let whole: WritableKeyPath<Configuration, RetentionPolicy> = \.retention
        return count("retention.keep_\(name)", whole.appending(path: path), in: 0...1_000_000)
    }

    private static func paths(_ name: String, _ path: WritableKeyPath<Configuration, [RawPath]>) -> ConfigurationKey {
        ConfigurationKey(
            name: name, expects: "a list of absolute paths, as in [\"/home\", \"~/work\"]",
            show: { showStrings($0[keyPath: path].map(\.description)) },
            set: { configuration, value in
                guard let paths = absolutePaths(value) else { return false }
                configuration[keyPath: path] = paths
                return true
            })
    }

    static func bytes(_ value: ConfigurationValue) -> Int? {
        switch value {
        case .int(let count): count >= 0 ? count : nil
        case .string(let text): byteCount(text)
        default: nil
        }
    }

    static func showStrings(_ texts: [String]) -> String { JSON.array(texts.map { .string($0) }).text }

    /// All keys, in the order of the commented example.
    static func all() -> [ConfigurationKey] { general() + sources() + [every()] + retention() + others() + peers() }

    private static func general() -> [ConfigurationKey] {
        [
            ConfigurationKey(
                name: "memory", expects: "a size of at least 64MiB, as in \"256MiB\"",
                show: { showSize($0.memoryBytes) },
                set: { configuration, value in
                    guard let bytes = bytes(value), bytes >= Configuration.memoryBytesMin else { return false }
                    configuration.memoryBytes = bytes
                    return true
                }),
            ConfigurationKey(
                name: "host", expects: "a name of 1 to \(Limits.hostBytesMax) bytes",
                show: { $0.host.map { JSON.string($0).text } ?? "(the machine's name)" },
                set: { configuration, value in
                    guard case .string(let host) = value, (1...Limits.hostBytesMax).contains(host.utf8.count) else {
                        return false
                    }
                    configuration.host = host
                    return true
                }),
        ]
    }

    private static func sources() -> [ConfigurationKey] {
        [
            paths("sources.paths", \.sourcePaths),
            ConfigurationKey(
                name: "sources.exclude", expects: "a list of gitignore patterns, as in [\"*.o\", \"/home/*/.cache\"]",
                show: { showStrings($0.exclude.map(\.description)) },
                set: { configuration, value in
                    guard case .strings(let texts) = value else { return false }
                    let patterns = texts.map { RawPath($0) }
                    guard patterns.allSatisfy({ ExclusionRules.malformation(of: $0) == nil }) else { return false }
                    configuration.exclude = patterns
                    return true
                }),
            paths("sources.exclude_files", \.excludeFiles),
            ConfigurationKey(
                name: "sources.exclude_larger_than", expects: "a size, as in \"10GB\"",
                show: { $0.excludeLargerThanBytes.map(showSize) ?? "(no limit)" },
                set: { configuration, value in
                    guard let bytes = bytes(value) else { return false }
                    configuration.excludeLargerThanBytes = bytes
                    return true
                }),
            switchKey("sources.exclude_caches", \.excludeCaches),
            switchKey("sources.one_file_system", \.oneFileSystem),
            ConfigurationKey(
                name: "sources.tags", expects: "a list of at most \(Limits.tagsMax) tags without commas",
                show: { showStrings($0.tags) },
                set: { configuration, value in
                    guard case .strings(let tags) = value, tags.count <= Limits.tagsMax, tags.allSatisfy(isTag) else {
                        return false
                    }
                    configuration.tags = tags
                    return true
                }),
        ]
    }

    private static func every() -> ConfigurationKey {
        ConfigurationKey(
            name: "sources.every", expects: "a span in minutes, hours or days, as in \"30min\", \"4h\" or \"1d\"",
            show: { $0.everySeconds.map { JSON.string(showInterval($0)).text } ?? "(only by the command `backup`)" },
            set: { configuration, value in
                guard case .string(let text) = value, let seconds = interval(text) else { return false }
                configuration.everySeconds = seconds
                return true
            })
    }

    private static func retention() -> [ConfigurationKey] {
        [
            keep("last", \.last), keep("hourly", \.hourly), keep("daily", \.daily), keep("weekly", \.weekly),
            keep("monthly", \.monthly), keep("yearly", \.yearly),
            ConfigurationKey(
                name: "retention.keep_within", expects: "a span, as in \"30d\" or \"1y6m\"",
                show: { $0.retention.within.map { JSON.string($0.text).text } ?? "(none)" },
                set: { configuration, value in
                    guard case .string(let text) = value, let span = CalendarSpan(text) else { return false }
                    configuration.retention.within = span
                    return true
                }),
            ConfigurationKey(
                name: "retention.keep_tags", expects: "a list of tags, or of tags joined by commas that must all be there",
                show: { showStrings($0.retention.tags.map { $0.joined(separator: ",") }) },
                set: { configuration, value in
                    guard case .strings(let texts) = value else { return false }
                    let lists = texts.map(tagList)
                    guard lists.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isTag) }) else { return false }
                    configuration.retention.tags = lists
                    return true
                }),
        ]
    }

    private static func others() -> [ConfigurationKey] {
        [count("vault.trash_days", \.trashDays, in: 0...3650), switchKey("publisher.keep_memo", \.keepsMemo)]
    }
}

/// A size as it would be written: the largest binary unit that it is a whole number of.
func showSize(_ bytes: Int) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes > 0 && bytes % (1 << shift) == 0 {
        return "\"\(bytes >> shift)\(unit)\""
    }
    return "\(bytes)"
}

/// Whether `text` can be a tag: something, without commas, that fits.
package func isTag(_ text: String) -> Bool {
    !text.isEmpty && !text.contains(",") && text.utf8.count <= Limits.tagBytesMax
}

/// Tags that are joined by commas.
package func tagList(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
}
