package import BackupFormat

/// Files that are backed up together, into snapshots of their own: `[sources]`, or one of several `[[sources]]`.
package struct SourceSet: Sendable, Equatable {
    /// Letters, digits, `-` and `_`.
    package var name = SourceSet.onlyName
    /// Absolute.
    package var paths: [RawPath] = []
    package var exclude: [RawPath] = []
    /// Files of patterns; absolute.
    package var excludeFiles: [RawPath] = []
    package var excludeLargerThanBytes: Int?
    package var excludeCaches = false
    package var oneFileSystem = false
    package var tags: [String] = []
    /// On how many nodes besides this one each of their snapshots is to be; nil for what `[peers]` says.
    package var replicas: Int?

    /// Whether the running node watches them, and backs up what changes.
    package var isContinuous = false
    /// How often the running node backs them up, in seconds; nil for never.
    package var everySeconds: Int?
    /// At which minutes of the day, in the machine's time zone; ascending.
    package var atMinutes: [Int] = []

    /// What `forget` keeps of them; empty for what `[retention]` says.
    package var retention = RetentionPolicy()
    package var onBattery = true
    package var onMetered = true
    /// In hundredths: with a higher load, the running node waits.
    package var maxLoad: Int?
    /// A program and its arguments.
    package var before: [String] = []
    package var after: [String] = []
    /// How long each of the two may take.
    package var hookSeconds = 600

    package init() {}

    /// Of the one set that needs no name.
    package static let onlyName = "sources"
    package static let nameBytesMax = 32

    package static func isName(_ text: String) -> Bool {
        (1...nameBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x2d
                    || byte == 0x5f
            }
    }

    /// Whether the running node has to do with them.
    package var isScheduled: Bool { isContinuous || everySeconds != nil || !atMinutes.isEmpty }
}

extension Configuration {
    /// The sets that name something.
    package var sourceSets: [SourceSet] { sets.isEmpty ? (sources.paths.isEmpty ? [] : [sources]) : sets }

    /// What `forget` without arguments keeps of snapshots of these paths.
    package func retention(of paths: [RawPath]) -> RetentionPolicy {
        let set = sourceSets.first { Set($0.paths) == Set(paths) }
        return set.map { $0.retention.isEmpty ? retention : $0.retention } ?? retention
    }
}
