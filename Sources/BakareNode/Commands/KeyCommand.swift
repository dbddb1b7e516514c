internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import HostFiles

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "The recovery key, and keys for write-only devices.",
        subcommands: [KeyShowCommand.self, KeyExportCommand.self, KeyCheckCommand.self])
}

struct KeyShowCommand: NodeCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the recovery key.")

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let text = try session.existingKeys().recoveryText()
        session.answer(.object(["recovery_key": .string(text)]))
        if !global.json { Standard.output.write(recoveryNotice(text)) }
        return .done
    }
}

struct KeyExportCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the recovery key, or a write-only device's keys.",
        discussion: """
            The recovery key goes to standard output on one line. With --write-only, the
            keys of a new device of that name go to a file that only you can read; bring it
            there and run `bakare-node init --write-only --owner FILE`, then delete it.
            """)

    @Option(help: ArgumentHelp("The name of a device that is to back up, and read nothing.", valueName: "name"))
    var writeOnly: String?

    @Option(name: [.short, .long], help: ArgumentHelp("A file to make.", valueName: "file"), completion: .file())
    var output: String?

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let keys = try session.existingKeys()
        let text: String
        if let writeOnly {
            let name = readable(writeOnly)
            guard (1...255).contains(name.utf8.count) else { throw NodeError(.usage, "key export", "a name has 1 to 255 bytes") }
            text = DeviceFile.encode(try keys.writeOnlyDevice(name: name, now: currentTime()))
        } else {
            text = try keys.recoveryText() + "\n"
        }
        guard let output else {
            Standard.output.write(text)
            return .done
        }
        let path = session.environment.existing(RawPath(argument: output))
        try session.home.writeNewFile(path, Array(text.utf8))
        session.answer(.object(pathMembers(path, key: "output")))
        session.tell("wrote \(path)")
        return .done
    }
}

struct KeyCheckCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Whether a recovery key that was written down is right.",
        discussion: "Names the group that is mistyped. Spaces, line breaks and case do not matter.")

    @Argument(help: "A file with the key as it was written down; - for standard input.", completion: .file())
    var file: String

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let text = try readText(file, "key check")
        guard session.home.exists else {
            // On a machine that has nothing to compare it with, none is made for that.
            try Home.requireRecoveryText(text)
            session.answer(.object(["right": .null]))
            session.tell(
                "well-formed: nothing in it is mistyped. There is no home here to compare it with; `recover --key` makes one of it"
            )
            return .done
        }
        try session.existingKeys().checkRecoveryText(text)
        session.answer(.object(["right": .bool(true)]))
        session.tell("right: this is the recovery key of this home")
        return .done
    }
}

/// A file's text; that of standard input for `-`.
func readText(_ file: String, _ operation: String) throws(NodeError) -> String {
    let path = RawPath(argument: file)
    guard let bytes = readAll(path, limit: 1 << 16), let text = String(validating: bytes, as: UTF8.self) else {
        throw NodeError(.failed, operation, "there is no such file, or it is not text", path: path)
    }
    return text
}

extension Session {
    /// The keys of a home, which is made if it is not there, whatever its configuration says.
    func existingKeys() throws(NodeError) -> HomeKeys {
        let opened = try home.open(host: machineName(), now: currentTime())
        for repair in opened.repairs { warn("key file \(repair.path) \(repair.message)\(repair.isMended ? ": mended" : "")") }
        if opened.isNew { warn("made a new home in \(home.directory)") }
        return opened.keys
    }
}
