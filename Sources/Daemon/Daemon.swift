// The running node: listens, finds and dials peers, serves their vaults, and sees to it that enough of them hold this node's backups.
//
// It joins what other modules do and decides little itself: `Roster` says whom to dial, `Placement` who keeps what, `Peers` who may do
// what. Each session has a thread that answers the peer and, where the peer keeps something for this node, one that brings it
// there. Nothing here is needed for a backup to be right: commands work on the vault whether it runs or not, and the fences
// of the vaults hold whoever is stopped or killed. This module must never delete what it has not been told to.
package import BackupFormat
package import BackupNode
internal import Control
internal import Discovery
internal import HostFiles
internal import NodeRuntime
internal import Synchronization

/// How a node is started.
package struct DaemonOptions: Sendable {
    package var listen: PeerAddress
    /// Peers to dial, besides those that are known.
    package var peers: [PeerAddress]
    package var discovers: Bool

    package init(_ configuration: Configuration) {
        listen = configuration.listen
        peers = configuration.peerAddresses
        discovers = configuration.discovers
    }
}

/// A node that runs until it is stopped.
package final class Daemon: Sendable {
    private let core: DaemonCore
    private let options: DaemonOptions
    private let transport: PeerTransport
    private let logQueue: LogQueue
    private let parts = Mutex(Parts())

    private struct Parts {
        var control: ControlServer?
        var discovery: Discovery?
        var threads: [WorkerThread?] = []
    }

    /// `log` takes lines for people, one at a time, and may wait.
    package init(
        _ home: Home, _ keys: HomeKeys, _ configuration: Configuration, _ options: DaemonOptions,
        log: @escaping @Sendable (String) -> Void
    ) throws(NodeError) {
        let logQueue = LogQueue(log)
        self.logQueue = logQueue
        core = try DaemonCore(home, keys, configuration) { logQueue.say($0) }
        self.options = options
        let core = core
        var bounds = TransportBounds()
        bounds.pairedMax = core.memory.pairedMax
        transport = PeerTransport(events: SessionEvents(core), bounds: bounds) { core.basis }
    }

    /// Begins to listen, dial and serve; answers where it listens. Throws when another node runs on this home, or the address is taken.
    package func start() throws(NodeError) -> PeerAddress {
        let control: ControlServer
        do throws(ControlError) {
            let core = core
            control = try ControlServer(home: core.home.directory) { call in answerControl(call, core) }
        } catch { throw NodeError(.home, "start", error.description) }
        let address: PeerAddress
        do throws(NodeRuntimeError) { address = try transport.listen(on: options.listen) } catch {
            control.stop()
            transport.stop()
            throw NodeError(.failed, "listen", "\(error); name another by --listen or `peers.listen`")
        }
        core.begin(listening: address, Dialling(transport))
        guard control.start() else { throw NodeError(.failed, "start", "the system has no thread left") }
        let prober = Prober(core, transport, configured: options.peers)
        parts.withLock { parts in
            parts.control = control
            parts.threads = [
                WorkerThread(name: "prober") { prober.probeNamed() }, WorkerThread(name: "prober") { prober.probeAnnounced() },
                WorkerThread(name: "chores") { [core] in Chores(core).run() },
                WorkerThread(name: "local copy") { [core] in
                    var copy = LocalCopy(core)
                    copy.run()
                },
            ]
            parts.threads += core.configuration.sourceSets.filter(\.isScheduled).map { set in
                WorkerThread(name: "source \(set.name)") { [core] in SourceRunner(core, set).run() }
            }
            if options.discovers {
                parts.discovery = Discovery(announcement: core.announcement()) { [core] event in core.discovered(event) }
            }
        }
        core.dialKnown()
        return address
    }

    /// Keeps things in order until `isStopping` says true; looks at it several times a second.
    package func run(until isStopping: () -> Bool) {
        var upkeep = Upkeep(core)
        while !isStopping() {
            upkeep.tick { announcement in parts.withLock { $0.discovery }?.update(announcement) }
            core.rest(milliseconds: 200)
        }
    }

    /// Says goodbye to all peers, and waits until everything has ended.
    package func stop() {
        let (control, discovery, threads) = parts.withLock { ($0.control, $0.discovery, $0.threads) }
        core.stop()
        discovery?.stop()
        // Before the control socket, which waits for its calls: these may wait for peers.
        transport.stop()
        control?.stop()
        for thread in threads { thread?.join() }
        core.finish()
        logQueue.end()
    }
}
