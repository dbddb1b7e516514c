package import Archive
package import BackupFormat
internal import Cryptography
package import HostFiles

/// The folder that holds all of a node's state: `bakare.toml`, `keys/`, `vault/` and `ledger/`.
package struct Home: Sendable {
    /// How the folder was found.
    package enum Source: Sendable, Equatable, CustomStringConvertible {
        case flag
        case environment
        /// `STATE_DIRECTORY`, which systemd sets for the service, or root's choice where the service's home is.
        case service
        case xdg

        package var description: String {
            switch self {
            case .flag: "--home"
            case .environment: "environment: BAKARE_HOME"
            case .service: "the service's"
            case .xdg: "default"
            }
        }
    }

    package var directory: RawPath
    package var source: Source
    /// The `bakare.toml` in force, and whether a flag names it.
    package var configurationFile: RawPath
    package var configurationIsNamed: Bool
    /// Where what lasts as long as a command goes if the home's disk cannot be written.
    package var temporaryFolder: RawPath
    package let disk: any Disk

    package init(
        directory: RawPath, source: Source, configurationFile: RawPath, configurationIsNamed: Bool = false,
        temporaryFolder: RawPath = "/tmp", disk: any Disk = RealDisk()
    ) {
        self.directory = directory
        self.source = source
        self.configurationFile = configurationFile
        self.configurationIsNamed = configurationIsNamed
        self.temporaryFolder = temporaryFolder
        self.disk = disk
    }

    package var keysDirectory: RawPath { directory.appending("keys") }
    package var vaultDirectory: RawPath { directory.appending("vault") }
    package var ledgerDirectory: RawPath { directory.appending("ledger") }
    /// Whom the node knows, and what was ordered that they may not know yet.
    package var peersDirectory: RawPath { directory.appending("peers") }
    /// The last `bakare.toml` that was right, under parity.
    var lastConfigurationFile: RawPath { directory.appending("bakare.toml.last") }
}

extension Home {
    /// Where the home is, whether or not it exists: `--home`, `BAKARE_HOME`, the service's folders when run by systemd or
    /// as root where they are in use, else the user's folders by the XDG rules.
    ///
    /// With `--home` or `BAKARE_HOME`, everything lies in that one folder.
    package static func locate(
        home: RawPath?, configuration: RawPath?, environment: Environment, disk: any Disk = RealDisk()
    ) throws(NodeError) -> Home {
        // A relative path would mean another place in each folder; the XDG rules say to ignore one.
        func absolute(_ name: String) -> RawPath? { environment[name].flatMap { $0.bytes.first == 0x2f ? $0 : nil } }
        func make(_ directory: RawPath, _ source: Source, _ configurationDirectory: RawPath) -> Home {
            let named = configuration.map { environment.existing($0) }
            return Home(
                directory: directory, source: source,
                configurationFile: named ?? configurationDirectory.appending("bakare.toml"), configurationIsNamed: named != nil,
                temporaryFolder: absolute("TMPDIR") ?? "/tmp", disk: disk)
        }
        if let home {
            guard !home.bytes.isEmpty else { throw NodeError(.usage, "--home", "the folder's name is empty") }
            let directory = environment.existing(home)
            return make(directory, .flag, directory)
        }
        if let home = environment["BAKARE_HOME"] {
            let directory = environment.existing(home)
            return make(directory, .environment, directory)
        }
        if let state = environment["STATE_DIRECTORY"] {
            return make(state, .service, environment["CONFIGURATION_DIRECTORY"] ?? "/etc/bakare")
        }
        let service = make("/var/lib/bakare", .service, "/etc/bakare")
        if environment.userID == 0, service.exists { return service }
        guard let user = absolute("HOME") else {
            throw NodeError(
                .home, "find the home folder",
                "neither --home nor BAKARE_HOME is set, nor HOME to an absolute path; give --home DIR")
        }
        return make(
            (absolute("XDG_DATA_HOME") ?? user.appending(".local/share")).appending("bakare"), .xdg,
            (absolute("XDG_CONFIG_HOME") ?? user.appending(".config")).appending("bakare"))
    }

    /// Whether a home is there: it has keys, or a vault that had some.
    package var exists: Bool {
        for folder in [keysDirectory, vaultDirectory] {
            if let status = try? disk.status(folder), status.isDirectory { return true }
        }
        return false
    }

    /// The folder by device and inode number, so that a backup never takes it in, however it is reached.
    package func identity() throws(NodeError) -> FileIdentity {
        guard let identity = FileIdentity(directory) else { throw NodeError(.home, "look at", "it is gone", path: directory) }
        return identity
    }

    /// Makes the folder with the keys in it, all or nothing; of several processes that try at once, one does it, and the
    /// others find its keys.
    ///
    /// Throws for a folder that holds other things.
    package func create(_ keys: HomeKeys) throws(NodeError) {
        do {
            if try disk.status(directory) != nil {
                let others = try disk.list(directory).filter { !isOurs($0) }
                guard others.isEmpty else {
                    throw NodeError(
                        .home, "make a home", "the folder holds other things (\(others[0])…); name an empty or a new one",
                        path: directory)
                }
            }
            try disk.makeDirectories(directory)
            let staged = directory.appending("keys.new-\(hexadecimal(Bytes32.random().bytes.prefix(8)))")
            do {
                try disk.makeDirectory(staged)
                try keys.write(in: staged, disk)
                try disk.syncDirectory(staged)
                try disk.rename(staged, to: keysDirectory)
            } catch {
                removeFolder(staged)
                if try disk.status(keysDirectory) == nil { throw error }
            }
            try disk.syncDirectory(directory)
            for name in try disk.list(directory) where name.bytes.starts(with: "keys.new-".utf8) {
                removeFolder(directory.appending(name))
            }
            try writeTemplate()
        } catch let error as HostFilesError {
            throw NodeError(.home, "make a home", error.description)
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError(.home, "make a home", "\(error)")
        }
    }

    private func isOurs(_ name: RawPath) -> Bool {
        ["keys", "vault", "ledger", "peers", "control", "bakare.toml", "bakare.toml.last", "lost+found"].contains(name)
            || ["keys.new-", "bakare.toml.new-"].contains { name.bytes.starts(with: $0.utf8) }
    }

    private func removeFolder(_ folder: RawPath) {
        // What cannot be removed now is in nobody's way.
        for name in (try? disk.list(folder)) ?? [] { try? disk.unlink(folder.appending(name)) }
        try? disk.removeDirectory(folder)
    }

    /// Puts the commented example where there is no `bakare.toml`.
    private func writeTemplate() throws(HostFilesError) {
        guard !configurationIsNamed, try disk.status(configurationFile) == nil else { return }
        try disk.makeDirectories(configurationFile.parent)
        try disk.replaceFile(configurationFile, with: Array(Configuration.template.utf8))
    }
}
