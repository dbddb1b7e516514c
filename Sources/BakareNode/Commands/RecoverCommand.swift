internal import ArgumentParser
internal import BackupFormat
internal import BackupNode

struct RecoverCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Put the owner key back, from the recovery key alone.",
        discussion: """
            On a machine that has lost its keys, or on a new one. Where a copy of the old
            home's folder `vault` is at hand, bring it into the home, before or after: then
            `snapshots` and `restore` work.
            """)

    @Option(help: ArgumentHelp("A file with the recovery key; - for standard input.", valueName: "file"), completion: .file())
    var key: String

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let configuration = try session.configuration(writing: false)
        let recovered = try session.home.recover(
            text: try readText(key, "recover"), host: configuration.host ?? machineName(), now: currentTime())
        session.answer(
            .object(
                pathMembers(session.home.directory, key: "home") + [
                    (key: "owner", value: .string(recovered.keys.publisher.owner.hex)),
                    (key: "device", value: .string(recovered.keys.identity.key.id.hex)),
                    (key: "has_vault", value: .bool(recovered.hasVault)),
                ]))
        session.tell("The owner key is in \(session.home.directory)")
        if !recovered.hasVault {
            session.tell("Its backups are not: bring the old home's folder `vault` there, and `snapshots` lists them.")
        }
        return .done
    }
}
