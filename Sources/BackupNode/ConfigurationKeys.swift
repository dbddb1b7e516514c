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

    static func paths(_ name: String, _ path: WritableKeyPath<Configuration, [RawPath]>) -> ConfigurationKey {
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
    static func all() -> [ConfigurationKey] { general() + sources() + retention("retention", \.retention) + others() + peers() }

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
