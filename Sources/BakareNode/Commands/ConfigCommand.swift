internal import ArgumentParser
internal import BackupFormat
internal import BackupNode

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "The configuration in force.",
        subcommands: [ConfigCheckCommand.self, ConfigShowCommand.self])
}

struct ConfigCheckCommand: NodeCommand {
    static let configuration = CommandConfiguration(commandName: "check", abstract: "What is wrong with bakare.toml.")

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let problems = session.home.loadConfiguration().problems
        session.answer(
            .array(
                problems.map { problem in
                    .object(
                        pathMembers(problem.file, key: "file") + [
                            (key: "line", value: problem.line > 0 ? .int(problem.line) : .null),
                            (key: "column", value: problem.line > 0 ? .int(problem.column) : .null),
                            (key: "message", value: .string(problem.message)),
                        ])
                }))
        for problem in problems { session.say("\(problem)") }
        if problems.isEmpty { session.tell("\(session.home.configurationFile): nothing is wrong") }
        return problems.isEmpty ? .done : .failed
    }
}

struct ConfigShowCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Every value in force, and where it comes from.")

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let configuration = try session.configuration(writing: false)
        let home = session.home
        let places: [(String, RawPath, String)] = [
            ("home", home.directory, home.source.description),
            ("config", home.configurationFile, home.configurationIsNamed ? "--config" : home.source.description),
        ]
        session.answer(
            .object(
                places.map { name, path, origin in
                    (key: name, value: .object(pathMembers(path, key: "value") + [(key: "origin", value: .string(origin))]))
                }
                    + configuration.listed.map { key, value, origin in
                        (key: key, value: .object(["value": .string(value), "origin": .string(origin.description)]))
                    }))
        var table = Table([("KEY", .left), ("VALUE", .left), ("FROM", .left)])
        for (name, path, origin) in places { table.add([name, path.description, origin]) }
        for (key, value, origin) in configuration.listed { table.add([key, value, origin.description]) }
        for line in table.lines() { session.say(line) }
        return .done
    }
}
