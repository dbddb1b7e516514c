internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Cryptography
internal import Daemon
internal import HostFiles
internal import PeerProtocol
internal import Peers
internal import Vault

/// An invariant that did not hold.
package struct Violation: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which checker found it.
    package var checker: String
    package var text: String
    package var description: String { "\(checker): \(text)" }
}

/// What a seed came to.
package struct SwarmResult: Sendable {
    package var violation: Violation?
    package var digest: UInt64 = 0
    package var steps: UInt64 = 0
    /// How often each kind of work was done and each fault injected, and each state of interest reached.
    package var counts: [String: Int] = [:]
    package var nodeDays = 0
}

/// What a snapshot must hold, as the swarm saw it when the backup began.
struct ModelSnapshot {
    var content: [String: [UInt8]]
    var machine: Int
    /// On how many peers it is to be.
    var replicas: Int
    /// It was asked to be forgotten, and may be gone.
    var isForgotten = false
    /// Nobody had it whole any more after a disaster: no program could bring it back.
    var isBeyondHelp = false
}

/// What the swarm knows of one owner.
struct OwnerModel {
    var recoveryText = ""
    var id = OwnerID(.zero)
    var snapshots: [SnapshotID: ModelSnapshot] = [:]
}

/// A world that one seed stands for, with what is done in it and what must be true of it.
package final class Swarm: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.
    let plan: Plan
    let turns: Turns
    let network: Network
    var machines: [Machine] = []
    var owners: [OwnerModel]
    var choices: SplitMix64
    let folder: String
    private(set) var violation: Violation?
    var counts: [String: Int] = [:]
    /// When a disk lost more than it should be able to mend, by machine.
    var damagedAt: [Int: UInt64] = [:]
    /// Bytes flipped in files, by machine and path: parity mends one, not any number.
    var flipped: [Int: Set<RawPath>] = [:]
    /// Machines of which a block was written into another file: it may pass for that file's own.
    var misdirected: Set<Int> = []
    /// Own packs of a machine that such a write has hit, beyond its parity.
    var destroyed: [Int: Set<PackID>] = [:]
    /// Machines that lost their disk once, and with it what was agreed with friends.
    var forgetful: Set<Int> = []
    /// Pairs of keys of nodes that have found each other by discovery, of which one was recovered.
    var discovered: Set<Set<Bytes32>> = []
    /// Machines whose disk was lost and that were not recovered yet.
    var empty: Set<Int> = []
    /// Pairs of owners that have parted, or have tried to, and of own machines of which one has blocked the other.
    var parted: Set<Set<Int>> = []
    var blocked: Set<Set<Int>> = []
    /// Those of both where that was done.
    var partings: Set<Set<Int>> = []
    var blockings: Set<Set<Int>> = []
    /// What happens later, and has not yet.
    var pendingTasks = 0
    var isHealing = false
    var restores = 0
    /// What was found in vaults, by machine.
    var moments: [Int: Moment] = [:]
    /// What machines have said to have made durable, since their last sweep.
    var acknowledged: [Int: [Acknowledgement]] = [:]

    package static let second: UInt64 = 1_000_000_000
    static let stepsMax: UInt64 = 60_000_000

    /// `folder` is an empty folder of the system that the simulation may fill.
    package init(_ plan: Plan, folder: String, trace: ((String) -> Void)? = nil) {
        self.plan = plan
        self.folder = folder
        seedSodium(plan.seed ^ 0x5eed)
        choices = SplitMix64(plan.seed ^ 0xace)
        turns = Turns(seed: plan.seed, stepsMax: Swarm.stepsMax)
        turns.trace = trace
        network = Network(turns: turns, seed: plan.seed ^ 0xbee)
        owners = Array(repeating: OwnerModel(), count: (plan.machines.map(\.owner).max() ?? 0) + 1)
    }

    func count(_ what: String) { counts[what, default: 0] += 1 }

    /// The first that is found ends the run.
    func violated(_ checker: String, _ text: String) {
        turns.note("VIOLATION \(checker): \(text)")
        if violation == nil { violation = Violation(checker: checker, text: text) }
    }

    // MARK: The run

    /// Lives through the plan, lets everything heal, and looks whether all is as it should be.
    package func run() -> SwarmResult {
        installThreadTurns(turns)
        network.mixed = { [weak self] a, b in
            self?.violated("another version is refused", "machines \(a) and \(b) have a session")
        }
        network.answered = { [weak self] asker, holder, request, answer in self?.note(asker, holder, request, answer) }
        defer { installThreadTurns(nil) }
        setUp()
        for planned in plan.acts where violation == nil {
            let moment = UInt64(planned.second) * Swarm.second
            if moment > turns.now { turns.sleep(until: moment) }
            turns.note("\(planned.act)")
            perform(planned.act)
            if choices.isOne(in: 8) { checkNow() }
        }
        checkNow()
        if violation == nil { healAll() }
        if violation == nil { converge() }
        if violation == nil { checkEnd() }
        var result = SwarmResult(violation: violation, digest: turns.digest, steps: turns.steps, nodeDays: plan.nodeDays)
        for machine in machines { machine.shutDown() }
        turns.close()
        result.counts = counts
        for (kind, number) in network.injected { result.counts["network: \(kind)", default: 0] += number }
        result.counts["spent: connections"] = network.made
        for (kind, number) in network.asked { result.counts["spent: asked \(kind)"] = number }
        for (kind, number) in turns.spent { result.counts["spent: \(kind)"] = number }
        result.counts["spent: disk operations"] = machines.reduce(0) { $0 + $1.disk.operations }
        SourceFolder.removeAll(folder)
        return result
    }

    private func setUp() {
        for (index, planned) in plan.machines.enumerated() {
            var configuration = Configuration()
            configuration.memoryBytes = Configuration.memoryBytesMin
            configuration.role = planned.role
            configuration.replicas = plan.replicas
            configuration.reserveBytes = 0
            configuration.trashDays = plan.hasNoGrace ? 0 : 7
            configuration.host = "m\(index)"
            if let replicas = plan.folderReplicas {
                var set = SourceSet()
                set.name = "folder"
                set.paths = [RawPath("\(folder)/m\(index)/\(SourceFolder.setName)")]
                set.replicas = replicas
                configuration.sets = [set]
            }
            let machine = Machine(
                name: "m\(index)", owner: planned.owner, turns: turns, network: network,
                clockOffset: Int64(planned.clockOffsetSeconds) * 1_000_000_000, drift: Int64(planned.driftPartsPerMillion) * 1000,
                configuration: configuration, folder: folder, seed: choices.next())
            machine.isLiar = planned.isLiar
            machine.lies = plan.lies
            machines.append(machine)
            makeHome(machine)
        }
        for machine in machines { for other in own(machine) { attempt("meet", on: machine) { try machine.meet(other) } } }
        for machine in machines { boot(machine) }
        for friendship in plan.friendships {
            guard let a = machines.first(where: { $0.owner == friendship.a }),
                let b = machines.first(where: { $0.owner == friendship.b })
            else { continue }
            pair(a, b, quotaBytes: UInt64(friendship.quotaBytes))
        }
        turns.sleep(until: turns.now + 60 * Swarm.second)
        // From here on things go wrong.
        network.faults = plan.network
    }

    private func makeHome(_ machine: Machine) {
        let isFirst = owners[machine.owner].recoveryText.isEmpty
        let text = owners[machine.owner].recoveryText
        let result = machine.run { [self] in
            let keys =
                isFirst
                ? try machine.home.open(host: machine.name, now: currentTime()).keys
                : try machine.home.recover(text: text, host: machine.name, now: currentTime()).keys
            machine.adopt(keys)
            guard isFirst else { return }
            owners[machine.owner].recoveryText = try keys.recoveryText()
            owners[machine.owner].id = keys.publisher.owner
        }
        if case .failure(let error) = result { violated("set-up", "\(error)") }
    }

    private func pair(_ a: Machine, _ b: Machine, quotaBytes: UInt64) {
        let invited = a.run { try a.invite(quotaBytes: quotaBytes) }
        a.reloadBook()
        guard case .success(let invitation?) = invited else { return violated("set-up", "no invitation: \(invited)") }
        attempt("join", on: b) { try b.join(invitation, of: a, quotaBytes: quotaBytes) }
        b.reloadBook()
    }

    private func attempt(_ what: String, on machine: Machine, _ body: @escaping () throws -> Void) {
        if case .failure(let error) = machine.run(body) { violated("set-up", "\(what): \(error)") }
    }

    func own(_ machine: Machine) -> [Machine] { machines.filter { $0.owner == machine.owner && $0.index != machine.index } }

    /// Starts a machine's node; one that does not start is a violation, unless its disk is out of order.
    func boot(_ machine: Machine) {
        guard machine.stuck.isEmpty else {
            return violated("what is stopped ends", "\(machine.name): \(machine.stuck.joined(separator: ", "))")
        }
        guard !empty.contains(machine.index), !machine.isUp else { return }
        if let error = machine.boot() {
            if !machine.disk.hasPower {
                machine.crashAtStart()
                return later(60) { [self] in boot(machine) }
            }
            if damagedAt[machine.index] != nil || machine.disk.faults.errorOneIn != nil
                || machine.disk.faults.capacityBytes != nil
            {
                return turns.note("\(machine.name) does not start: \(error)")
            }
            return violated("starts again", "\(machine.name) does not start: \(error)")
        }
        discover(machine)
    }
}
