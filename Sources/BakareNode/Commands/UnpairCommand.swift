internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import Peers
internal import HostFiles

struct UnpairCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpair", abstract: "Stop exchanging with a friend, or with a device of yours.",
        discussion: """
            What each holds for the other is kept for a grace time of 30 days and removed
            after it, not before. A device of your own that is named is blocked: it may be
            lost or stolen. To pair again, use `invite` and `join`.
            """)

    @Argument(help: "A name that `peers` shows, or the beginning of an id, 4 digits or more.")
    var peer: String

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let keys = try session.keys()
        let ended = try session.home.unpair(peer, owner: keys.publisher.owner, now: currentTime() / 1_000_000_000)
        session.tellRunningNode()
        session.answer(.object(["name": .string(ended.name), "id": .string(ended.id)]))
        session.tell(
            ended.isDevice
                ? "The device \(ended.name) is blocked: this node speaks to it no more."
                : "The agreement with \(ended.name) is ended; what is held goes after 30 days.")
        return .done
    }
}
