internal import ArgumentParser
internal import BackupNode
internal import HostFiles

struct StatusCommand: NodeCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "One screen: how things stand.")

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let (peers, isRunning) = try session.peers(node.keys)
        let status = try node.status(now: currentTime(), peers: peers, isRunning: isRunning, sources: session.sources())
        session.answer(status.json)
        let width = status.lines.map(\.title.count).max() ?? 0
        for (title, text) in status.lines {
            session.say("\(title)\(String(repeating: " ", count: width - title.count))  \(text)")
        }
        let isColoured = Standard.isColoured(1)
        for warning in status.warnings { session.say(isColoured ? "\u{1b}[33m! \(warning)\u{1b}[0m" : "! \(warning)") }
        return .done
    }
}
