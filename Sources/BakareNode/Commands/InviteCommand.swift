internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import Peers
internal import HostFiles

struct InviteCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Print an invitation, by which one other node may pair with this one.",
        discussion: """
            Give the line to your friend by a way that nobody else reads, and let them run
            `bakare-node join LINE` while `bakare-node start` runs here. It works once.

            With --own-device it makes a new, empty home another device of yours, which is
            given your owner key: whoever has that line can read all your backups. With
            --write-only as well, the device can back up and read nothing.
            """)

    @Option(
        help: ArgumentHelp(
            "What this node keeps for the other at most, as in 500GB; 100GB for a friend if nothing is said.", valueName: "size"))
    var quota: ByteCount?

    @Option(help: ArgumentHelp("For how long it may be used, as in 12h or 7d.", valueName: "span"))
    var expires: CalendarSpan?

    @Flag(help: "For another device of yours.")
    var ownDevice = false

    @Flag(help: "That device backs up, and reads nothing; with --own-device.")
    var writeOnly = false

    @OptionGroup var global: GlobalOptions

    /// What a friend gets who is promised nothing in particular: 100 GB.
    private static let standardQuotaBytes = 100_000_000_000
    private static let standardSeconds: Int64 = 7 * 86_400

    func execute(_ session: Session) throws -> ExitStatus {
        guard ownDevice || !writeOnly else {
            throw NodeError(.usage, "invite", "--write-only goes with --own-device")
        }
        guard !ownDevice || quota == nil else {
            throw NodeError(.usage, "invite", "--quota is for friends: devices of yours keep all for each other")
        }
        let keys = try session.keys()
        let now = currentTime() / 1_000_000_000
        let running = try RunningNode.find(session.home)
        let configuration = try session.configuration(writing: false)
        let addresses = try running?.addresses() ?? reachableAddresses(configuration)
        let invitation = try session.home.invite(
            keys, kind: !ownDevice ? .friend : writeOnly ? .writeOnlyDevice : .ownDevice,
            quotaBytes: ownDevice ? .max : UInt64(quota?.bytes ?? InviteCommand.standardQuotaBytes),
            expires: now + (expires?.seconds ?? InviteCommand.standardSeconds), addresses: addresses, now: now)
        session.tellRunningNode()
        session.answer(
            .object([
                "invitation": .string(invitation.text), "kind": .string(invitation.kind.name),
                "quota_bytes": ownDevice ? .null : .int(Int(clamping: invitation.quotaBytes)),
                "expires": .string(timestampText(invitation.expires * 1_000_000_000)),
                "addresses": .array(invitation.addresses.map { .string($0) }),
                "fingerprint": .string(keys.fingerprint),
            ]))
        session.say(invitation.text)
        if !global.json, !global.quiet {
            let until = CalendarTime.local(invitation.expires * 1_000_000_000).minuteText
            Standard.output.flush()
            session.warn("on the other machine: bakare-node join LINE, until \(until); it works once")
            if ownDevice {
                session.warn(
                    "whoever has this line can read all your backups: give it to nobody, and best by `bakare-node join -`, which reads it from"
                        + " standard input")
            } else {
                let quota = describeBytes(Int(clamping: invitation.quotaBytes))
                session.warn("this node will keep up to \(quota) for the other (--quota)")
            }
            session.warn("this node's fingerprint: \(keys.fingerprint)")
        }
        if running == nil {
            session.warn("no node runs here; start it, so that the other can reach it: bakare-node start")
        }
        return .done
    }
}

extension CalendarSpan {
    /// How long it is, with months of 30 days, in seconds. Nil for nothing at all.
    var seconds: Int64? {
        let days = Int64(years) * 365 + Int64(months) * 30 + Int64(days)
        let total = days * 86_400 + Int64(hours) * 3600
        return total > 0 ? total : nil
    }
}
