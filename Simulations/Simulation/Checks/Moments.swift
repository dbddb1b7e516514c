internal import BackupFormat
internal import Cryptography
internal import Daemon
internal import HostFiles
internal import Ledger
internal import Peers
internal import Vault

/// Something of an owner's vault.
struct Place: Hashable {
    var owner: OwnerID
    var id: Bytes32
}

struct FoundSnapshot {
    var revision: UInt64
    var missing: [PackID] = []
    var unreadablePages = 0

    var isWhole: Bool { missing.isEmpty && unreadablePages == 0 }
}

/// What was found in the vaults of one disk, as long as nothing on it changes.
struct Moment {
    var disk: SimulatedDisk
    var mark: SimulatedDisk.Mark
    var snapshots: [Place: FoundSnapshot?] = [:]
    /// Packs of pages that are not there; nil for a page that cannot be read.
    var pages: [Place: [PackID]?] = [:]
    var packs: [Place: Bool] = [:]
}

/// What must be true at any moment, whatever goes wrong.
extension Swarm {
    func checkNow() {
        count("checked a moment")
        for machine in machines where !empty.contains(machine.index) {
            checkQuotas(machine)
            if damagedAt[machine.index] == nil { checkCommitted(machine) }
        }
        for machine in machines where machine.isUp { checkLedger(machine, isEnd: false) }
    }

    /// Every pack that a committed snapshot needs is there.
    private func checkCommitted(_ machine: Machine) {
        let there = Set((try? Vault.owners(disk: machine.disk, directory: "/home/vault")) ?? [])
        for owner in owners where there.contains(owner.id) {
            guard let vault = vault(of: owner.id, on: machine), let ids = try? vault.snapshots() else { continue }
            for id in ids {
                guard let found = find(machine, owner.id, id, vault), !found.isWhole else { continue }
                violated(
                    "a committed snapshot has lost no pack",
                    "\(machine.name): \(id.hex.prefix(8)) lacks \(found.missing.count) packs and \(found.unreadablePages) pages, the "
                        + "first pack \(found.missing.first?.hex.prefix(8) ?? "none")")
            }
        }
    }

    /// All files that are kept for a friend, in bytes, those in the trash and those that are arriving too.
    private func checkQuotas(_ machine: Machine) {
        for friendship in plan.friendships {
            for (keeper, guest) in [(friendship.a, friendship.b), (friendship.b, friendship.a)] where machine.owner == keeper {
                let root = RawPath("/home/vault/\(owners[guest].id.hex)")
                let used = machine.disk.files(under: root).reduce(0) { $0 + $1.bytes.count }
                guard used > friendship.quotaBytes else { continue }
                violated(
                    "a friend's quota is never exceeded",
                    "\(machine.name) keeps \(used) bytes for owner \(guest): \(friendship.quotaBytes)")
            }
        }
    }

    /// A peer that is counted as proven holds what it is counted for. What was lost lately may not have been noticed.
    func checkLedger(_ machine: Machine, isEnd: Bool) {
        for claim in falseClaims(machine, isEnd: isEnd) { violated("the ledger never claims more than is true", claim) }
    }

    /// What a machine's ledger claims and is not so, in words.
    func falseClaims(_ machine: Machine, isEnd: Bool) -> [String] {
        guard !isSlow(machine) else { return [] }
        var claims: [String] = []
        let table = ReplicaTable.read(machine.disk, directory: machine.home.ledgerDirectory)
        let now = turns.clockSeconds(of: machine.index)
        for replica in table.replicas.values.sorted(by: { $0.device < $1.device }) where replica.state(now: now) == .proven {
            // What a disk without power holds is seen when it has some again.
            guard let holder = machines.first(where: { $0.device == replica.device }), holder.disk.hasPower else { continue }
            if !isEnd, let damaged = damagedAt[holder.index], turns.now - damaged < Swarm.unnoticed { continue }
            if !isEnd, damagedAt[machine.index] != nil { continue }
            for (id, revision) in replica.snapshots where owners[machine.owner].snapshots[id]?.isForgotten == false {
                guard !holds(holder, owners[machine.owner].id, id, revision: revision) else { continue }
                claims.append("\(machine.name) counts \(holder.name) for \(id.hex.prefix(8)), which is not whole there")
            }
        }
        return claims
    }

    /// A peer is asked for proofs once a day, and counts no more when it was not heard of for 14.
    private static let unnoticed: UInt64 = 16 * 86_400 * second

    /// Its clock does not tell how long ago anything was.
    private func isSlow(_ machine: Machine) -> Bool {
        abs(turns.clockSeconds(of: machine.index) - (Turns.epoch + Int64(turns.now)) / 1_000_000_000) > 7200
    }

    func vault(of owner: OwnerID, on machine: Machine) -> Vault? {
        try? Vault(disk: machine.disk, directory: "/home/vault", owner: owner, create: false)
    }

    /// Whether the machine's disk holds the snapshot with all its packs, each of which is there by name.
    func holds(_ machine: Machine, _ owner: OwnerID, _ id: SnapshotID, revision: UInt64 = 0) -> Bool {
        guard let found = find(machine, owner, id, vault(of: owner, on: machine)) else { return false }
        return found.isWhole && found.revision >= revision
    }

    /// What was found on a machine's disk since anything changed there. Without power it shows nothing.
    private func moment(_ machine: Machine) -> Moment {
        let mark = machine.disk.mark
        if let known = moments[machine.index], known.disk === machine.disk, known.mark == mark, machine.disk.hasPower {
            return known
        }
        return Moment(disk: machine.disk, mark: mark)
    }

    /// A snapshot as it stands on the machine's disk, and which of its packs are not there; nil where its record cannot be read. As long as
    /// nothing changes each file is looked at once.
    private func find(_ machine: Machine, _ owner: OwnerID, _ id: SnapshotID, _ vault: @autoclosure () -> Vault?)
        -> FoundSnapshot?
    {
        let place = Place(owner: owner, id: id.value)
        var moment = moment(machine)
        if let known = moment.snapshots[place] { return known }
        // One owner of what is found, so that it is changed in place.
        moments[machine.index] = nil
        var found: FoundSnapshot?
        if let vault = vault(), let record = try? vault.snapshotRecord(id) {
            found = FoundSnapshot(revision: record.revision)
            for page in record.pages {
                if let missing = missing(owner, page.id, vault, &moment) {
                    found?.missing += missing
                } else {
                    found?.unreadablePages += 1
                }
            }
        }
        moment.snapshots[place] = .some(found)
        moments[machine.index] = machine.disk.hasPower ? moment : nil
        return found
    }

    /// Packs of a page that are not in the vault; nil where the page cannot be read.
    private func missing(_ owner: OwnerID, _ page: PageID, _ vault: Vault, _ moment: inout Moment) -> [PackID]? {
        let place = Place(owner: owner, id: page.value)
        if let known = moment.pages[place] { return known }
        let missing = (try? vault.page(page))?.packs.filter { pack in
            let place = Place(owner: owner, id: pack.value)
            if let known = moment.packs[place] { return !known }
            let isThere = (try? vault.knows(pack)) ?? false
            moment.packs[place] = isThere
            return !isThere
        }
        moment.pages[place] = .some(missing)
        return missing
    }

    /// The same, with every byte read and compared with the pack's id.
    func holdsWhole(_ machine: Machine, _ owner: OwnerID, _ id: SnapshotID) -> Bool {
        guard holds(machine, owner, id), let vault = vault(of: owner, on: machine), let record = try? vault.snapshotRecord(id)
        else {
            return false
        }
        for page in record.pages {
            guard let packs = try? vault.page(page.id).packs else { return false }
            for pack in packs where !isWhole(pack, of: owner, on: machine) { return false }
        }
        return true
    }

    /// Whether the pack is there, or in the trash, and comes out right, be it by its parity. Changes nothing on the disk.
    func isWhole(_ pack: PackID, of owner: OwnerID, on machine: Machine) -> Bool {
        places(of: pack, of: owner, on: machine).contains { path in
            let isRight: ProtectedFile.ContentCheck = { $0.withUnsafeBytes { MerkleTree(hashing: $0).packID == pack } }
            guard let file = try? ProtectedFile.open(machine.disk, path, isRight: isRight) else { return false }
            var bytes = [UInt8](repeating: 0, count: file.contentBytes)
            let isRead = bytes.withUnsafeMutableBytes { (try? file.readChecked(0..<file.contentBytes, into: $0)) != nil }
            return isRead && isRight(bytes)
        }
    }

    /// Where the pack may stand: among the vault's packs, or in its trash.
    func places(of pack: PackID, of owner: OwnerID, on machine: Machine) -> [RawPath] {
        let root = RawPath("/home/vault/\(owner.hex)")
        let trash = root.appending("trash")
        let name = RawPath(pack.hex)
        return [root.appending("packs").appending(RawPath("\(pack.hex.prefix(2))")).appending(name)]
            + ((try? machine.disk.list(trash)) ?? []).map { trash.appending($0).appending(name) }
    }

    /// After a disaster: what nobody has any more is beyond help.
    func noteLosses() {
        for index in owners.indices {
            for (id, snapshot) in owners[index].snapshots.sorted(by: { $0.key < $1.key })
            where !snapshot.isForgotten && !snapshot.isBeyondHelp {
                let holder = machines.first { machine in
                    !empty.contains(machine.index) && isReachable(machine, from: machines[snapshot.machine])
                        && holdsWhole(machine, owners[index].id, id)
                }
                if holder == nil {
                    owners[index].snapshots[id]?.isBeyondHelp = true
                    count("snapshots beyond help")
                }
            }
        }
    }
}
