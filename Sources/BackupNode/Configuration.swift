package import BackupFormat

/// The values in force: defaults, changed by `bakare.toml`, changed by the environment and the command line.
package struct Configuration: Sendable {
    /// Where a value comes from.
    package enum Origin: Sendable, Equatable, CustomStringConvertible {
        case standard
        /// A line of 0 is not known.
        case file(RawPath, line: Int)
        case flag(String)
        case environment(String)

        package var description: String {
            switch self {
            case .standard: "default"
            case .file(let path, 0): "\(path)"
            case .file(let path, let line): "\(path):\(line)"
            case .flag(let name): name
            case .environment(let name): "environment: \(name)"
            }
        }
    }

    /// The smallest `memory` with which everything still works.
    package static let memoryBytesMin = 64 << 20

    package static let standardPort: UInt16 = 4747

    /// The limit on the memory of the whole process.
    package var memoryBytes = 256 << 20
    /// The name that snapshots carry; nil for the machine's own.
    package var host: String?
    /// What `backup` without paths backs up: `[sources]`, where there are no ``sets``.
    package var sources = SourceSet()
    /// `[[sources]]`, in order.
    package var sets: [SourceSet] = []
    package var retention = RetentionPolicy()
    /// How long what a sweep removes waits in the trash.
    package var trashDays = 7
    /// Whether a write-only device remembers the last state of its files, so that a backup of what did not change is quick.
    package var keepsMemo = false

    /// Where `start` listens; port 0 is any free one.
    package var listen = PeerAddress(host: "::", port: Configuration.standardPort)
    package var role = Role.auto
    /// On how many nodes besides this one each snapshot is to be.
    package var replicas = 2
    /// Kept free on the vault's disk, whatever peers may store.
    package var reserveBytes = 1 << 30
    /// The most that this node's own packs of data take here, in bytes, once enough peers have proven that they have them; nil to keep all.
    package var localCopyBytes: Int?
    /// How much more a backup stores here before it waits for peers to take it, in bytes.
    package var spoolBytes = 4 << 30
    /// Peers to dial where nothing finds them by itself.
    package var peerAddresses: [PeerAddress] = []
    /// Where others reach this node, if that is not where it listens: for invitations.
    package var advertised: [PeerAddress] = []
    package var discovers = true

    /// By the name of the key; a name that is missing has its default.
    package var origins: [String: Origin] = [:]

    package init() {}
}

/// A value of the configuration that is wrong.
package struct ConfigurationProblem: Sendable, Equatable, CustomStringConvertible {
    package var file: RawPath
    /// Of the place where the mistake is, counted from 1; both 0 if it is the file as a whole.
    package var line = 0
    package var column = 0
    package var message: String
    package var description: String { line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)" }
}

extension Configuration {
    /// What a file that cannot be used says in one error.
    package static func error(_ problems: [ConfigurationProblem]) -> NodeError {
        NodeError(
            .configuration, "configuration",
            problems.map(\.description).joined(separator: "\n") + "\nMend it, then run `config check`.")
    }
}
