internal import Archive
package import BackupFormat
package import BackupNode
internal import Cryptography
package import Daemon
package import HostFiles
internal import Ledger
internal import PeerProtocol
internal import Peers
internal import Vault

/// A node's name on the network, its disk and, while it runs, the real node: what its owner would call a computer.
package final class Machine: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.

    package let index: MachineIndex
    package let name: String
    package let address: PeerAddress
    package let turns: Turns
    package let network: Network
    /// Of real files, which a backup reads.
    package let sources: SourceFolder
    package private(set) var disk: SimulatedDisk {
        didSet { letOthersIn() }
    }
    package private(set) var home: Home
    package var configuration: Configuration
    package private(set) var keys: HomeKeys?
    package private(set) var core: DaemonCore?
    private var running: RunningNode?
    private var dialer: Dialer
    private var choices: SplitMix64
    /// What the node says for people.
    package var log: ((String) -> Void)?
    /// An index in the swarm's list of owners.
    package let owner: Int
    package var isLiar = false
    var lies = Liar.Kind.shameless
    /// A backup or another command is at work.
    package var commands = 0
    /// How long one of its vaults' operations may take, in nanoseconds; 0 for no time at all.
    package var slownessNanoseconds: UInt64 {
        get { interference.slownessNanoseconds }
        set { interference.slownessNanoseconds = newValue }
    }
    private let interference = Interference()
    /// Somebody waits for something that runs here, and must not wait for the machine's waking too.
    private var waitedFor = 0
    /// Threads that did not end when they had to, by name.
    package private(set) var stuck: [String] = []
    /// How long a node that is stopped may take to end.
    private static let patience: UInt64 = 3_600_000_000_000

    package init(
        name: String, owner: Int, turns: Turns, network: Network, clockOffset: Int64, drift: Int64, configuration: Configuration,
        folder: String, seed: UInt64
    ) {
        self.name = name
        self.owner = owner
        self.turns = turns
        self.network = network
        self.configuration = configuration
        choices = SplitMix64(seed)
        index = turns.addMachine(clockOffset: clockOffset, drift: drift)
        address = Machine.address(of: index)
        sources = SourceFolder("\(folder)/m\(index)", turns)
        disk = SimulatedDisk(keepsLog: false, seed: choices.next())
        home = Machine.home(on: disk)
        dialer = Dialer(index, network, seed: choices.next())
        letOthersIn()
    }

    /// Files have the time of the machine's clock; and between two operations in its vaults other threads of the machine may run. Not so
    /// elsewhere, where locks are held meanwhile.
    private func letOthersIn() {
        disk.visit { [turns, index, interference, weak self] path in
            guard path.isInVault else { return turns.clockSeconds(of: index) }
            if interference.slownessNanoseconds > 0 { turns.mayDawdle(on: index, upTo: interference.slownessNanoseconds) }
            if interference.operationsLeft > 0 { self?.maySuspend() }
            turns.mayPreempt(on: index)
            return turns.clockSeconds(of: index)
        }
    }

    /// The machine is suspended at the so manieth operation in its vaults from now on, in the midst of what it does there; `suspended` is
    /// told then.
    package func suspendAtWork(after operations: Int, _ suspended: @escaping () -> Void) {
        interference.operationsLeft = operations
        interference.suspended = suspended
    }

    package func forgetSuspension() { interference.operationsLeft = 0 }

    private func maySuspend() {
        if interference.operationsLeft > 1 {
            interference.operationsLeft -= 1
            return
        }
        guard waitedFor == 0, let suspended = interference.suspended else { return }
        if turns.suspendHere(
            index,
            then: {
                forgetSuspension()
                suspended()
            })
        {
            interference.suspended = nil
        }
    }

    static func address(of index: MachineIndex) -> PeerAddress {
        PeerAddress(host: "10.0.\(index / 250).\(index % 250 + 1)", port: 4747)
    }

    private static func home(on disk: SimulatedDisk) -> Home {
        Home(directory: "/home", source: .flag, configurationFile: "/home/bakare.toml", disk: disk)
    }

    package var isUp: Bool { core != nil }
    package var isSuspended: Bool { turns.isSuspended(index) }
    /// Runs, and is awake.
    package var isAwake: Bool { isUp && !isSuspended }
    package var device: DeviceID? { keys?.identity.key.id }

    // MARK: Threads

    /// Runs `body` on a thread of this machine, and waits for its end; for the director.
    @discardableResult
    package func run<R>(_ body: @escaping () throws -> R) -> Result<R, any Error> {
        let box = ResultBox<R>()
        // SAFETY: one thread has the turn at a time, and this one waits.
        nonisolated(unsafe) let body = body
        waitedFor += 1
        defer { waitedFor -= 1 }
        turns.start(on: index) { box.finish(Result { try body() }) }
        return box.wait()
    }

    // MARK: Life

    /// Takes keys in hand, whose home is on the disk by now.
    package func adopt(_ keys: HomeKeys) { self.keys = keys }

    /// Starts the node, as `bakare-node start` does. Answers why it does not start.
    package func boot() -> (any Error)? {
        guard core == nil else { return nil }
        let result = run { [self] in
            try disk.makeDirectories("/home")
            var repairs: [KeyRepair] = []
            let keys = try HomeKeys.load(home, repairs: &repairs)
            self.keys = keys
            var pace = DaemonPace()
            pace.roundMilliseconds = 12 * 3_600_000
            pace.retryMilliseconds = 1_800_000
            if configuration.trashDays == 0 { pace.leavingGraceSeconds = 0 }
            let log: @Sendable (String) -> Void = { [weak self] line in self?.say(line) }
            let core = try DaemonCore(home, keys, configuration, pace: pace, log: log)
            self.core = core
            let running = RunningNode(
                core, index, dialer, network, keys.identity.key.agreementPublicKey, isLiar ? Liar(lies) : nil)
            self.running = running
            network.register(running)
            dialer.begin(running)
            let dialer = dialer
            core.begin(listening: address, Dialling(keep: { dialer.keep($0, $1) }, forget: { dialer.forget($0) }))
            turns.start(on: index) {
                var upkeep = Upkeep(core)
                while !core.isStopping {
                    let news = core.news
                    upkeep.tick { _ in }
                    core.rest(after: news, milliseconds: 12 * 3_600_000)
                }
            }
            core.dialKnown()
        }
        if case .failure(let error) = result { return error }
        return nil
    }

    private func say(_ line: String) {
        turns.note("\(name): \(line)")
        log?(line)
    }

    /// Ends the node in good order.
    package func shutDown() {
        guard let core else { return }
        core.stop()
        dialer.stop()
        network.remove(index)
        self.core = nil
        running = nil
        waitForThreads()
        run { core.finish() }
    }

    /// The power goes: the disk keeps what was synced, and some of the rest.
    package func crash() {
        guard let core else { return }
        disk.cutPower()
        core.stop()
        dialer.stop()
        network.remove(index)
        self.core = nil
        running = nil
        waitForThreads()
        havePower()
    }

    private func havePower() {
        disk.restart(seed: choices.next())
        disk.now = turns.clockSeconds(of: index)
    }

    /// The power went while the node started.
    package func crashAtStart() { if isUp { crash() } else { havePower() } }

    /// What still runs finds its disk dead and its connections gone, and ends.
    private func waitForThreads() {
        let began = turns.now
        while turns.aliveThreads(of: index) > 0 {
            turns.sleep(until: turns.now + 1_000_000_000)
            guard turns.now - began < Machine.patience else {
                stuck = turns.threadNames(of: index)
                return
            }
        }
    }

    /// The disk is gone, and a new one in its place.
    package func loseDisk() {
        crash()
        disk = SimulatedDisk(keepsLog: false, seed: choices.next())
        home = Machine.home(on: disk)
        keys = nil
        dialer = Dialer(index, network, seed: choices.next())
    }

    /// Goes on with the disk as it was once: an old image.
    package func replaceDisk(by image: SimulatedDisk) {
        crash()
        disk = SimulatedDisk(copying: image)
        home = Machine.home(on: disk)
    }

    package func suspend() { turns.suspend(index) }

    package func resume() {
        turns.resume(index)
        network.resumed(index)
        dialer.wake()
    }

    /// Lets the node take over a book that a command has changed.
    package func reloadBook() { if let core { run { core.reloadBook() } } }
}

/// Apart from the machine, so that its disk can ask without keeping it.
private final class Interference: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    var slownessNanoseconds: UInt64 = 0
    /// Until the machine is suspended; 0 for not at all.
    var operationsLeft = 0
    var suspended: (() -> Void)?
}

extension RawPath {
    private static let vaults = Array("/home/vault/".utf8)

    fileprivate var isInVault: Bool {
        bytes.count > RawPath.vaults.count && bytes[6] == 0x76 && bytes.starts(with: RawPath.vaults)
    }
}

/// What a thread brought, for the one that waits.
private final class ResultBox<R>: @unchecked Sendable {
    // SAFETY: one thread has the turn at a time.
    private let result = ConditionLock<Bool>(false)
    private var value: Result<R, any Error>?

    func finish(_ value: Result<R, any Error>) {
        self.value = value
        result.withLock { $0 = true }
    }

    func wait() -> Result<R, any Error> {
        while true {
            result.wait { $0 ? () : nil }
            if let value { return value }
        }
    }
}

/// The node of a machine, from a start to an end.
final class RunningNode: NetworkNode {
    let machine: MachineIndex
    private let core: DaemonCore
    private let dialer: Dialer
    private let network: Network
    private let key: Bytes32
    private let liar: Liar?

    init(
        _ core: DaemonCore, _ machine: MachineIndex, _ dialer: Dialer, _ network: Network, _ key: Bytes32, _ liar: Liar?
    ) {
        self.core = core
        self.network = network
        self.key = key
        self.dialer = dialer
        self.machine = machine
        self.liar = liar
    }

    var basis: SessionBasis { core.basis }

    func connected(_ end: WireEnd) {
        if let liar { end.lies = { liar.answer($0, $1, $2) } }
        PeerSession(end, core).begin()
        guard end.far?.isOfCommand != true else { return }
        dialer.connected(end.peer.agreementKey)
        // Of two sessions the node with the smaller key keeps the newer, as the shell's `Admission` has it.
        guard key < end.peer.agreementKey else { return }
        for older in network.sessions(machine, end.peer.agreementKey) where older !== end {
            older.close(.duplicate, reason: "")
        }
    }
    func requested(_ end: WireEnd, _ request: PeerRequest) { core.session(end)?.take(request) }
    func offered(_ end: WireEnd, _ offer: Offer) { core.session(end)?.take(offer) }
    func disconnected(_ end: WireEnd, _ error: PeerProtocolError) {
        core.session(end)?.end(error)
        dialer.lost(end.peer.agreementKey)
    }
}

/// A command that speaks to peers, and serves nobody.
final class CommandNode: NetworkNode {
    let machine: MachineIndex
    let basis: SessionBasis

    init(_ machine: MachineIndex, _ basis: SessionBasis) {
        self.machine = machine
        self.basis = basis
    }

    func connected(_ end: WireEnd) {}
    func requested(_ end: WireEnd, _ request: PeerRequest) {
        end.consumed(creditBytes: request.creditBytes)
        try? end.answer(request.id, with: .failed(Failed(.busy)), bulk: [])
    }
    func offered(_ end: WireEnd, _ offer: Offer) {}
    func disconnected(_ end: WireEnd, _ error: PeerProtocolError) {}
}
