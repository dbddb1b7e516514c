internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Ledger

extension Swarm {
    /// Files of a home, of those that hold something.
    private func files(_ machine: Machine, under path: RawPath) -> [RawPath] {
        machine.disk.files(under: path).filter { !$0.bytes.isEmpty }.map(\.path)
    }

    /// Bit rot. Parity mends one byte of a file, and a check that comes later the next; so no file is hit twice.
    func flipByte(_ machine: Machine) {
        guard let path = choices.pick(files(machine, under: "/home")), flipped[machine.index, default: []].insert(path).inserted,
            path.components.last != "reserve"
        else { return }
        let (place, bit) = (choices.next(), UInt8(1) << UInt8(choices.below(8)))
        machine.disk.damage(path) { bytes in
            let index = Int(place % UInt64(bytes.count))
            bytes[index] ^= bit
            turns.note("flipped a bit of byte \(index) of \(bytes.count) of \(path)")
        }
        count("flipped a byte")
    }

    /// A block of one file lands in another.
    func misdirectWrite(_ machine: Machine) {
        let all = files(machine, under: "/home/vault")
        guard let from = choices.pick(all), let to = choices.pick(all), from != to else { return }
        guard let block = machine.disk.files(under: from).first?.bytes.prefix(4096) else { return }
        let place = choices.next()
        machine.disk.damage(to) { bytes in
            let start = Int(place % UInt64(max(1, bytes.count / 4096))) * 4096
            for (index, byte) in block.enumerated() where start + index < bytes.count { bytes[start + index] = byte }
        }
        turns.note("a block of \(from) went into \(to)")
        damagedAt[machine.index] = turns.now
        misdirected.insert(machine.index)
        noteDestroyed(to, on: machine)
        noteLosses()
    }

    /// A pack of the machine's own that has become another's.
    private func noteDestroyed(_ path: RawPath, on machine: Machine) {
        let owner = owners[machine.owner].id
        guard path.isWithin(RawPath("/home/vault/\(owner.hex)/packs")), let name = path.components.last,
            let pack = PackID(hex: name), !isWhole(pack, of: owner, on: machine)
        else { return }
        destroyed[machine.index, default: []].insert(pack)
    }

    /// Whether a snapshot that was just made counts on a pack that was destroyed before and that nobody has: of which the machine has not
    /// noticed anything yet.
    func countsOnDestroyed(_ id: SnapshotID, on machine: Machine) -> Bool {
        let owner = owners[machine.owner].id
        let known = KnownLosses.read(machine.disk, directory: machine.home.ledgerDirectory).packs
        let unnoticed = (destroyed[machine.index] ?? []).filter { known[$0] == nil }
        guard !unnoticed.isEmpty, let vault = vault(of: owner, on: machine), let record = try? vault.snapshotRecord(id) else {
            return false
        }
        let needed = Set(record.pages.flatMap { (try? vault.page($0.id))?.packs ?? [] }).intersection(unnoticed)
        return needed.contains { pack in
            !machines.contains { isReachable($0, from: machine) && isWhole(pack, of: owner, on: $0) }
        }
    }

    func losePacks(_ machine: Machine, all: Bool) {
        let packs = machine.disk.files(under: "/home/vault").map(\.path).filter { path in
            path.components.contains("packs")
        }
        let victims = all ? packs.filter { _ in choices.isOne(in: 2) } : choices.pick(packs).map { [$0] } ?? []
        guard !victims.isEmpty else { return }
        for path in victims {
            try? machine.disk.unlink(path)
            try? machine.disk.syncDirectory(path.parent)
        }
        damagedAt[machine.index] = turns.now
        noteLosses()
    }

    func loseDisk(_ machine: Machine, _ seconds: Int) {
        guard machine.isUp, machine.commands == 0 else { return }
        if machine.isSuspended { machine.resume() }
        machine.loseDisk()
        acknowledged[machine.index] = nil
        flipped[machine.index] = nil
        damagedAt[machine.index] = turns.now
        empty.insert(machine.index)
        forgetful.insert(machine.index)
        noteLosses()
        later(seconds) { [self] in recover(machine) }
    }

    /// `bakare-node recover`, with the recovery key and nothing else, then `start`.
    func recover(_ machine: Machine) {
        guard empty.contains(machine.index) else { return }
        let text = owners[machine.owner].recoveryText
        let result = machine.run { [self] in
            let keys = try machine.home.recover(text: text, host: machine.name, now: currentTime()).keys
            machine.adopt(keys)
            return try machine.fetchVault(from: reachable(machine), keys)
        }
        switch result {
        case .success(let number):
            turns.note("\(machine.name) is recovered with \(number) snapshots")
            count("recovered")
            empty.remove(machine.index)
            boot(machine)
        case .failure(let error):
            // Its user tries again.
            turns.note("\(machine.name) is not recovered: \(error)")
            if machine.keys != nil, !isHealing { later(3600) { [self] in recover(machine) } }
        }
    }

    /// What discovery does for own devices that were recovered, which have another key: who is awake learns that, and where they are.
    func discover(_ machine: Machine) {
        guard machine.isAwake else { return }
        for other in reachable(machine) where other.owner == machine.owner {
            guard forgetful.contains(machine.index) || forgetful.contains(other.index),
                let key = machine.keys?.identity.key.agreementPublicKey,
                let otherKey = other.keys?.identity.key.agreementPublicKey, discovered.insert([key, otherKey]).inserted
            else { continue }
            for (finder, found) in [(machine, other), (other, machine)] {
                let result = finder.run { try finder.meet(found) }
                if case .failure = result { discovered.remove([key, otherKey]) }
                finder.reloadBook()
            }
            count("discovered")
        }
    }

    /// Those that may hold something of the machine's owner.
    func reachable(_ machine: Machine) -> [Machine] {
        machines.filter { other in
            other.index != machine.index && other.isAwake
                && isReachable(other, from: machine)
        }
    }

    /// Whether what one machine holds can come to another, by what was agreed.
    func isReachable(_ other: Machine, from machine: Machine) -> Bool {
        if other.owner == machine.owner { return !blocked.contains([other.index, machine.index]) }
        return areFriends(machine.owner, other.owner)
    }

    func areFriends(_ a: Int, _ b: Int) -> Bool {
        !parted.contains([a, b]) && plan.friendships.contains { ($0.a == a && $0.b == b) || ($0.a == b && $0.b == a) }
    }
}
