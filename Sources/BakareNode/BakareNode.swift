// The program: arguments, output, progress, signals and exit codes.
//
// It turns a command line into one call of `BackupNode`, and the answer into lines or JSON. What a command means is decided
// there, never here; here is the only place that prints and exits.

internal import ArgumentParser
internal import BackupNode
internal import HostFiles

@main
enum Program {
    static func main() {
        holdClosedStreams()
        _ = ProcessFigures.raiseOpenFiles()
        ignoreBrokenPipes()
        Interruption.begin()
        // Swift reads them from there.
        guard CommandLine.argc > 0 else {
            Standard.error.line("bakare-node: cannot read its arguments: /proc is not there; mount it (mount -t proc proc /proc)")
            finish(.failed)
        }
        let arguments = hoistGlobalOptions(rawArguments())
        if arguments.dropFirst().contains(""), arguments.first != "find" {
            Standard.error.line(
                "bakare-node: an argument is empty, as where a variable of the shell is not set; leave it out, or name a path")
            finish(.usage)
        }
        if let message = unknownCommand(arguments[...], in: Bakare.self) {
            Standard.error.line("bakare-node: \(readable(message))")
            finish(.usage)
        }
        do {
            var command = try parsedAlone(arguments) ?? Bakare.parseAsRoot(arguments)
            if let runnable = command as? any NodeCommand {
                finish(runnable.execute())
            }
            try command.run()
            finish(.done)
        } catch {
            // Help, the version and completion scripts arrive here too.
            let code = Bakare.exitCode(for: error)
            let text = Bakare.fullMessage(for: error)
            if code.isSuccess {
                Standard.output.line(text)
                finish(.done)
            }
            let message = text.hasPrefix("Error: ") ? "bakare-node: " + text.dropFirst("Error: ".count) : text
            Standard.error.line(readable(message))
            finish(.usage)
        }
    }
}

/// What a command alone makes of its arguments: less is to be looked at than with all of the tree. Nil where the tree has to be asked:
/// for help, for completion, and for what is wrong, which it shows with the usage.
private func parsedAlone(_ arguments: [String]) -> (any ParsableCommand)? {
    let commands = Bakare.configuration.subcommands
    guard let command = commands.first(where: { $0.configuration.commandName == arguments.first }),
        command.configuration.subcommands.isEmpty, let parsed = try? command.parseAsRoot(Array(arguments.dropFirst()))
    else { return nil }
    return type(of: parsed) == command ? parsed : nil
}

/// What to say of words that are no command, with the nearest one; nil for a command. `prefix` is the command that they follow.
private func unknownCommand(_ words: ArraySlice<String>, in command: any ParsableCommand.Type, prefix: String = "") -> String? {
    let commands = command.configuration.subcommands
    guard !commands.isEmpty, let word = words.first, !word.hasPrefix("-") else { return nil }
    if let found = commands.first(where: { $0.configuration.commandName == word }) {
        return unknownCommand(words.dropFirst(), in: found, prefix: "\(prefix)\(word) ")
    }
    let names = commands.compactMap { $0.configuration.commandName } + (prefix.isEmpty ? ["help"] : [])
    if names.contains(word) { return nil }
    let nearest = names.min { (editDistance($0, word), $0) < (editDistance($1, word), $1) }
    guard let nearest, editDistance(nearest, word) <= max(2, word.count / 3) else {
        return "there is no command `\(prefix)\(word)`; `bakare-node \(prefix)--help` lists them"
    }
    return "there is no command `\(prefix)\(word)`; did you mean `\(prefix)\(nearest)`?"
}

/// The root of all commands.
struct Bakare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bakare-node",
        abstract: "Backups that are encrypted, deduplicated, checked and repairable.",
        discussion: """
            A first backup, and back again:
              bakare-node backup ~/Documents
              bakare-node snapshots
              bakare-node restore latest --target /tmp/restored

            The first command makes a home for keys and backups, and shows the recovery
            key once: write it down. Without it, a lost disk means lost backups.
            """,
        version: "bakare-node 0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Backing up:",
                subcommands: [InitCommand.self, BackupCommand.self, ForgetCommand.self, SweepCommand.self]),
            CommandGroup(
                name: "Looking and restoring:",
                subcommands: [
                    SnapshotsCommand.self, FindCommand.self, VersionsCommand.self, ListCommand.self, DiffCommand.self,
                    DumpCommand.self, RestoreCommand.self, RecoverCommand.self,
                ]),
            CommandGroup(
                name: "Other nodes:",
                subcommands: [
                    StartCommand.self, PeersCommand.self, InviteCommand.self, JoinCommand.self, UnpairCommand.self,
                ]),
            CommandGroup(
                name: "Keeping well:",
                subcommands: [CheckCommand.self, StatusCommand.self, KeyCommand.self, ConfigCommand.self]),
        ])
}

/// How the program ends.
enum ExitStatus: Int32 {
    case done = 0
    /// Nothing half-done was left behind.
    case failed = 1
    /// Done here, but not everything that was asked for could be reached.
    case partly = 2
    /// Done, but some files could not be read or restored.
    case withProblems = 3
    case usage = 64
    case interrupted = 130
}
