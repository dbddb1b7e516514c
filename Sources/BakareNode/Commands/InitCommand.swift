internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import HostFiles

struct InitCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a home: keys, vault and a commented bakare.toml.",
        discussion: """
            Shows the recovery key once. Other commands make a home by themselves where
            there is none, so that this is needed only for a write-only device.
            """)

    @Flag(help: "This device backs up and can read no earlier backup; needs --owner.")
    var writeOnly = false

    @Option(
        help: ArgumentHelp("What `key export --write-only` wrote in the owner's home; - for standard input.", valueName: "file"),
        completion: .file())
    var owner: String?

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        guard writeOnly == (owner != nil) else {
            throw NodeError(.usage, "init", "--write-only and --owner FILE go together")
        }
        var deviceFile: [UInt8]?
        if let owner {
            let path = RawPath(argument: owner)
            guard let bytes = readAll(path, limit: DeviceFile.bytesMax) else {
                throw NodeError(.failed, "init", "cannot be read as a device's keys", path: path)
            }
            deviceFile = bytes
        }
        let configuration = try session.configuration(writing: true)
        let opened = try session.home.initialize(
            deviceFile: deviceFile, host: configuration.host ?? machineName(), now: currentTime())
        session.answer(json(session, opened.keys))
        session.tell("Made a home in \(session.home.directory)")
        session.tell("Configuration: \(session.home.configurationFile)")
        if let owner = opened.keys.owner {
            if !global.json { Standard.output.write(recoveryNotice(owner.recoveryText)) }
        } else {
            session.tell("This device is write-only: restore where the owner key is.")
            if let file = self.owner, file != "-" { session.tell("Now delete \(readable(file)).") }
        }
        return .done
    }

    private func json(_ session: Session, _ keys: HomeKeys) -> JSON {
        var members = pathMembers(session.home.directory, key: "home")
        members.append((key: "owner", value: .string(keys.publisher.owner.hex)))
        members.append((key: "device", value: .string(keys.identity.key.id.hex)))
        members.append((key: "write_only", value: .bool(keys.isWriteOnly)))
        members.append((key: "recovery_key", value: keys.owner.map { .string($0.recoveryText) } ?? .null))
        return .object(members)
    }
}
