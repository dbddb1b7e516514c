internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles

struct StartCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Run the node: find peers, keep their backups, and bring yours to them.",
        discussion: """
            Runs until Ctrl-C or SIGTERM, and prints `ready` and its address once it listens.
            Own devices find each other by themselves; friends are paired with `invite` and
            `join`. Backups are made with `backup`, also while it runs.
            """)

    @Option(help: ArgumentHelp("Where to listen; port 0 is any free one.", valueName: "addr:port"))
    var listen: String?

    @Option(name: .customLong("peer"), help: ArgumentHelp("Also dial this one.", valueName: "host:port"))
    var peer: [String] = []

    @Flag(help: "Do not announce this node on the local network, nor look for others there.")
    var noDiscovery = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let configuration = try session.configuration(writing: true)
        var options = DaemonOptions(configuration)
        if let listen { options.listen = try peerAddress(listen, "--listen", orAnyPort: true) }
        options.peers += try peer.map { text throws(NodeError) in try peerAddress(text, "--peer") }
        if noDiscovery { options.discovers = false }
        let isQuiet = global.quiet
        let daemon = try Daemon(session.home, try session.keys(), configuration, options) { text in
            if !isQuiet { Standard.error.line("bakare-node: \(text)") }
        }
        let address = try daemon.start()
        let progress = Progress()
        // Who hears that it is ready may stop it at once.
        try Interruption.during(progress) { () throws(NodeError) in
            Standard.output.line("ready \(address)")
            Standard.output.flush()
            ServiceNotice.tell("READY=1\nSTATUS=listening on \(address)", at: session.environment["NOTIFY_SOCKET"])
            daemon.run { progress.isStopping }
        }
        ServiceNotice.tell("STOPPING=1", at: session.environment["NOTIFY_SOCKET"])
        daemon.stop()
        return .done
    }
}

/// An address on the command line.
func peerAddress(_ text: String, _ option: String, orAnyPort: Bool = false) throws(NodeError) -> PeerAddress {
    do { return try PeerAddress(text, orAnyPort: orAnyPort) } catch { throw NodeError(.usage, option, error.description) }
}
