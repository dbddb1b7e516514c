internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import Peers
internal import HostFiles

struct JoinCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Pair with the node that made an invitation.",
        discussion: """
            Shows both nodes' fingerprints: read them out to each other, and nobody can have
            come in between. From then on the nodes find each other by themselves while
            `bakare-node start` runs on both.
            """)

    @Argument(help: "The line that `bakare-node invite` printed; - to read it from standard input.")
    var invite: String

    @Option(
        help: ArgumentHelp(
            "What this node keeps for the other at most, as in 500GB; 100GB for a friend if nothing is said.", valueName: "size"))
    var quota: ByteCount?

    @OptionGroup var global: GlobalOptions

    private static let standardQuotaBytes = 100_000_000_000

    func execute(_ session: Session) throws -> ExitStatus {
        let text = invite == "-" ? try readText("-", "join") : invite
        let invitation: Invitation
        do throws(InvitationError) { invitation = try Invitation(text) } catch {
            throw NodeError(.usage, "join", "\(error)")
        }
        let configuration = try session.configuration(writing: true)
        let isNew = !session.home.exists
        if invitation.kind == .friend { _ = try session.keys() }
        let joined = try session.home.join(
            invitation, quotaBytes: UInt64(quota?.bytes ?? JoinCommand.standardQuotaBytes),
            host: configuration.host ?? machineName(), now: currentTime())
        session.tellRunningNode()
        session.answer(
            .object([
                "name": .string(joined.name), "kind": .string(joined.kind.name),
                "quota_bytes": joined.kind == .friend ? .int(Int(clamping: joined.quotaBytes)) : .null,
                "fingerprint": .string(joined.ownFingerprint), "peer_fingerprint": .string(joined.inviterFingerprint),
            ]))
        switch joined.kind {
        case .friend:
            session.tell(
                "Paired with \(joined.name), which keeps up to \(describeBytes(Int(clamping: joined.quotaBytes))) for this node.")
        case .ownDevice: session.tell("This is a device of the owner of \(joined.name) now, in \(session.home.directory)")
        case .writeOnlyDevice:
            session.tell(
                "This is a write-only device of the owner of \(joined.name) now, in \(session.home.directory)")
        }
        session.tell("fingerprint here:   \(joined.ownFingerprint)")
        session.tell("fingerprint there:  \(joined.inviterFingerprint)")
        if (try? RunningNode.find(session.home)) == nil || isNew {
            session.tell("Now run `bakare-node start` here, as there.")
        }
        return .done
    }
}
