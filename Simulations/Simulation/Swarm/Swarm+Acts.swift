internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles
internal import Peers
internal import Vault

extension Swarm {
    func perform(_ act: Act) {
        count("act: \(act.kind)")
        switch act {
        case .edit(let index): if machines[index].commands == 0 { machines[index].sources.edit(&choices) }
        case .backUp(let index): command(index, "backup") { [self] in try backUp($0) }
        case .forget(let index, let keep): command(index, "forget") { [self] in try forget($0, keep: keep) }
        case .sweep(let index): command(index, "sweep") { [self] in try sweep($0) }
        case .restore(let index): command(index, "restore") { [self] in try restoreSome($0) }
        case .check(let index):
            command(index, "check") { machine in
                guard let node = try machine.node() else { return }
                _ = try node.check(readDataFraction: 1, repair: true, now: currentTime(), Progress())
            }
        case .crash(let index, let seconds): down(machines[index], seconds) { $0.crash() }
        case .crashAtWrite(let index, let number, let seconds):
            let machine = machines[index]
            guard machine.isUp else { return }
            machine.disk.faults.crashAtOperation = machine.disk.operations + number
            // Something has to be written for it to happen; a backup does.
            perform(.edit(index))
            perform(.backUp(index))
            later(min(seconds, 1800)) { [self] in
                if !machine.isSuspended || !machine.disk.hasPower { down(machine, seconds) { $0.crash() } }
            }
        case .restart(let index): down(machines[index], 5) { $0.shutDown() }
        case .suspend(let index, let seconds):
            let machine = machines[index]
            guard machine.isAwake else { return }
            machine.suspend()
            later(seconds) { [self] in
                if machine.isSuspended { machine.resume() }
                discover(machine)
            }
        case .suspendAtWork(let index, let operations, let seconds):
            let machine = machines[index]
            guard machine.isAwake else { return }
            machine.suspendAtWork(after: operations) { [self] in
                count(machine.commands > 0 ? "suspended in a command" : "suspended while it served")
                later(seconds) { [self] in
                    if machine.isSuspended { machine.resume() }
                    discover(machine)
                }
            }
        case .cut(let a, let b, let seconds, let isOneWay):
            let ways = [Network.Way(from: a, to: b)] + (isOneWay ? [] : [Network.Way(from: b, to: a)])
            network.cut(ways)
            later(seconds) { [self] in network.heal(ways) }
        case .otherVersion(let index, let seconds):
            let machine = machines[index]
            guard machine.isUp else { return }
            network.otherVersions.insert(machine.index)
            down(machine, 5) { $0.shutDown() }
            later(seconds) { [self] in
                network.otherVersions.remove(machine.index)
                down(machine, 5) { $0.shutDown() }
            }
        case .unpair(let a, let b): part(a, b)
        case .pairAgain(let a, let b): pairAgain(a, b)
        case .block(let a, let b): block(machines[a], machines[b])
        default: damage(act)
        }
    }

    private func damage(_ act: Act) {
        switch act {
        case .fillDisk(let index, let seconds):
            let machine = machines[index]
            machine.disk.faults.capacityBytes = machine.disk.usedBytes + choices.below(200_000)
            later(seconds) { machine.disk.faults.capacityBytes = nil }
        case .failingDisk(let index, let oneIn, let seconds):
            let machine = machines[index]
            machine.disk.faults.errorOneIn = oneIn
            later(seconds) { machine.disk.faults.errorOneIn = nil }
        case .slowDisk(let index, let milliseconds, let seconds):
            machines[index].slownessNanoseconds = UInt64(milliseconds) * 1_000_000
            later(seconds) { [self] in machines[index].slownessNanoseconds = 0 }
        case .flipByte(let index): flipByte(machines[index])
        case .misdirectedWrite(let index): misdirectWrite(machines[index])
        case .losePack(let index), .dropPacks(let index): losePacks(machines[index], all: act == .dropPacks(index))
        case .loseDisk(let index, let seconds): loseDisk(machines[index], seconds)
        case .oldImage(let index, let seconds):
            let machine = machines[index]
            guard machine.isUp, !machine.isSuspended else { return }
            let image = SimulatedDisk(copying: machine.disk)
            later(seconds) { [self] in
                guard machine.isUp, !machine.isSuspended, machine.disk !== image else { return }
                machine.replaceDisk(by: image)
                machine.disk.restart(seed: choices.next())
                damagedAt[machine.index] = turns.now
                noteLosses()
                boot(machine)
            }
        case .jumpClock(let index, let seconds): turns.jumpClock(of: machines[index].index, by: Int64(seconds) * 1_000_000_000)
        default: return
        }
    }

    /// Does something later, as the director.
    func later(_ seconds: Int, _ body: @escaping () -> Void) {
        // SAFETY: one thread has the turn at a time.
        nonisolated(unsafe) let body = body
        pendingTasks += 1
        turns.start(on: Turns.nobody) { [self] in
            turns.sleep(until: turns.now + UInt64(seconds) * Swarm.second)
            if !isHealing { body() }
            pendingTasks -= 1
        }
    }

    private func down(_ machine: Machine, _ seconds: Int, _ end: (Machine) -> Void) {
        guard machine.isUp else { return }
        if machine.isSuspended { machine.resume() }
        end(machine)
        checkAcknowledged(machine)
        later(seconds) { [self] in boot(machine) }
    }

    // MARK: Commands

    /// Runs a command on a machine that is awake, and goes on meanwhile. What it throws is an error that its user would see.
    func command(_ index: Int, _ name: String, _ body: @escaping (Machine) throws -> Void) {
        let machine = machines[index]
        guard machine.isAwake else { return }
        // SAFETY: one thread has the turn at a time.
        nonisolated(unsafe) let body = body
        machine.commands += 1
        turns.start(on: machine.index) { [self] in
            defer { machine.commands -= 1 }
            do {
                try body(machine)
                count("done: \(name)")
            } catch {
                count("failed: \(name)")
                turns.note("\(machine.name): \(name) failed: \(error)")
                // On a machine that nothing was done to, commands work.
                if machine.isAwake, !isTroubled(machine) { violated("commands work", "\(machine.name): \(name): \(error)") }
            }
        }
    }

    /// Whether something is or was wrong with the machine's disk, so that a command may fail.
    func isTroubled(_ machine: Machine) -> Bool {
        let faults = machine.disk.faults
        return damagedAt[machine.index] != nil || faults.errorOneIn != nil || faults.capacityBytes != nil
            || faults.crashAtOperation != nil
    }

    private func backUp(_ machine: Machine) throws {
        guard let core = machine.core, let node = try machine.node() else { return }
        var content = machine.sources.files
        var (path, replicas) = (machine.sources.path, plan.replicas)
        let inSet = content.filter { $0.key.hasPrefix("\(SourceFolder.setName)/") }
        if let number = plan.folderReplicas, !inSet.isEmpty, choices.isOne(in: 3) {
            (content, path, replicas) = (inSet, path.appending(SourceFolder.setName), number)
            count("backed up a set of its own")
        }
        core.backupRuns(true)
        defer { core.backupRuns(false) }
        let request = BackupRequest(
            paths: [path], exclusions: Exclusions(), host: machine.name, time: currentTime())
        let report = try node.backUp(request, Progress()) { _ in }
        node.followNames(of: report, at: request.time, Progress())
        guard let id = report.snapshot else { return }
        if report.errorCount > 0 {
            violated("backups take in everything", "\(machine.name): \(report.errors.map { "\($0)" }.joined(separator: "; "))")
        }
        var snapshot = ModelSnapshot(content: content, machine: machine.index, replicas: replicas)
        if countsOnDestroyed(id, on: machine) {
            snapshot.isBeyondHelp = true
            count("snapshots that count on what was destroyed before")
        }
        owners[machine.owner].snapshots[id] = snapshot
        turns.note("\(machine.name): committed \(id.hex.prefix(8)), \(content.count) files")
    }

    private func forget(_ machine: Machine, keep: Int) throws {
        guard let core = machine.core, let node = try machine.node(), let device = machine.device else { return }
        let mine = try node.catalog().snapshots.filter { $0.device == device }
        let ids = mine.dropLast(keep).map(\.id)
        guard !ids.isEmpty else { return }
        for id in ids { owners[machine.owner].snapshots[id]?.isForgotten = true }
        try node.forget(ids)
        _ = try core.orders.refresh()
        core.poke()
    }

    private func sweep(_ machine: Machine) throws {
        guard let core = machine.core, let node = try machine.node() else { return }
        // Most are those that a running node makes each day; some are asked for by somebody.
        let scope: SweepScope = choices.below(4) == 0 ? .everything : .ownTurn
        _ = try node.sweep(dryRun: false, scope: scope, now: currentTime(), Progress())
        Chores(core).tidyOthers()
        DailyScrub(core).run(share: choices.below(DailyScrub.shares)) { _ in }
        acknowledged[machine.index] = nil
    }

    private func restoreSome(_ machine: Machine) throws {
        guard let node = try machine.node() else { return }
        let here = Set(try node.catalog().snapshots.map(\.id))
        let known = owners[machine.owner].snapshots.filter { here.contains($0.key) && !$0.value.isForgotten }.keys.sorted()
        guard let id = choices.pick(known) else { return }
        try restore(id, on: machine, node)
    }

    /// Restores a snapshot and compares it with what was backed up. Files that are reported as not restored may be missing; wrong
    /// content never is right.
    func restore(_ id: SnapshotID, on machine: Machine, _ node: Node) throws {
        guard let model = owners[machine.owner].snapshots[id] else { return }
        restores += 1
        let target = "\(folder)/r\(restores)"
        defer { SourceFolder.removeAll(target) }
        let report = try node.restore(RestoreRequest(snapshot: id, target: RawPath(target)), Progress()) { _ in }
        let source = String(decoding: machines[model.machine].sources.path.bytes, as: UTF8.self)
        let found = SourceFolder.read(target + source)
        for (path, bytes) in found where model.content[path] != bytes {
            violated("what is restored is what was backed up", "\(id.hex.prefix(8)) on \(machine.name): \(path)")
        }
        guard found.count < model.content.count else { return count("restored whole") }
        count("restored in part")
        guard isTroubled(machine) else {
            return violated(
                "a committed snapshot restores",
                "\(id.hex.prefix(8)) on \(machine.name): \(found.count) of \(model.content.count) files; \(report.errors.first.map { "\($0)" } ?? "")"
            )
        }
    }
}

extension Machine {
    /// The home as a command opens it; nil while there is none.
    func node() throws -> Node? {
        guard let keys else { return nil }
        return try Node(home, keys, configuration)
    }
}
