internal import Archive
internal import ArgumentParser
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles

struct RecoverCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Bring keys and backups back, from the recovery key alone.",
        discussion: """
            On a machine that has lost everything, or on a new one: puts the owner key into the
            home, finds the peers that keep something for its owner, on the local network or
            by --peer, and brings the snapshots back. Then `snapshots` and `restore` work: what
            the files hold is read from the peers. `bakare-node start` brings that here too,
            unless `local_copy` says otherwise, and so does --all, before it ends.

            Where a copy of the old home's folder `vault` is at hand, bring it into the home
            first: only what it lacks is fetched, and without peers it does alone.
            """)

    @Option(help: ArgumentHelp("A file with the recovery key; - for standard input.", valueName: "file"), completion: .file())
    var key: String

    @Option(name: .customLong("peer"), help: ArgumentHelp("Ask this node; may be repeated.", valueName: "host:port"))
    var peer: [String] = []

    @Flag(help: "Bring the data of all files here, too, for when the peers will be gone.")
    var all = false

    @Flag(help: "Do not look for peers on the local network.")
    var noDiscovery = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let addresses = try peer.map { text throws(NodeError) in try peerAddress(text, "--peer") }
        let configuration = try session.configuration(writing: false)
        let discovers = !noDiscovery && configuration.discovers
        let asksPeers = discovers || !addresses.isEmpty || !configuration.peerAddresses.isEmpty
        if asksPeers, try RunningNode.find(session.home) != nil {
            throw NodeError(
                .failed, "recover",
                "a node runs on this home, and has the sessions with the peers; end it first, and start it again afterwards",
                path: session.home.directory)
        }
        let recovered = try session.home.recover(
            text: try readText(key, "recover"), host: configuration.host ?? machineName(), now: currentTime())
        var report: RecoveryReport?
        var failure: NodeError?
        do throws(NodeError) {
            if asksPeers {
                report = try session.run("fetching") { progress, _ throws(NodeError) in
                    try session.home.recoverFromPeers(
                        recovered.keys, at: addresses + configuration.peerAddresses, discovers: discovers, bringsData: all,
                        progress
                    ) { text in session.warn(text) }
                }
            }
        } catch {
            // With a vault at hand nothing has to be fetched.
            if error.code == .interrupted || !recovered.hasVault || !addresses.isEmpty {
                session.home.unmake(recovered)
                throw error
            }
            failure = error
        }
        session.tell("The owner key is in \(session.home.directory)")
        session.tellRunningNode()
        answer(recovered, report, session)
        if let failure { session.warn("\(failure)") }
        guard let report else {
            if !recovered.hasVault {
                session.tell("Its backups are not: bring the old home's folder `vault` there, and `snapshots` lists them.")
            }
            return .done
        }
        session.tell(
            "\(describeCount(report.snapshots, "snapshot")) here now, \(describeBytes(report.receivedBytes)) fetched from "
                + report.peers.joined(separator: ", "))
        if all, report.packsLeft > 0 {
            session.warn(
                "\(describeCount(report.packsLeft, "pack")) of data could not be brought: run it again when all peers are reached"
            )
        } else if report.packsLeft > 0 {
            session.tell(
                "\(describeCount(report.packsLeft, "pack")) of data stay with the peers: `restore` reads them from there, `start` brings them here"
            )
        }
        for (id, reason) in report.incomplete.sorted(by: { $0.key < $1.key }) {
            session.warn("snapshot \(id.hex.prefix(8)) is not whole anywhere: \(reason)")
        }
        return report.incomplete.isEmpty && (!all || report.packsLeft == 0) ? .done : .withProblems
    }

    private func answer(_ recovered: Home.Recovered, _ report: RecoveryReport?, _ session: Session) {
        session.answer(
            .object(
                pathMembers(session.home.directory, key: "home") + [
                    (key: "owner", value: .string(recovered.keys.publisher.owner.hex)),
                    (key: "device", value: .string(recovered.keys.identity.key.id.hex)),
                    (key: "has_vault", value: .bool(recovered.hasVault || report.map { $0.snapshots > 0 } ?? false)),
                    (key: "peers", value: .array((report?.peers ?? []).map { .string($0) })),
                    (key: "snapshots", value: report.map { .int($0.snapshots) } ?? .null),
                    (key: "packs_with_peers_only", value: report.map { .int($0.packsLeft) } ?? .null),
                    (key: "fetched_bytes", value: report.map { .int($0.receivedBytes) } ?? .null),
                    (
                        key: "incomplete",
                        value: .array((report?.incomplete.keys.sorted() ?? []).map { .string($0.hex) })
                    ),
                ]))
    }
}
