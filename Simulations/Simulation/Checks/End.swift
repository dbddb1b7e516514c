internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles
internal import Ledger
internal import Peers
internal import Placement
internal import Vault

/// What must be true once everything works again, within a bound.
extension Swarm {
    /// Nothing goes wrong any more, but that what lies goes on lying; whoever lost a disk recovers.
    func healAll() {
        isHealing = true
        turns.note("all heals")
        network.faults = NetworkFaults()
        network.healAll()
        network.otherVersions = []
        for machine in machines {
            machine.slownessNanoseconds = 0
            machine.forgetSuspension()
            // Whoever uses it empties the trash.
            machine.configuration.trashDays = 0
            if machine.isSuspended { machine.resume() }
            machine.disk.faults = SimulatedDisk.Faults()
            if !machine.disk.hasPower { machine.crash() }
            turns.mendClock(of: machine.index)
        }
        // Commands that are at it come to their end.
        for _ in 0..<100 where machines.contains(where: { $0.commands > 0 }) {
            turns.sleep(until: turns.now + 600 * Swarm.second)
        }
        if let busy = machines.first(where: { $0.commands > 0 }) {
            return violated("commands end", "\(busy.name) has been at a command for long")
        }
        // A clock that was wrong has left its mark on what runs: it is started anew, as after any such repair.
        for machine in machines where machine.isUp { machine.shutDown() }
        for machine in machines { boot(machine) }
        turns.sleep(until: turns.now + 600 * Swarm.second)
        for _ in 0..<3 { for machine in machines where empty.contains(machine.index) { recover(machine) } }
        for machine in machines where empty.contains(machine.index) { violated("an empty machine recovers", machine.name) }
        turns.sleep(until: turns.now + 3600 * Swarm.second)
        for machine in machines where damagedAt[machine.index] != nil && !hidesLosses(machine) { mend(machine) }
        for machine in machines where !machine.isUp {
            boot(machine)
            if !machine.isUp { violated("starts again", "\(machine.name) does not start, now that it is mended") }
        }
    }

    private func hidesLosses(_ machine: Machine) -> Bool { machine.isLiar && plan.lies == .keepsUpAppearances }

    /// `recover` and `check --repair`, on a machine whose disk has lost something.
    private func mend(_ machine: Machine) {
        let result = machine.run { [self] in
            guard let keys = machine.keys else { return }
            let number = try machine.fetchVault(from: reachable(machine), keys)
            turns.note("\(machine.name) is mended with \(number) snapshots")
            guard let node = try machine.node() else { return }
            let report = try node.check(readDataFraction: 1, repair: true, now: currentTime(), Progress()) { losses in
                // What is lost here is brought from peers, and what nobody has stays lost.
                do {
                    let number = try machine.fetchVault(from: self.reachable(machine), keys, replacing: losses.packs)
                    return ["asked peers, and got \(number) snapshots"]
                } catch {
                    self.turns.note("\(machine.name): fetch: \(error)")
                    return []
                }
            }
            for line in report.repaired + report.lost { turns.note("\(machine.name): check: \(line)") }
            try forgetUnreadable(machine, node)
        }
        if case .failure(let error) = result { violated("a damaged machine is mended", "\(machine.name): \(error)") }
    }

    /// Snapshots whose record nobody has any more stop sweeps until they are forgotten, as `check` says.
    private func forgetUnreadable(_ machine: Machine, _ node: Node) throws {
        let beyondHelp = owners[machine.owner].snapshots.filter { $0.value.isBeyondHelp && !$0.value.isForgotten }.keys
        let unreadable = try node.store.vault.snapshots().filter { id in
            beyondHelp.contains(id) && (try? node.store.vault.snapshotRecord(id)) == nil
        }
        guard !unreadable.isEmpty else { return }
        for id in unreadable { owners[machine.owner].snapshots[id]?.isForgotten = true }
        try node.forget(unreadable)
        _ = try machine.core?.orders.refresh()
        machine.core?.poke()
    }

    // MARK: Protection

    /// Every snapshot gets to its number of peers, what was forgotten is nowhere, also where it came back after the order had been carried
    /// out, and what a peer lost is noticed, by the proofs of a day: within the 14 days for which a device that is away keeps its place,
    /// as one does that was replaced by a new one, and two more.
    func converge() {
        var open: (unprotected: String?, forgotten: String?, claim: String?) = (nil, nil, nil)
        let steps = 64
        for step in 1...steps {
            turns.sleep(until: turns.now + 6 * 3600 * Swarm.second)
            open = (unprotected(), nil, nil)
            // While something is not protected, the others are looked at only to say at the end what is not well.
            guard open.unprotected == nil || step == steps else { continue }
            open.forgotten = machines.lazy.compactMap { self.forgottenSnapshot(on: $0) }.first
            open.claim = machines.lazy.compactMap { self.falseClaims($0, isEnd: true).first }.first
            guard open == (nil, nil, nil) else { continue }
            // Nobody has been told of what these have lost; by now it was found out.
            for machine in machines where damagedAt[machine.index] != nil && hidesLosses(machine) { mend(machine) }
            count("looked for what is forgotten")
            return count("converged")
        }
        if let reason = open.unprotected { violated("everything is protected again", reason) }
        if let place = open.forgotten { violated("what is forgotten is gone", place) }
        if let claim = open.claim { violated("the ledger never claims more than is true", claim) }
    }

    private func unprotected() -> String? {
        for machine in machines where plan.machines[machine.index].role != .persister {
            guard let core = machine.core, let vault = vault(of: owners[machine.owner].id, on: machine) else { continue }
            let eligible = machines.filter { canKeep($0, for: machine) }
            machine.run { core.saveReplicas() }
            let table = ReplicaTable.read(machine.disk, directory: machine.home.ledgerDirectory)
            let now = turns.clockSeconds(of: machine.index)
            for id in (try? vault.snapshots()) ?? [] where owners[machine.owner].snapshots[id]?.isBeyondHelp != true {
                guard let record = try? vault.snapshotRecord(id), (try? vault.missingPacks(of: id))?.isEmpty == true else {
                    continue
                }
                let proven = table.proven(id, revision: record.revision, now: now)
                // Of what another device made, or this one before it lost its disk, this one knows no set.
                let model = owners[machine.owner].snapshots[id]
                let target = record.device == machine.device ? model?.replicas : nil
                let wanted = min(target ?? plan.replicas, eligible.count)
                if proven < wanted {
                    let there = eligible.map { peer in
                        let replica = table.replicas.values.first { $0.device == peer.device }
                        let state = replica.map { "\($0.state(now: now))" } ?? "unknown"
                        let held = (try? self.vault(of: owners[machine.owner].id, on: peer)?.snapshotRecord(id))?.revision
                        func describe(_ revision: UInt64?) -> String { revision.map { "\($0)" } ?? "nothing" }
                        return "\(peer.name) \(state), counted \(describe(replica?.snapshots[id])), has \(describe(held))"
                    }
                    return "\(machine.name): revision \(record.revision) of \(id.hex.prefix(8)) on \(proven) peers, "
                        + "\(wanted) of \(eligible.count) are due: \(there.joined(separator: "; "))"
                }
            }
        }
        return nil
    }

    private func canKeep(_ other: Machine, for machine: Machine) -> Bool {
        guard other.index != machine.index, other.isUp, !other.isLiar else { return false }
        guard isReachable(other, from: machine) else { return false }
        if other.owner == machine.owner { return true }
        return machine.isFirst(in: machines) && other.isFirst(in: machines)
            && knows(machine, other, quotaBytes: 0) && knows(other, machine, quotaBytes: 1 << 30)
            && plan.friendships.contains { friendship in
                Set([friendship.a, friendship.b]) == [machine.owner, other.owner] && friendship.quotaBytes > 1 << 30
            }
    }

    /// Whether a friend is still in the book, with as much room. After a lost disk `recover` brings back who keeps something for this
    /// owner, and not what they were promised.
    private func knows(_ machine: Machine, _ other: Machine, quotaBytes: UInt64) -> Bool {
        guard forgetful.contains(machine.index) else { return true }
        guard let friend = (try? machine.home.peerBook().read())?.friend(owners[other.owner].id) else { return false }
        return friend.isPaired && friend.quotaBytes >= quotaBytes
    }

    // MARK: The end

    func checkEnd() {
        checkNow()
        for machine in machines { checkLedger(machine, isEnd: true) }
        checkAgreements()
        checkPartings()
        for machine in machines where violation == nil { checkSnapshots(machine) }
        for machine in machines where violation == nil { checkNames(machine) }
        for machine in machines where violation == nil { checkNonces(machine) }
        if violation == nil { sweepAll() }
        for machine in machines where violation == nil { checkGarbage(machine) }
        if violation == nil { checkRecovery() }
    }

    /// Both sides of each session say the same.
    private func checkAgreements() {
        for (a, b) in network.standing {
            guard let mine = agreement(a), let theirs = agreement(b) else { continue }
            if mine.storedHere != theirs.storedThere || mine.storedThere != theirs.storedHere {
                violated(
                    "both sides of an agreement say the same",
                    "\(machines[a.machine].name) and \(machines[b.machine].name): \(mine), \(theirs)")
            }
            count("compared agreements")
        }
    }

    private func agreement(_ end: WireEnd) -> Agreement? {
        machines[end.machine].core?.session(end)?.agreement
    }

    /// Every snapshot that somebody has is here, and restores to what was backed up.
    private func checkSnapshots(_ machine: Machine) {
        guard plan.machines[machine.index].role != .persister else { return }
        let result = machine.run { [self] in
            guard let node = try machine.node() else { return }
            for (id, snapshot) in owners[machine.owner].snapshots.sorted(by: { $0.key < $1.key })
            where snapshot.machine == machine.index && !snapshot.isForgotten && !snapshot.isBeyondHelp && violation == nil {
                guard holds(machine, owners[machine.owner].id, id) else {
                    let holders = machines.filter { holdsWhole($0, owners[machine.owner].id, id) }.map(\.name)
                    violated(
                        "a committed snapshot restores",
                        "\(id.hex.prefix(8)) is not whole on \(machine.name); it is on \(holders.joined(separator: " and "))")
                    continue
                }
                let troubled = damagedAt.removeValue(forKey: machine.index)
                defer { damagedAt[machine.index] = troubled }
                try restore(id, on: machine, node)
            }
        }
        if case .failure(let error) = result { violated("a committed snapshot restores", "\(machine.name): \(error)") }
    }

    /// All nodes sweep, as they do each day. What they rewrite replaces packs at peers, which let go of these a day later.
    private func sweepAll() {
        for day in 1...3 {
            // What was arriving is given up after a day.
            turns.sleep(until: turns.now + 90_000 * Swarm.second)
            for machine in machines where violation == nil {
                let result = machine.run {
                    guard let core = machine.core, let node = try machine.node() else { return }
                    Chores(core).tidyOthers()
                    if day < 3 {
                        _ = try node.sweep(dryRun: false, scope: .everything, now: currentTime(), Progress())
                    } else {
                        _ = try node.store.vault.sweep(grace: 0, now: currentTime() / 1_000_000_000)
                    }
                }
                if case .failure(let error) = result { violated("a sweep works", "\(machine.name): \(error)") }
            }
        }
    }

    /// After its node's sweeps a vault holds what its snapshots reference, and nothing else.
    private func checkGarbage(_ machine: Machine) {
        for owner in owners {
            guard let vault = vault(of: owner.id, on: machine) else { continue }
            var needed: Set<String> = []
            for id in (try? vault.snapshots()) ?? [] {
                guard let record = try? vault.snapshotRecord(id) else { continue }
                for page in record.pages { for pack in (try? vault.page(page.id).packs) ?? [] { needed.insert(pack.hex) } }
            }
            let root = RawPath("/home/vault/\(owner.id.hex)")
            for file in machine.disk.files(under: root.appending("packs")) {
                let name = String(decoding: file.path.components.last?.bytes ?? [], as: UTF8.self)
                if !needed.contains(name) { violated("no garbage stays", "\(machine.name): pack \(name.prefix(8)) of nobody") }
            }
            for folder in ["tmp", "pending", "trash"] where !machine.disk.files(under: root.appending(folder)).isEmpty {
                violated("no garbage stays", "\(machine.name): files in \(folder) of \(owner.id.hex.prefix(8))")
            }
            count("checked for garbage")
        }
    }

    /// With the owner key alone, everything comes back that others have.
    private func checkRecovery() {
        guard let owner = owners.indices.filter({ !owners[$0].snapshots.isEmpty }).randomElement(using: &choices) else { return }
        let machine = Machine(
            name: "new", owner: owner, turns: turns, network: network, clockOffset: 0, drift: 0,
            configuration: machines[0].configuration, folder: folder, seed: choices.next())
        let others = machines.filter { $0.isAwake && ($0.owner == owner || areFriends(owner, $0.owner)) }
        let due = owners[owner].snapshots.filter { id, snapshot in
            !snapshot.isForgotten && !snapshot.isBeyondHelp
                && others.contains { !$0.isLiar && holdsWhole($0, owners[owner].id, id) }
        }
        guard !due.isEmpty else { return }
        let text = owners[owner].recoveryText
        let result = machine.run { [self] in
            let keys = try machine.home.recover(text: text, host: machine.name, now: currentTime()).keys
            machine.adopt(keys)
            _ = try machine.fetchVault(from: others, keys)
            checkNames(machine)
            guard let node = try machine.node() else { return }
            for id in due.keys.sorted() {
                guard holds(machine, owners[owner].id, id) else {
                    violated(
                        "with the owner key alone everything comes back", "\(id.hex.prefix(8)) is with peers, and did not come")
                    continue
                }
                try restore(id, on: machine, node)
            }
        }
        if case .failure(let error) = result { violated("with the owner key alone everything comes back", "\(error)") }
        count("recovered at the end")
    }
}

extension Machine {
    /// Whether it is the one that pairs for its owner.
    func isFirst(in machines: [Machine]) -> Bool { machines.first { $0.owner == owner }?.index == index }
}
