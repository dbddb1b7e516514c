internal import BackupFormat
internal import BackupNode
internal import Daemon
internal import HostFiles
internal import PeerProtocol
internal import Peers

/// Friends that part, and own devices that are blocked.
extension Swarm {
    /// `bakare-node unpair`, with a friend: on the machine that paired for its owner.
    func part(_ a: Int, _ b: Int) {
        guard let machine = machines.first(where: { $0.owner == a }), machine.isAwake else { return }
        command(machine.index, "unpair") { [self] machine in
            let book = try machine.home.peerBook().read()
            guard book.friend(owners[b].id)?.isPaired == true else { return }
            // From here on, whatever comes of it.
            parted.insert([a, b])
            noteLosses()
            _ = try machine.home.unpair(owners[b].id.hex, owner: owners[a].id, now: currentTime() / 1_000_000_000)
            machine.core?.reloadBook()
            partings.insert([a, b])
        }
    }

    /// `invite` and `join`, of owners that have parted. They are friends from when both have said so.
    func pairAgain(_ a: Int, _ b: Int) {
        guard parted.contains([a, b]), let inviter = machines.first(where: { $0.owner == a }), inviter.isAwake,
            let joiner = machines.first(where: { $0.owner == b }), joiner.isAwake, let quotaBytes = quota(a, b)
        else { return }
        // From here on, whatever comes of it.
        partings.remove([a, b])
        let invited = inviter.run { try inviter.invite(quotaBytes: quotaBytes) }
        inviter.reloadBook()
        guard case .success(let invitation?) = invited else { return }
        let joined = joiner.run { try joiner.join(invitation, of: inviter, quotaBytes: quotaBytes) }
        joiner.reloadBook()
        func takesForFriend(_ machine: Machine, _ owner: Int) -> Bool {
            (try? machine.home.peerBook().read())?.friend(owners[owner].id)?.isPaired == true
        }
        guard case .success = joined, takesForFriend(inviter, b), takesForFriend(joiner, a) else {
            return turns.note("\(joiner.name) did not join \(inviter.name)")
        }
        parted.remove([a, b])
        count("paired again")
    }

    private func quota(_ a: Int, _ b: Int) -> UInt64? {
        plan.friendships.first { Set([$0.a, $0.b]) == [a, b] }.map { UInt64($0.quotaBytes) }
    }

    /// The same with a machine of the same owner.
    func block(_ machine: Machine, _ other: Machine) {
        guard machine.isAwake, let device = other.device else { return }
        command(machine.index, "block") { [self] machine in
            guard try machine.home.peerBook().read().device(device) != nil else { return }
            blocked.insert([machine.index, other.index])
            noteLosses()
            _ = try machine.home.unpair(device.hex, owner: owners[machine.owner].id, now: currentTime() / 1_000_000_000)
            machine.core?.reloadBook()
            blockings.insert([machine.index, other.index])
        }
    }

    /// Whoever was sent away has no session, and both sides know that they have parted. Not so where a disk was lost or is an old one, and
    /// with it what was decided.
    func checkPartings() {
        func remembers(_ machine: Machine) -> Bool {
            damagedAt[machine.index] == nil && !forgetful.contains(machine.index)
        }
        for (a, b) in network.standing {
            let (one, other) = (machines[a.machine], machines[b.machine])
            guard remembers(one), remembers(other) else { continue }
            if partings.contains([one.owner, other.owner]) || blockings.contains([one.index, other.index]) {
                violated("whoever was sent away has no session", "\(one.name) and \(other.name)")
            }
        }
        for pair in partings {
            let firsts = pair.compactMap { owner in machines.first { $0.owner == owner } }
            guard firsts.count == 2, firsts.allSatisfy({ remembers($0) && $0.isUp }) else { continue }
            for (machine, other) in [(firsts[0], firsts[1]), (firsts[1], firsts[0])] {
                let book = try? machine.home.peerBook().read()
                guard let book, book.friend(owners[other.owner].id)?.isPaired == true else { continue }
                // Who was invited is dialled by nobody who has no address of theirs, and so was never told.
                guard book.devices.contains(where: { $0.owner == owners[other.owner].id && !$0.addresses.isEmpty }) else {
                    continue
                }
                violated("both sides of an agreement say the same", "\(machine.name) takes \(other.name) for a friend still")
            }
            count("compared books of those who have parted")
        }
    }
}
